"""When an order was filled, where the broker did not say: from its executions, never from a cancelled one."""

from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.apps import apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import fills, journal, projection, rebuild
from orders.export import files
from orders.export.selection import Selection
from orders.lifecycle import CONFLICT, Kind
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.tracked import Source
from tests.staff import browser, words
from tests.stories import START, at, event, execution, named, order, portfolio_order
from tests.test_projection import state, thrown_away

NOW = START + timedelta(minutes=5)
P, A, B = (UUID(named(name)) for name in "PAB")


def second(seconds):
    return START + timedelta(seconds=seconds)


def receive(*events, now=NOW, delivery_id=1):
    journal.record_events(events, delivery_id=delivery_id, now=now)
    projection.drain(now=now)


def answer(kind, upstream, now=NOW):
    entry = journal.record_answer(
        kind, upstream, about=UUID(upstream["id"]), source=Source.POLL, actor="", now=now
    )
    projection.drain(now=now, only=[entry.pk])


def settled(seconds=90, orders=(("A", "FILLED"), ("B", "CANCELLED"))):
    return event("PORTFOLIO_ORDER.SETTLED", portfolio_order("SETTLED", seconds, orders))


def filled(name="A", seconds=20):
    return event(
        "ORDER.FILLED", order(name, "FILLED", seconds, executions=[(f"X{name}", "FILLED")])
    )


def traded(name, seconds, status="FILLED", of="A", quantity="2.5000"):
    told = execution(name, status, of, transaction_time=at(seconds), share_quantity=quantity)
    return event(f"EXECUTION.{status}", told)


def cancelled(name="B", seconds=21):
    return event("ORDER.CANCELLED", order(name, "CANCELLED", seconds))


# The rule


def row(status="FILLED", filled_at=None, **more):
    fixed = {"unreadable": "", "is_fill_derived": False, "quantity": ""}
    return SimpleNamespace(status=status, filled_at=filled_at, **fixed | more)


def trade(seconds, status="FILLED", quantity="1"):
    moment = None if seconds is None else second(seconds)
    return SimpleNamespace(status=status, share_quantity=quantity, transaction_time=moment)


@pytest.mark.parametrize(
    ("of", "trades", "seconds"),
    [
        (row(), [trade(1), trade(3), trade(2)], 3),
        (row("SETTLED"), [trade(1)], 1),
        (row(), [trade(1), trade(9, "CANCELLED")], 1),
        (row(), [trade(9, "CANCELLED")], None),
        (row(), [trade(1), trade(None)], None),
        (row(), [], None),
        (row("CANCELLED"), [trade(1)], None),
        (row("PROCESSING"), [trade(1)], None),
        (row("HALTED"), [trade(1)], None),
        (row(quantity="2.50"), [trade(1), trade(2, quantity="1.5")], 2),
        (row(quantity="3"), [trade(1), trade(2)], None),  # an execution is not here yet
    ],
)
def test_an_order_was_filled_when_the_last_execution_that_counts_was_made(of, trades, seconds):
    assert fills.of_order(of, trades) == (seconds and second(seconds))


@pytest.mark.parametrize(
    ("of", "orders", "seconds"),
    [
        (row("SETTLED"), [row(filled_at=second(4)), row(filled_at=second(3))], 4),
        (row("SETTLED"), [row(filled_at=second(4)), row("CANCELLED")], 4),
        (row("SETTLED"), [row(filled_at=second(4)), row()], None),
        (row("SETTLED"), [row(filled_at=second(4)), row("PROCESSING")], None),
        (row("SETTLED"), [row(filled_at=second(4)), row("")], None),
        (row("SETTLED"), [row("CANCELLED")], None),
        (row("SETTLED"), [], None),
        (row("SETTLED", unreadable="orders"), [row(filled_at=second(4))], None),
        (row("CANCELLED"), [row(filled_at=second(4))], None),
        (row("PROCESSING"), [row(filled_at=second(4))], None),
    ],
)
def test_a_portfolio_order_was_filled_when_the_last_of_its_orders_was(of, orders, seconds):
    assert fills.of_portfolio_order(of, orders) == (seconds and second(seconds))


