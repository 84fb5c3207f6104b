"""Executions on the pages and the list: the facts of the head, the card, the totals, the history."""

from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import Execution
from orders.tracked import Source
from tests.listed import NOW, receive
from tests.staff import JOURNAL, ORDERS, browser, html, page, words
from tests.stories import event, execution, life, named, order, portfolio_order, sample

P, A = UUID(named("P")), UUID(named("A"))
ORDER_PAGE = f"{ORDERS}{A}/change/"
UNITS = {"quantity": "100", "cash_amount": "0"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


def answered(answer, *, now=NOW):
    about = UUID(answer["id"])
    entry = journal.record_answer(
        Kind.ORDER, answer, about=about, source=Source.POLL, actor="", now=now
    )
    projection.drain(now=now)
    return entry


def trade(name, quantity, price, amount, status="FILLED", **more):
    known = {"share_quantity": quantity, "price": price, "cash_amount": amount}
    return execution(name, status, **known, **more)


def traded(status="FILLED", *, trades, seconds=20, **more):
    return order("A", status, seconds, **UNITS | more) | {"executions": trades}


def test_the_head_of_an_order_says_what_its_executions_come_to(client):
    trades = [trade("X", "10", "2.00", "20.00"), trade("Y", "30", "3.00", "90.00")]
    receive(event("ORDER.PROCESSING", traded("PROCESSING", trades=trades)))

    text = words(client.get(ORDER_PAGE))

    assert "Executed 40 of 100 Remaining 60 Average price 2.750000 EUR Fees 0.00 EUR" in text
    assert "Taxes 0.20 EUR Settlement Not settled yet" in text
    assert "Total 2 executions 40 2.750000 110.00 EUR 0.20 EUR" in text


def test_a_cancelled_execution_is_marked_with_a_word_and_counts_for_nothing(client):
    trades = [trade("X", "40", "2.00", "80.00"), trade("Y", "60", "9.00", "540.00")]
    receive(event("ORDER.FILLED", traded(trades=trades)))
    receive(event("EXECUTION.CANCELLED", trade("Y", "60", "9.00", "540.00", "CANCELLED")))

    response = client.get(ORDER_PAGE)

    text = words(response)
    assert "Executed 40 of 100 1 execution cancelled Remaining 0 Average price 2.00 EUR" in text
    assert "Cancelled 2 Mar 2026, 10:00:20 60 9.00 540.00 EUR" in text
    assert "Total 1 execution, excluding 1 cancelled 40 2.00 80.00 EUR" in text
    assert html(response).count('<tr class="struck">') == 1


def test_executions_in_two_currencies_are_not_added_up_and_the_card_says_so(client):
    other = trade("Y", "60", "3.00", "180.00", currency="GBP")
    receive(event("ORDER.FILLED", traded(trades=[trade("X", "40", "2.00", "80.00"), other])))

    text = words(client.get(ORDER_PAGE))

    assert "The executions are in EUR and GBP, so amounts are not added up." in text
    assert "Executed 100 of 100 Remaining 0 Average price — " in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (UNITS, "Cancelled, but partly executed: 40 of 100 shares bought"),
        (
            {"quantity": "40", "cash_amount": "250.00"},
            "Cancelled, but partly executed: 80.00 of 250.00 EUR bought",
        ),
        (
            {"quantity": "40.0", "cash_amount": "0"},
            "Cancelled, but fully executed: 80.00 EUR bought",
        ),
        ({"cash_amount": "80.0"}, "Cancelled, but fully executed: 80.00 EUR bought"),
    ],
)
def test_an_order_that_was_cancelled_half_way_says_how_far_it_was(client, more, said):
    trades = [trade("X", "40", "2.00", "80.00")]
    receive(event("ORDER.CANCELLED", traded("CANCELLED", trades=trades, **more)))

    assert said in words(client.get(ORDER_PAGE))


def test_the_brokers_own_sample_of_a_half_filled_order_says_how_far_it_was(client):
    half = sample("order.cancelled.after_partial_fill")
    receive(event("ORDER.CANCELLED", half))

    text = words(client.get(f"{ORDERS}{half['id']}/change/"))

    assert "Cancelled, but partly executed: 100.00 of 250.00 EUR bought" in text
    assert "Settlement Not settled yet" in text


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([("FILLED", None), ("FILLED", None)], "Not settled yet"),
        ([("FILLED", "2026-03-03"), ("FILLED", "2026-03-04")], "Settles by 4 Mar 2026"),
        ([("FILLED", "2026-02-27")], "Should have settled by 27 Feb 2026"),
        (
            [("SETTLED", "2026-03-03"), ("FILLED", None)],
            "Partly settled, 1 of 2 executions",
        ),
        (
            [("SETTLED", "2026-03-03"), ("FILLED", "2026-03-04")],
            "Partly settled, 1 of 2 executions, the others settle by 4 Mar 2026",
        ),
        ([("SETTLED", "2026-03-03"), ("SETTLED", "2026-03-04")], "Settled on 3 Mar to 4 Mar 2026"),
        ([("SETTLED", "2026-03-03"), ("CANCELLED", None)], "Settled on 3 Mar 2026"),
        ([], "—"),
    ],
)
def test_the_settlement_of_an_order_is_seen_from_its_executions(client, statuses, said):
    trades = [
        trade(f"X{number}", "1", "2", "2", status, settlement_date=day)
        for number, (status, day) in enumerate(statuses)
    ]
    receive(event("ORDER.FILLED", traded(trades=trades)))

    assert f"Settlement {said} " in words(client.get(ORDER_PAGE))


