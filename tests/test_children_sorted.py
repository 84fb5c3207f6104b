"""The orders of a portfolio order on its page: the open ones first, and sorted by a column for whoever wants it."""

import pytest
import time_machine

from orders import journal, projection
from tests.staff import browser, html, page, words
from tests.stories import START, event, named, order, portfolio_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    with time_machine.travel(START, tick=False):
        journal.record_events(
            [
                event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING")),
                event("ORDER.FILLED", order("filled", "FILLED", 9, cash_amount="9.5")),
                event("ORDER.NEW", order("new", cash_amount="100")),
                event("ORDER.CANCELLED", order("cancelled", "CANCELLED", 20, cash_amount="20")),
                event("ORDER.PROCESSING", order("processing", "PROCESSING", 5, cash_amount="3")),
            ],
            delivery_id=1,
            now=START,
        )
        projection.drain(now=START)
        yield browser()


@pytest.mark.parametrize(("by", "wanted"), [
    ("", "processing new cancelled filled"),
    ("nonsense", "processing new cancelled filled"),
    ("amount", "processing filled cancelled new"),
    ("-amount", "new cancelled filled processing"),
    ("status", "new processing filled cancelled"),
])  # fmt: skip
def test_they_stand_in_the_order_that_is_asked_for_and_else_the_open_ones_come_first(
    client, by, wanted
):
    answer = client.get(page(named("P")), {"by": by})

    names = {named(name): name for name in wanted.split()}
    assert [names[str(it.pk)] for it in answer.context["orders"]] == wanted.split()


def test_the_heads_of_the_columns_turn_the_order_round_and_lead_back(client):
    first = html(client.get(page(named("P"))))
    assert 'href="?by=amount#orders">Amount</a>' in first
    assert "open ones and those with a problem first" in words(client.get(page(named("P"))))

    again = html(client.get(page(named("P")), {"by": "amount"}))
    assert 'href="?by=-amount#orders">Amount ↑</a>' in again
    assert 'href="?#orders">Open ones first</a>' in again
