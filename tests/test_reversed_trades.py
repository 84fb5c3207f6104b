"""A trade that was reversed never looks executed: in no list, page, chart or bar."""

from datetime import timedelta

import pytest

from orders import journal, projection
from orders.executions import REVERSED
from orders.lanes.lives import life_of
from orders.lifecycle import MISTRADE
from orders.models import Order, PortfolioOrder
from orders.progress import Progress, progress_of
from orders.timeline.history import history_of_order, subject
from tests.staff import browser, html, words
from tests.stories import START, at, event, execution, named, order, portfolio_order

pytestmark = pytest.mark.django_db

NOW = START + timedelta(minutes=5)
ORDERS, PORTFOLIO_ORDERS = "/admin/orders/order/", "/admin/orders/portfolioorder/"
PAGE = f"{PORTFOLIO_ORDERS}{named('P')}/change/"


def receive(*events):
    journal.record_events(events, delivery_id=1, now=NOW)
    projection.drain(now=NOW)


def reversal(name, of, seconds=60):
    told = execution(name, "CANCELLED", of, updated_at=at(seconds))
    return event("EXECUTION.CANCELLED", told)


@pytest.fixture
def mistrade():
    """Two filled orders; the trade of one was reversed."""
    for name in "AB":
        filled = order(name, "FILLED", 20, executions=[(f"X{name}", "FILLED")])
        receive(event("ORDER.NEW", order(name)), event("ORDER.FILLED", filled))
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event(
            "PORTFOLIO_ORDER.FILLED",
            portfolio_order("FILLED", 22, [("A", "FILLED"), ("B", "FILLED")]),
        ),
        reversal("XA", "A"),
    )


def test_the_list_of_orders_shows_that_nothing_is_executed(mistrade):
    text = words(browser().get(ORDERS))

    assert "250.00 EUR 0 of 2.5000" in text
    assert "250.00 EUR 2.5000 " in text  # that of the other order


def test_the_list_of_portfolio_orders_and_its_bar_tell_what_is_reversed(mistrade):
    response = browser().get(PORTFOLIO_ORDERS)

    assert "1 of 2 filled, 1 reversed" in words(response)
    assert html(response).count('class="seg-reversed"') == 1
    assert html(response).count('class="seg-filled"') == 1


def test_the_page_of_the_portfolio_order_tells_it_everywhere(mistrade):
    response = browser().get(PAGE)
    text, page = words(response), html(response)

    assert "1 of 2 orders filled, 1 reversed" in text
    assert 'class="seg-reversed"' in page
    assert "Filled Reversed IE00B3XXRP09 Buy 250.00 EUR 0 of 2.5000" in text
    assert "All executions settled" not in text
    assert 'href="#end-reversed"' in page and "Reversed</li>" in page


def test_all_executions_settled_never_stands_beside_reversed_ones(mistrade):
    settled = execution("XB", "SETTLED", "B", settlement_date="2026-03-03")
    receive(event("EXECUTION.SETTLED", settled))

    text = words(browser().get(PAGE))

    assert "All other executions settled 1 execution cancelled" in text
    assert "All executions settled" not in text


def test_the_page_of_the_order_says_reversed_and_its_lane_when(mistrade):
    row = Order.objects.get(pk=named("A"))
    text = words(browser().get(f"{ORDERS}{row.pk}/change/"))
    assert "Filled Reversed Buy" in text
    assert "Executed 0 of 2.5000" in text

    items = history_of_order(row).items
    life = life_of(subject(row), items, now=NOW, late_after=timedelta(minutes=1))
    assert [end.status for end in life.ends] == ["FILLED", REVERSED]
    assert life.ends[1].at == START + timedelta(seconds=60)


def test_an_order_of_which_a_part_was_reversed_says_so():
    trades = [
        execution(name, order="A", share_quantity=n) for name, n in (("X", "1"), ("Y", "1.5"))
    ]
    receive(event("ORDER.FILLED", order("A", "FILLED", 20) | {"executions": trades}))
    receive(reversal("X", "A"))

    text = words(browser().get(f"{ORDERS}{named('A')}/change/"))

    assert "Filled Partly reversed Buy" in text
    assert "Executed 1.5 of 2.5000" in text


def test_equal_quantities_in_two_spellings_are_a_full_fill():
    trades = [execution(order="A", share_quantity="2.5291924840")]
    filled = order("A", "FILLED", 20, quantity="2.529192484") | {"executions": trades}
    receive(event("ORDER.FILLED", filled))

    client = browser()
    assert "250.00 EUR 2.529192484 " in words(client.get(ORDERS))
    page = words(client.get(f"{ORDERS}{named('A')}/change/"))
    assert "Executed 2.529192484 of 2.529192484" in page


def test_progress_counts_reversed_orders_apart_with_one_query(mistrade, django_assert_num_queries):
    pk = PortfolioOrder.objects.get().pk
    with django_assert_num_queries(1):
        progress = progress_of([pk])[pk]

    assert progress == Progress({"FILLED": 2}, problems=MISTRADE, reversed=1)
    assert progress.sentence == "1 of 2 filled, 1 reversed"
    assert [part.status for part in progress.segments(gap=0)] == ["FILLED", REVERSED]


def test_a_cancelled_order_that_traded_is_named_on_both_pages():
    trades = [execution("X", order="A", side="SELL", cash_amount="250.00")]
    cancelled = order("A", "CANCELLED", 20, side="SELL") | {"executions": trades}
    receive(
        event("ORDER.CANCELLED", cancelled),
        event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 21, [("A", "CANCELLED")])),
    )

    said = "Cancelled, but fully executed: 250.00 EUR sold"
    client = browser()
    assert said in words(client.get(PAGE))
    assert "0 of 1 order filled, 1 cancelled but executed" in words(client.get(PAGE))
    listed = client.get(PORTFOLIO_ORDERS)
    assert "0 of 1 filled, 1 cancelled but executed" in words(listed)
    assert 'class="seg-executed"' in html(listed)
    assert said in words(client.get(f"{ORDERS}{named('A')}/change/"))