def test_each_execution_says_from_which_entry_we_learned_it(client):
    receive(event("ORDER.PROCESSING", traded("PROCESSING", trades=[], seconds=3)))
    receive(event("EXECUTION.FILLED", trade("X", "40", "2.00", "80.00")))
    trades = [trade("X", "40", "2.00", "80.00"), trade("Y", "60", "3.00", "180.00")]
    poll = answered(traded(trades=trades))

    text = html(client.get(ORDER_PAGE))

    assert text.count(f'<a href="{JOURNAL}{poll.pk}/change/">check</a>') == 2
    assert "Executed 100 of 100" in words(client.get(ORDER_PAGE))


def test_an_execution_that_an_answer_no_longer_names_stays_and_counts(client):
    trades = [trade("X", "40", "2.00", "80.00"), trade("Y", "60", "3.00", "180.00")]
    receive(event("ORDER.FILLED", traded(trades=trades)))
    answered(traded(trades=trades[:1], seconds=30))

    assert Execution.objects.count() == 2
    assert "Executed 100 of 100" in words(client.get(ORDER_PAGE))


def test_the_page_of_a_portfolio_order_adds_up_what_its_orders_bought_and_sold(client):
    receive(*life())
    sold = order("C", "FILLED", 20, side="SELL", fee="0.5")
    sold["executions"] = [execution("Z", order="C", side="SELL", cash_amount="40.5")]
    receive(event("ORDER.FILLED", sold))

    text = words(client.get(page(P)))

    assert "Bought 250.00 EUR Sold 40.50 EUR Fees 0.50 EUR Taxes 0.20 EUR" in text
    assert "Settlement 1 of 2 orders settled" in text


def test_a_portfolio_order_whose_executions_have_all_settled_says_so(client):
    receive(*life())

    assert "Settlement All executions settled" in words(client.get(page(P)))


def test_the_history_says_in_a_sentence_what_was_traded_and_what_became_of_it(client):
    receive(*life())
    receive(event("EXECUTION.CANCELLED", execution("X", "CANCELLED", settlement_date=None)))

    for path in (page(P), ORDER_PAGE):
        text = words(client.get(path))
        bought = "Bought 2.5000 at 100.00 EUR for 250.00 EUR, tax 0.10 EUR"
        assert f"Execution filled {bought}." in text
        assert f"Execution settled {bought}, settlement date 2026-03-03." in text
        gone = "Trade reversed: 2.5000 at 100.00 EUR for 250.00 EUR no longer counts."
        assert f"Execution cancelled {gone} The broker cancelled this execution." in text


def test_an_order_for_a_number_of_shares_names_them_where_others_name_their_money(client):
    receive(event("ORDER.NEW", order("A", **UNITS)), event("ORDER.NEW", order("B")))

    listed = words(client.get(ORDERS))
    assert "Buy IE00B3XXRP09 100 shares placed" in words(client.get(ORDER_PAGE))
    assert "Buy 100 shares 100" in listed
    assert "Buy 250.00 EUR" in listed
    assert "0.00 EUR" not in listed.replace("250.00", "")


def test_the_list_of_orders_shows_how_much_of_the_quantity_was_executed(client):
    receive(
        event("ORDER.PROCESSING", traded("PROCESSING", trades=[trade("X", "40", "2", "80")])),
        event("ORDER.NEW", order("B", **UNITS)),
    )

    text = words(client.get(ORDERS))

    assert "40 of 100" in text
    assert "0 of 100" not in text.replace("40 of 100", "")


def test_the_list_and_the_page_ask_the_same_few_questions_for_1_execution_and_for_30(client):
    paths = (ORDERS, ORDER_PAGE, page(P))
    counts = []
    for many in (1, 30):
        trades = [trade(f"X{number}", "1", "2", "2") for number in range(many)]
        receive(event("ORDER.FILLED", traded(trades=trades, seconds=many)))
        receive(*(event("EXECUTION.FILLED", it, name=f"told {it['id']}") for it in trades))
        receive(event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", many)))
        asked = []
        for path in paths:
            client.get(path)
            with CaptureQueriesContext(connection) as queries:
                html(client.get(path))
            asked.append(len(queries))
        counts.append(asked)

    assert counts[0] == counts[1]
    assert counts[0][0] <= 6
    assert max(counts[0]) <= 13  # one keeps that a payload was looked at
