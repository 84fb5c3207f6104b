"""A portfolio order that is cancelled while all of its orders were executed: a problem, however it came to be known."""

from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.apps import apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import journal, projection, rebuild
from orders.from_orders import is_cancelled_in_vain
from orders.lifecycle import CANCELLED_EXECUTED, MISTRADE, Kind
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.tracked import Source
from tests.staff import LIST, browser, page, words
from tests.stories import START, event, execution, named, order, portfolio_order
from tests.test_projection import state, thrown_away

NOW = START + timedelta(minutes=5)
P = UUID(named("P"))


def receive(*events, delivery_id=1):
    journal.record_events(events, delivery_id=delivery_id, now=NOW)
    projection.drain(now=NOW)


def filled(name):
    return event("ORDER.FILLED", order(name, "FILLED", 20, executions=[(f"X{name}", "FILLED")]))


def cancelled(*orders, seconds=30):
    return event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", seconds, orders))


BOTH = ("A", "FILLED"), ("B", "FILLED")
TRADED = {"executions": [execution("XB", order="B")]}
IN_VAIN = event("ORDER.CANCELLED", order("B", "CANCELLED", 21) | TRADED)
REVERSAL = event("EXECUTION.CANCELLED", execution("XA", "CANCELLED", "A"))


def is_flagged():
    return bool(PortfolioOrder.objects.get().problems & CANCELLED_EXECUTED)


# The rule


def row(status="CANCELLED", unreadable="", problems=0):
    return SimpleNamespace(status=status, unreadable=unreadable, problems=problems)


@pytest.mark.parametrize(
    ("of", "orders", "is_one"),
    [
        (row(), [row("FILLED"), row("FILLED")], True),
        (row(), [row("FILLED"), row("CANCELLED", problems=CANCELLED_EXECUTED)], True),
        (row(), [row("FILLED"), row("CANCELLED")], False),
        (row(), [row("FILLED"), row("PROCESSING")], False),
        (row(), [row("FILLED"), row("")], False),
        (row(), [row("FILLED"), row("FILLED", problems=MISTRADE)], False),
        (row(), [], False),
        (row(unreadable="orders"), [row("FILLED")], False),
        (row(unreadable="currency"), [row("FILLED")], True),
        (row("FILLED"), [row("FILLED")], False),
        (row("SETTLED"), [row("FILLED")], False),
    ],
)
def test_it_was_cancelled_in_vain_if_all_of_its_orders_were_executed(of, orders, is_one):
    assert is_cancelled_in_vain(of, orders) is is_one


# What is here


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("events", "is_one"),
    [
        ([filled("A"), filled("B"), cancelled(*BOTH)], True),
        ([cancelled(*BOTH)], True),  # known from its list alone
        ([cancelled(("A", "FILLED"), ("B", "CANCELLED")), IN_VAIN], True),
        ([cancelled(("A", "FILLED"), ("B", "CANCELLED"))], False),
        ([filled("A"), cancelled(*BOTH), REVERSAL], False),
        ([filled("A"), cancelled()], True),
        ([cancelled()], False),
    ],
)
def test_the_portfolio_order_carries_the_flag(events, is_one):
    receive(*events)

    assert is_flagged() is is_one
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_another_order_that_was_not_executed_takes_the_flag_away():
    receive(cancelled(("A", "FILLED")))
    assert is_flagged()

    receive(event("ORDER.NEW", order("C")))

    assert not is_flagged()
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_an_answer_that_says_it_once_more_is_no_news():
    receive(filled("A"), cancelled(("A", "FILLED")))
    told = portfolio_order("CANCELLED", 30, [("A", "FILLED")])

    entry = journal.record_answer(
        Kind.PORTFOLIO_ORDER, told, about=P, source=Source.POLL, actor="", now=NOW
    )
    projection.drain(now=NOW)

    assert JournalEntry.objects.get(pk=entry.pk).outcome == "NO_CHANGE"
    assert is_flagged()


@pytest.mark.django_db
def test_today_the_filter_and_the_page_say_so():
    receive(filled("A"), filled("B"), cancelled(*BOTH))
    client = browser()

    assert "Cancelled, but fully executed 1" in words(client.get("/admin/"))
    (found,) = client.get(LIST, {"problem": "executed"}).context["cl"].result_list
    assert found.pk == P
    assert "Cancelled, but fully executed" in client.get(LIST).text
    text = words(client.get(page(P)))
    assert "Cancelled, but fully executed. The order is cancelled, although all of it" in text
    assert "Cancelled, but fully executed: 500.00 EUR bought" in text


# Any order, a rebuild, and rows of earlier releases


STORY = [
    filled("A"), cancelled(*BOTH, seconds=29), IN_VAIN, cancelled(*BOTH), event("ORDER.NEW", order("B")),
    event("PORTFOLIO_ORDER.NEW", portfolio_order(orders=[("A", "NEW"), ("B", "NEW")])),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole_story(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), thrown_away():
        receive(*STORY)
        assert is_flagged()
        return state()


@pytest.mark.django_db
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrival=st.permutations(STORY), cuts=st.sets(st.integers(1, 5), max_size=4))
def test_any_order_of_delivery_gives_the_same_flag(whole_story, arrival, cuts):
    edges = [0, *sorted(cuts), len(arrival)]
    with thrown_away():
        for number, (start, end) in enumerate(pairwise(edges)):
            receive(*arrival[start:end], delivery_id=number)

        assert state() == whole_story
        assert list(rebuild.compare()) == []


@pytest.fixture
def earlier():
    """Rows as the release before wrote them: without the flag, and one with a flag that is wrong."""
    receive(*STORY, event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", name="Q")))
    PortfolioOrder.objects.filter(pk=P).update(problems=1)
    return {str(P), named("Q")}


@pytest.mark.django_db
def test_the_migration_flags_the_rows_of_earlier_releases_and_keeps_their_other_problems(earlier):
    flag = import_module("orders.migrations.0030_cancelled_portfolio_orders").flag
    flag(apps, None)
    flag(apps, None)

    problems = dict(PortfolioOrder.objects.values_list("pk", "problems"))
    assert problems == {P: 1 | CANCELLED_EXECUTED, UUID(named("Q")): 0}


@pytest.mark.django_db
def test_a_rebuild_sets_the_flag_and_clears_a_wrong_one(earlier):
    PortfolioOrder.objects.filter(pk=P).update(problems=0)
    PortfolioOrder.objects.filter(pk=named("Q")).update(problems=CANCELLED_EXECUTED)
    assert {str(it) for it in rebuild.compare()} == {
        f"portfolio order {P}: problems is 0, folded anew {CANCELLED_EXECUTED}",
        f"portfolio order {named('Q')}: problems is {CANCELLED_EXECUTED}, folded anew 0",
    }

    assert len(list(rebuild.rebuild(now=NOW))) == 2
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_rebuild_from_nothing_sets_the_flag():
    receive(*STORY)
    Order.objects.all().delete()
    PortfolioOrder.objects.all().delete()

    list(rebuild.rebuild(now=NOW))

    assert is_flagged()
    assert list(rebuild.compare()) == []