def test_a_time_that_was_told_is_never_derived_anew():
    told = row(filled_at=second(5))

    assert not fills.derive(told, second(9))
    assert (told.filled_at, told.is_fill_derived) == (second(5), False)


def test_a_derived_time_goes_where_nothing_supports_it_any_more():
    derived = row(filled_at=second(5), is_fill_derived=True)

    assert fills.derive(derived, None)
    assert (derived.filled_at, derived.is_fill_derived) == (None, False)


# The desk


@pytest.mark.django_db
def test_what_was_first_learned_as_settled_was_filled_when_its_orders_were():
    receive(filled("A", 20), cancelled(), settled())

    portfolio_order = PortfolioOrder.objects.get()
    assert (portfolio_order.filled_at, portfolio_order.is_fill_derived) == (second(20), True)
    assert portfolio_order.settled_at == second(90)


@pytest.mark.django_db
def test_its_fill_time_is_unknown_until_all_of_its_orders_are_known():
    receive(settled(), cancelled())
    assert PortfolioOrder.objects.get().filled_at is None

    receive(filled("A", 20), delivery_id=2)
    assert PortfolioOrder.objects.get().filled_at == second(20)


@pytest.mark.django_db
def test_an_order_that_only_a_list_calls_filled_was_filled_with_its_last_execution():
    receive(traded("X1", 12), traded("X2", 14), traded("X3", 16), settled())
    receive(traded("X3", 16, "CANCELLED"), delivery_id=2)

    order = Order.objects.get(pk=A)
    assert (order.status, order.filled_at, order.is_fill_derived) == ("FILLED", second(14), True)
    assert not order.problems & CONFLICT
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_the_file_has_the_seconds_to_a_derived_fill():
    receive(event("ORDER.NEW", order("A")), traded("X", 14), settled(orders=[("A", "FILLED")]))

    text = b"".join(files.orders(Selection.everything()).chunks(bom=False)).decode()
    header, line = (it.split(",") for it in text.splitlines())
    assert dict(zip(header, line, strict=True))["seconds_to_fill"] == "13.000"


@pytest.mark.django_db
def test_the_brokers_own_time_replaces_a_derived_one_and_stays():
    receive(filled("A", 20), cancelled(), settled())
    told = portfolio_order("FILLED", 22, [("A", "FILLED"), ("B", "CANCELLED")])
    receive(event("PORTFOLIO_ORDER.FILLED", told), delivery_id=2)
    receive(filled("A", 20) | {"id": named("again")}, delivery_id=3)

    portfolio_order_ = PortfolioOrder.objects.get()
    assert (portfolio_order_.filled_at, portfolio_order_.is_fill_derived) == (second(22), False)
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_derived_time_makes_no_conflict():
    """Cancelled and filled contradict each other where both were told; a derived time tells nothing."""
    receive(traded("X", 12), settled(orders=[("A", "FILLED")]), cancelled("A", 30))

    order = Order.objects.get(pk=A)
    assert (order.status, order.filled_at) == ("CANCELLED", None)
    assert not order.problems & CONFLICT


