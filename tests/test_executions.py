"""What the executions of an order come to: exact, cancelled ones for nothing, unknown never guessed."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.executions import (
    Extent,
    Sum,
    cancelled_but_executed,
    cancelled_but_executed_together,
    executed,
    totals,
)
from orders.lifecycle import CANCELLED_EXECUTED

DAY, LATER = date(2026, 3, 3), date(2026, 3, 4)
LONG = "9" * 63 + "." + "0" * 26 + "1"


@dataclass
class Trade:
    share_quantity: str = "40"
    price: str = "2.50"
    cash_amount: str = "100.00"
    tax: str = "0.10"
    status: str = "FILLED"
    currency: str = "EUR"
    settlement_date: date | None = None


@dataclass
class Order:
    status: str = "FILLED"
    quantity: str = "100"
    cash_amount: str = "0"
    fee: str = "0.5"
    side: str = "BUY"
    currency: str = "EUR"
    fact: str = "3 said"


def test_quantities_and_money_are_added_up_and_the_price_is_weighted():
    done = executed(Order(), [Trade(), Trade("60", "3.00", "180.00", "0.205")])

    assert (done.ordered, done.quantity, done.leaves) == ("100", "100", "0")
    assert done.average_price == "2.800000"  # not 2.75, the mean of the prices
    assert (done.cash_amount, done.tax, done.fee) == ("280.00", "0.305", "0.5")
    assert (done.currency, done.count, done.cancelled) == ("EUR", 2, 0)


def test_a_cancelled_execution_counts_for_nothing_and_is_counted():
    done = executed(Order(), [Trade(), Trade("60", "9", "540", "7", "CANCELLED")])

    assert (done.quantity, done.average_price, done.cash_amount) == ("40", "2.50", "100.00")
    assert (done.tax, done.count, done.cancelled) == ("0.10", 1, 1)


@pytest.mark.parametrize(
    ("status", "quantity", "amount", "leaves"),
    [
        ("NEW", "100", "0", "60"),
        ("PROCESSING", "100", "0", "60"),
        ("HALTED", "100", "0", "60"),
        ("FILLED", "100", "0", "0"),
        ("CANCELLED", "100", "0", "0"),
        ("PROCESSING", "40", "0", "0"),
        ("PROCESSING", "30", "0", ""),  # more than was ordered: somebody is wrong
        ("PROCESSING", "", "0", ""),
        ("PROCESSING", "0", "250.00", ""),  # for an amount of money: known when it ends
        ("PROCESSING", "40", "250.00", ""),
        ("FILLED", "40", "250.00", "0"),
    ],
)
def test_leaves_is_what_may_still_be_executed(status, quantity, amount, leaves):
    order = Order(status, quantity, amount)

    assert executed(order, [Trade()]).leaves == leaves


@pytest.mark.parametrize(
    ("order", "trades", "quantity"),
    [
        (Order("PROCESSING"), [], "0"),
        (Order("CANCELLED"), [], "0"),
        (Order("FILLED"), [], ""),
        (Order("NEW", fact=""), [], ""),
        (Order("FILLED"), [Trade(status="CANCELLED")], "0"),
        (Order("FILLED"), [Trade(), Trade("")], ""),
    ],
)
def test_nothing_executed_is_0_where_that_is_known_and_unknown_elsewhere(order, trades, quantity):
    assert executed(order, trades).quantity == quantity


def test_executions_in_several_currencies_are_not_added_up():
    done = executed(Order(), [Trade(), Trade("60", currency="GBP")])

    assert (done.quantity, done.is_mixed, done.currency) == ("100", True, "")
    assert (done.average_price, done.cash_amount, done.tax) == ("", "", "")


def test_an_execution_that_names_no_currency_has_that_of_its_order():
    assert executed(Order(), [Trade(), Trade(currency="")]).currency == "EUR"


@pytest.mark.parametrize(
    ("status", "trades", "far", "is_complete"),
    [
        ("FILLED", ["SETTLED", "SETTLED"], (2, 2), True),
        ("CANCELLED", ["SETTLED"], (1, 1), True),
        ("PROCESSING", ["SETTLED"], (1, 1), False),
        ("FILLED", ["SETTLED", "FILLED"], (1, 2), False),
        ("FILLED", ["SETTLED", "CANCELLED"], (1, 1), True),
        ("FILLED", ["PAUSED"], (0, 1), False),
        ("FILLED", ["CANCELLED"], (0, 0), False),
        ("CANCELLED", [], (0, 0), False),
    ],
)
def test_an_order_has_settled_when_it_ended_and_all_that_counts_has(
    status, trades, far, is_complete
):
    it = executed(Order(status), [Trade(status=word) for word in trades]).settlement

    assert ((it.settled, it.total), it.is_complete) == (far, is_complete)


def test_settlement_dates_are_those_of_the_executions_that_count():
    trades = [
        Trade(status="SETTLED", settlement_date=DAY),
        Trade(settlement_date=LATER),
        Trade(status="CANCELLED", settlement_date=date(2026, 3, 9)),
    ]
    it = executed(Order(), trades).settlement
    assert (it.first, it.last, it.due) == (DAY, LATER, LATER)

    it = executed(Order(), [*trades, Trade()]).settlement
    assert (it.first, it.last, it.due) == (DAY, None, None)


def test_the_orders_of_a_portfolio_order_are_added_up_by_side_and_currency():
    told = [
        (Order(), [Trade(status="SETTLED"), Trade()]),
        (Order(side="SELL"), [Trade(cash_amount="7.5", status="SETTLED")]),
        (Order(currency="GBP", fee=""), [Trade(currency="GBP", tax="")]),
        (Order("CANCELLED"), []),
        (Order(), [Trade(), Trade(currency="GBP")]),
        (Order(), []),
    ]

    whole = totals((order, executed(order, trades)) for order, trades in told)

    assert whole.amounts == (
        Sum("BUY", "200.00", "EUR"), Sum("BUY", "100.00", "GBP"), Sum("SELL", "7.5", "EUR")
    )  # fmt: skip
    assert whole.fees == (Sum("", "2.5", "EUR"),)
    assert whole.taxes == (Sum("", "0.30", "EUR"), Sum("", "", "GBP"))
    assert (whole.settled, whole.settling, whole.mixed, whole.unknown) == (1, 4, 1, 1)


@pytest.mark.parametrize(
    ("order", "trades", "extent"),
    [
        (Order("CANCELLED"), [Trade(), Trade("60.000")], Extent.FULLY),
        (Order("CANCELLED", "100.0"), [Trade("100")], Extent.FULLY),
        (Order("CANCELLED"), [Trade()], Extent.PARTLY),
        (Order("CANCELLED"), [Trade(), Trade("60", status="CANCELLED")], Extent.PARTLY),
        (Order("CANCELLED"), [Trade("100", status="CANCELLED")], Extent.NOTHING),
        (Order("CANCELLED"), [], Extent.NOTHING),
        (Order("CANCELLED", ""), [Trade()], Extent.PARTLY),
        # For an amount of money: the quantity is what was executed, so the amounts tell.
        (Order("CANCELLED", "40", "100"), [Trade()], Extent.FULLY),
        (Order("CANCELLED", "40", "100.01"), [Trade()], Extent.PARTLY),
        (Order("CANCELLED", "40", "100"), [Trade(cash_amount="")], Extent.PARTLY),
        (Order("CANCELLED", "40", "100"), [Trade(currency="USD")], Extent.PARTLY),
        (Order("FILLED"), [Trade("100")], Extent.NOTHING),
        (Order("PROCESSING"), [Trade("100")], Extent.NOTHING),
    ],
)
def test_a_cancelled_order_says_whether_it_was_executed_all_the_same(order, trades, extent):
    assert cancelled_but_executed(order, executed(order, trades)) is extent


@pytest.mark.parametrize(
    ("status", "problems", "told", "extent"),
    [
        ("CANCELLED", CANCELLED_EXECUTED, [("CANCELLED", "100"), ("FILLED", "100")], Extent.FULLY),
        ("CANCELLED", CANCELLED_EXECUTED, [("FILLED", "")], Extent.FULLY),
        ("CANCELLED", 0, [("CANCELLED", "100"), ("CANCELLED", "40")], Extent.PARTLY),
        ("CANCELLED", 0, [("CANCELLED", "100"), ("CANCELLED", "")], Extent.PARTLY),
        ("CANCELLED", 0, [("CANCELLED", "")], Extent.NOTHING),
        ("CANCELLED", 0, [], Extent.NOTHING),
        ("FILLED", 0, [("CANCELLED", "100")], Extent.NOTHING),
    ],
)
def test_a_cancelled_portfolio_order_says_how_much_of_it_was_executed(
    status, problems, told, extent
):
    orders = [(Order(word), [Trade(quantity)] if quantity else []) for word, quantity in told]
    known = [(order, executed(order, trades)) for order, trades in orders]

    assert cancelled_but_executed_together(status, problems, known) is extent


AMOUNTS = st.from_regex(r"\d{1,63}(\.\d{1,27})?", fullmatch=True, alphabet="0123456789.")


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), min_size=1, max_size=6), AMOUNTS)
def test_amounts_of_ninety_digits_come_out_as_in_exact_fractions(parts, ordered):
    trades = [Trade(*part) for part in parts]

    done = executed(Order("PROCESSING", ordered), trades)

    shares = [Fraction(trade.share_quantity) for trade in trades]
    assert Fraction(done.quantity) == sum(shares)
    assert Fraction(done.cash_amount) == sum(Fraction(trade.cash_amount) for trade in trades)
    assert Fraction(done.tax) == sum(Fraction(trade.tax) for trade in trades)
    if left := done.leaves:
        assert Fraction(left) == Fraction(ordered) - sum(shares)
    else:
        assert Fraction(ordered) < sum(shares)
    if not sum(shares):
        assert done.average_price in ("", trades[0].price)
        return
    worth = (share * Fraction(it.price) for share, it in zip(shares, trades, strict=True))
    exact = sum(worth, Fraction()) / sum(shares)
    step = Fraction(1, 10 ** len(done.average_price.partition(".")[2]))
    assert abs(Fraction(done.average_price) - exact) <= step / 2
    assert "E" not in done.quantity + done.average_price + done.cash_amount + done.tax


def test_an_amount_of_ninety_digits_loses_none():
    done = executed(Order("PROCESSING", LONG), [Trade("1"), Trade("2")])

    assert Decimal(done.leaves) == Decimal(LONG[:62] + "6" + LONG[63:])
