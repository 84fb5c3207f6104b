"""Executions in a browser: what an order and a portfolio order came to, read at a glance, in both schemes."""

from uuid import UUID

import pytest
from django.utils import timezone

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import Order
from orders.tracked import Source
from tests.browser import flaws
from tests.staff import ORDERS, browser, page
from tests.stories import event, execution, life, named, order, portfolio_order

P, A, C = (UUID(named(name)) for name in "PAC")
SIBLINGS = [("A", "FILLED"), ("B", "CANCELLED"), ("C", "FILLED")]


def trade(name, status="FILLED", **more):
    known = {"side": "SELL", "share_quantity": "30", "price": "1.35", "cash_amount": "40.50"}
    taxes = [{"type": "TOTAL", "amount": "1.07"}]
    return execution(name, status, order="C", **known | {"taxes": taxes} | more)


@pytest.fixture
def told(look):
    """Record a portfolio order that bought and sold, with a mistrade and an execution that a poll told."""
    sold = order("C", "FILLED", 20, side="SELL", fee="0.5", quantity="70", cash_amount="0")
    sold["executions"] = [trade("Y"), trade("Z", share_quantity="40", cash_amount="54.00")]
    _receive(
        *life(),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 95, SIBLINGS)),
        event("ORDER.FILLED", sold),
        event("EXECUTION.CANCELLED", trade("Z", "CANCELLED", share_quantity="40")),
    )
    polled = sold | {"executions": [trade("Y", "SETTLED", settlement_date="2026-03-04")]}
    journal.record_answer(
        Kind.ORDER, polled, about=C, source=Source.POLL, actor="", now=timezone.now()
    )
    projection.drain(now=timezone.now())


def _receive(*events):
    journal.record_events(events, delivery_id=1, now=timezone.now())
    projection.drain(now=timezone.now())


def facts(shown):
    """Return the facts of the head of a page, name by name."""
    names, values = (shown.locator(f".head .facts {it}").all_inner_texts() for it in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def test_an_order_shows_what_was_executed_and_a_mistrade_struck_out(look, told):
    window = look(browser("Viewer"))

    shown = window.open(f"{ORDERS}{C}/change/")

    told_of = facts(shown)
    assert "30 of 70" in told_of["Executed"]
    assert "1 execution cancelled" in told_of["Executed"]
    assert told_of["Remaining"] == "0"
    assert told_of["Average price"] == "1.35 EUR"
    assert told_of["Fees"] == "0.50 EUR"
    assert told_of["Taxes"] == "1.07 EUR"
    assert "4 Mar 2026" in told_of["Settlement"]
    struck = shown.locator("tr.struck")
    assert "Cancelled" in struck.inner_text()
    assert "line-through" in struck.locator("td").nth(2).evaluate(
        "it => getComputedStyle(it).textDecorationLine"
    )
    assert window.complaints == []


def test_each_execution_leads_to_the_entry_that_told_of_it(look, told):
    window = look(browser("Viewer"))

    shown = window.open(f"{ORDERS}{C}/change/")
    shown.locator("#executions tbody tr", has_text="Settled").get_by_role(
        "link", name="check"
    ).click()

    entry = shown.locator("main, #content").first
    assert "Scheduled check" in entry.inner_text()
    assert str(C)[:8] in entry.inner_text()


def test_a_portfolio_order_adds_up_both_sides_and_counts_what_has_settled(look, told):
    window = look(browser("Viewer"))

    told_of = facts(window.open(page(P)))

    assert told_of["Bought"] == "250.00 EUR"
    assert told_of["Sold"] == "40.50 EUR"
    assert told_of["Fees"] == "0.50 EUR"
    assert told_of["Taxes"] == "1.17 EUR"
    assert Order.objects.filter(portfolio_order_id=P).count() == 3


def test_the_pages_of_executions_stand_in_nobodys_way(look, told):
    paths = (page(P), f"{ORDERS}{C}/change/", f"{ORDERS}{A}/change/", ORDERS)

    assert flaws(look(browser("Viewer")), *paths) == []