STORY = [
    filled("A", 20), cancelled("B", 21), settled(), traded("XA", 20),
    traded("XC", 30, of="C"), traded("XC", 30, "CANCELLED", of="C"), traded("XD", 31, of="C"),
    event(
        "PORTFOLIO_ORDER.SETTLED",
        portfolio_order("SETTLED", 95, [("A", "FILLED"), ("B", "CANCELLED"), ("C", "FILLED")]),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole_story(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), thrown_away():
        receive(*STORY)
        return state()


@pytest.mark.django_db
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrival=st.permutations(STORY), cuts=st.sets(st.integers(1, 7), max_size=4))
def test_any_order_of_delivery_gives_the_same_fill_times(whole_story, arrival, cuts):
    edges = [0, *sorted(cuts), len(arrival)]
    with thrown_away():
        for number, (start, end) in enumerate(pairwise(edges)):
            receive(*arrival[start:end], delivery_id=number)

        assert state() == whole_story
        assert PortfolioOrder.objects.get().filled_at == second(31)
        assert list(rebuild.compare()) == []


# Rows of earlier releases


@pytest.fixture
def earlier():
    """Rows as the release before wrote them."""
    receive(traded("X", 14), filled("A", 20), cancelled(), traded("XC", 31, of="C"), STORY[-1])
    Order.objects.filter(is_fill_derived=True).update(filled_at=None, is_fill_derived=False)
    PortfolioOrder.objects.update(filled_at=None, is_fill_derived=False)


def derived():
    return {
        row.pk: row.filled_at
        for model in (PortfolioOrder, Order)
        for row in model.objects.filter(is_fill_derived=True)
    }


DERIVED = {P: second(31), UUID(named("C")): second(31)}


@pytest.mark.django_db
def test_the_migration_gives_the_rows_of_earlier_releases_their_fill_times(earlier):
    import_module("orders.migrations.0018_derive_fills").derive(apps, None)

    assert derived() == DERIVED
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_rebuild_gives_them_too_and_says_what_differed(earlier):
    found = {str(it) for it in rebuild.compare()}
    assert f"portfolio order {P}: filled_at is None, folded anew {second(31)!r}" in found
    assert len(found) == 4

    assert {str(it) for it in rebuild.rebuild(now=NOW)} == found
    assert derived() == DERIVED
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_rebuild_from_nothing_derives_fill_times():
    receive(*STORY)
    for model in (Execution, Order, PortfolioOrder):
        model.objects.all().delete()

    list(rebuild.rebuild(now=NOW))

    assert derived() == DERIVED
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_derived_time_of_what_a_damaged_entry_tells_of_keeps_what_is_held():
    receive(*STORY)
    damaged = JournalEntry.objects.filter(order_id=named("C"))
    damaged.update(payload=b"?")

    assert [it for it in rebuild.compare() if isinstance(it, rebuild.Difference)] == []


@pytest.mark.django_db
def test_an_answer_that_tells_the_time_is_compared_without_our_own_mark():
    receive(traded("X", 14), settled(orders=[("A", "FILLED")]))
    answer(Kind.ORDER, order("A", "FILLED", 20, executions=[("X", "FILLED")]))

    row_ = Order.objects.get(pk=A)
    assert (row_.filled_at, row_.is_fill_derived) == (second(20), False)
    assert PortfolioOrder.objects.get().filled_at == second(20)


# How long it took


def ended(status="FILLED", created=0, filled=None, cancelled=None):
    moments = {"created_at": created, "filled_at": filled, "cancelled_at": cancelled}
    told = {name: None if it is None else second(it) for name, it in moments.items()}
    return SimpleNamespace(status=status, **told)


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        (ended(filled=58), 58),
        (ended("CANCELLED", cancelled=61), 61),
        (ended("CANCELLED", filled=58, cancelled=61), 58),  # the first end, as the chart draws it
        (ended("SETTLED", filled=58), 58),
        (ended("SETTLED"), None),
        (ended("FILLED"), None),
        (ended("PROCESSING"), 300),
        (ended("PROCESSING", created=None), None),
    ],
)
def test_how_long_it_took_is_to_its_first_end_and_unknown_where_nobody_told(row, seconds):
    took = fills.took(Kind.PORTFOLIO_ORDER, row, now=NOW)

    assert took == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.django_db
def test_head_lifecycle_and_file_tell_one_duration():
    receive(
        event("ORDER.NEW", order("A", parent=None)),
        event("ORDER.FILLED", order("A", "FILLED", 59, parent=None)),
        event("ORDER.CANCELLED", order("A", "CANCELLED", 62, parent=None)),
    )
    text = words(browser().get(f"/admin/orders/order/{named('A')}/change/"))
    file = b"".join(files.orders(Selection.everything()).chunks(bom=False)).decode()

    assert "Duration 58 s" in text
    assert "1 min 01 s" not in text
    assert ",58.000," in file
