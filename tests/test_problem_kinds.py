"""The kinds of problems of an order: each is set by what was reported, found by its filter, and explained."""

from importlib import import_module

import pytest
from django.apps import apps

from orders import journal, projection
from orders.lifecycle import CANCELLED_EXECUTED
from orders.models import Order, PortfolioOrder
from orders.problems import OF_ORDERS, problems_in
from tests.staff import LIST, ORDERS, browser, page, words
from tests.stories import START, event, execution, named, order, portfolio_order

pytestmark = pytest.mark.django_db


def receive(*events):
    journal.record_events(events, delivery_id=1, now=START)
    projection.drain(now=START)


def cancelled(*executions, name="A", **more):
    told = order(name, "CANCELLED", 9, **more) | {"executions": [*executions]}
    return event("ORDER.CANCELLED", told)


def found(path, **asked):
    return {
        str(row.pk) for row in browser(name="finder").get(path, asked).context["cl"].result_list
    }


@pytest.mark.parametrize(("executions", "more", "is_one"), [
    ([execution("X")], {}, True),
    ([execution("X", cash_amount="100.00"), execution("Y", cash_amount="150.00")], {}, True),
    ([execution("X", cash_amount="249.99")], {}, False),
    ([execution("X", "CANCELLED")], {}, False),
    ([], {}, False),
    ([execution("X", share_quantity="7.50")], {"cash_amount": "", "quantity": "7.5"}, True),
    ([execution("X", share_quantity="7.4")], {"cash_amount": "", "quantity": "7.5"}, False),
])  # fmt: skip
def test_an_order_that_is_cancelled_and_traded_in_full_is_a_problem(executions, more, is_one):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), cancelled(*executions, **more))

    expected = {named("P")} if is_one else set()
    assert bool(Order.objects.get().problems & CANCELLED_EXECUTED) is is_one
    assert found(LIST, problem="executed") == expected


def test_it_is_no_problem_any_more_when_the_execution_is_reversed():
    receive(cancelled(execution("X")))
    receive(event("EXECUTION.CANCELLED", execution("X", "CANCELLED")))

    assert Order.objects.get().problems == 0


def test_an_order_that_was_here_before_this_was_looked_at_gets_the_flag():
    receive(cancelled(execution("X")), cancelled(name="B"))
    Order.objects.update(problems=1)

    flag = import_module("orders.migrations.0019_cancelled_executed").flag
    flag(apps, None)
    flag(apps, None)

    problems = dict(Order.objects.values_list("pk", "problems"))
    assert sorted(problems.values()) == [1, 1 | CANCELLED_EXECUTED]


def test_a_problem_is_explained_on_the_page_of_the_order_and_of_its_portfolio_order():
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), cancelled(execution("X")))
    (problem,) = problems_in(Order.objects.get().problems)
    client = browser()

    assert f"{problem.label}. {problem.line}" in words(client.get(f"{ORDERS}{named('A')}/change/"))
    told = words(client.get(page(named("P"))))
    assert f"{problem.label}, 1 order: IE00B3XXRP09. {problem.line}" in told


@pytest.mark.parametrize("problem", OF_ORDERS, ids=lambda problem: problem.name)
def test_every_kind_can_be_filtered_in_both_lists_and_says_what_it_means_and_what_to_do(problem):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), event("ORDER.NEW", order("A")))
    Order.objects.update(problems=problem.bit)

    assert found(LIST, problem=problem.name) == {named("P")}
    rows = browser().get(ORDERS, {"problem": problem.name}).context["cl"].result_list
    assert [str(row.pk) for row in rows] == [named("A")]
    assert problem.meaning.endswith(".")
    assert problem.advice.endswith(".")


def test_an_order_that_no_portfolio_order_stands_for_is_found_by_itself():
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event("ORDER.HALTED", order("A", "HALTED")),
        event("ORDER.HALTED", order("B", "HALTED", parent=None)),
        event("ORDER.HALTED", order("C", "HALTED", parent="never heard of")),
    )

    assert found(ORDERS, problem="alone") == {named("B"), named("C")}


def test_a_missed_webhook_is_no_problem_of_the_order_and_has_a_filter_of_its_own(settings):
    receive(event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED")))
    PortfolioOrder.objects.update(missing_since=START)

    assert found(LIST, problem="any") == set()
    assert browser().get(LIST, {"problem": "missed"}).context["cl"].result_count == 1
