"""The market of the stand-in: what becomes of orders, on a clock that is set."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from backoffice.sandbox.manners import Manners
from backoffice.sandbox.market import EndedError, Market, UnknownError
from backoffice.sandbox.placements import OrderPlacement, Placement
from backoffice.sandbox.speed import Speed

SAMPLES = Path(__file__).parent / "samples"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
USER = "4e97711f-794d-49c7-8fd1-df96532ab6f0"
ACCOUNT = "840def04-f711-4274-b381-f20c93f39362"
BUY = Placement(USER, ACCOUNT, "1000.00")


def new_market(seed=1, oddities=0.0):
    return Market(seed=seed, speed=Speed.demo(), oddities=oddities)


def steps(market, start=NOW):
    """Yield the time of each step while taking it."""
    now = start
    while now is not None:
        yield now, market.advance(now)
        now = market.next_at()


def events_of(market):
    return [event for _, events in steps(market) for event in events]


def shape(value):
    """Return the names and kinds of a document, without its values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return shape(value[0]) if value else []
    return type(value).__name__


def sample(name):
    return json.loads((SAMPLES / name).read_text())


@pytest.fixture
def placed():
    market = new_market()
    return market, market.place(BUY, now=NOW)["id"]


def until(market, portfolio_order_id, status):
    for now, _ in steps(market):
        if market.portfolio_order(portfolio_order_id)["status"] == status:
            return now
    pytest.fail(f"never {status}")


def test_a_placed_portfolio_order_has_the_shape_of_the_sample_and_no_orders_yet():
    placed = new_market().place(BUY, now=NOW)

    assert shape(placed) == shape(sample("portfolio_order.new.json"))
    assert placed["status"] == "NEW"
    assert placed["orders"] == []


def test_a_portfolio_order_goes_through_every_state_and_its_events_tell_each_once(placed):
    market, portfolio_order_id = placed

    told = [e.type for e in events_of(market) if e.topic == "PORTFOLIO_ORDER"]

    assert told == [f"PORTFOLIO_ORDER.{s}" for s in ("NEW", "PROCESSING", "FILLED", "SETTLED")]
    assert market.portfolio_order(portfolio_order_id)["status"] == "SETTLED"


def test_each_order_goes_from_new_to_filled_and_its_executions_settle(placed):
    market, _ = placed
    told = defaultdict(list)
    for event in events_of(market):
        told[event.child].append(event.type)

    del told[0]
    assert 3 <= len(told) <= 12
    for types in told.values():
        executions = types.count("EXECUTION.FILLED")
        assert 1 <= executions <= 2
        assert types == [
            "ORDER.NEW",
            "ORDER.PROCESSING",
            *["EXECUTION.FILLED"] * executions,
            "ORDER.FILLED",
            *["EXECUTION.SETTLED"] * executions,
        ]


def test_orders_and_executions_have_the_shape_of_the_samples(placed):
    market, _ = placed
    objects = {event.type: event.object for event in events_of(market)}

    assert shape(objects["ORDER.NEW"]) == shape(sample("order.new.json"))
    assert shape(objects["ORDER.FILLED"]) == shape(sample("order.filled.json"))
    assert shape(objects["EXECUTION.FILLED"]) == shape(sample("execution.filled.json"))
    assert shape(objects["EXECUTION.SETTLED"]) == shape(sample("execution.settled.json"))
    assert shape(objects["PORTFOLIO_ORDER.SETTLED"]) == shape(
        sample("portfolio_order.settled.json")
    )


def test_the_amounts_of_orders_and_executions_add_up_to_the_amount_placed():
    market = new_market()
    placed = market.place(Placement(USER, ACCOUNT, "18000.07"), now=NOW)
    events_of(market)

    orders = market.orders()
    assert sum(Decimal(order["cash_amount"]) for order in orders) == Decimal(placed["cash_amount"])
    for order in orders:
        executions = order["executions"]
        assert sum(Decimal(e["cash_amount"]) for e in executions) == Decimal(order["cash_amount"])
        assert sum(Decimal(e["share_quantity"]) for e in executions) == Decimal(order["quantity"])


def test_orders_name_their_portfolio_order_and_are_listed_in_it(placed):
    market, portfolio_order_id = placed
    events_of(market)

    orders = market.orders()
    listed = market.portfolio_order(portfolio_order_id)["orders"]
    assert {order["client_reference"] for order in orders} == {portfolio_order_id}
    assert {order["initiation_flow"] for order in orders} == {"PORTFOLIO"}
    assert {item["id"] for item in listed} == {order["id"] for order in orders}


def test_each_instrument_occurs_once_in_a_portfolio_order(placed):
    market, _ = placed
    events_of(market)

    instruments = [order["instrument_id"] for order in market.orders()]
    assert len(set(instruments)) == len(instruments)


def test_time_stamps_have_no_two_or_three_digits_of_a_second():
    market = new_market()
    market.place_some(20, now=NOW)

    stamps = [event.document("")["created_at"] for event in events_of(market)]
    assert {len(stamp.partition(".")[2].rstrip("Z")) for stamp in stamps} == {0, 2, 3}


def test_events_come_in_the_order_of_their_time_and_each_has_its_own_id():
    market = new_market(oddities=3)
    market.place_some(50, now=NOW)

    events = events_of(market)
    assert [e.created_at for e in events] == sorted(e.created_at for e in events)
    assert len({event.id for event in events}) == len(events)


def test_the_same_seed_gives_the_same_lives_however_the_clock_is_moved():
    def told(stride):
        market = new_market(seed=7, oddities=2)
        market.place_some(20, now=NOW)
        events, now = [], NOW
        while market.next_at():
            now += stride
            events += market.advance(now)
        return [event.document("") for event in events]

    assert told(SECOND) == told(DAY)


def test_another_seed_gives_other_lives():
    def ids(seed):
        market = new_market(seed=seed)
        return [item["id"] for item in market.place_some(3, now=NOW)]

    assert not set(ids(1)) & set(ids(2))


def test_among_many_some_are_cancelled_some_are_rebalancings_and_some_are_mixed():
    market = new_market(oddities=1)
    market.place_some(300, now=NOW)
    events_of(market)

    portfolio_orders = market.portfolio_orders()
    ends = Counter(item["status"] for item in portfolio_orders)
    assert set(ends) == {"SETTLED", "CANCELLED"}
    assert ends["SETTLED"] > 250
    assert {item["type"] for item in portfolio_orders} == {"BUY", "SELL", "REBALANCING"}
    assert {item["initiation_flow"] for item in portfolio_orders} == {"API", "SAVINGS_PLAN"}
    assert any(
        {child["status"] for child in item["orders"]} == {"FILLED", "CANCELLED"}
        for item in portfolio_orders
    )


def test_a_rebalancing_names_no_user_and_no_amount_and_trades_on_both_sides():
    market = new_market()
    market.place(BUY, now=NOW)
    made = market.place(Placement(USER, ACCOUNT, "0", type="REBALANCING"), now=NOW)
    events_of(market)

    held = market.portfolio_order(made["id"])
    assert shape(held) == shape(sample("portfolio_order.rebalancing.json"))
    assert held["cash_amount"] == "0"
    flows = {o["initiation_flow"] for o in market.orders() if o["client_reference"] == held["id"]}
    assert flows == {"PORTFOLIO_REBALANCING"}


def test_a_cancelled_order_says_why_and_may_have_been_filled_in_part():
    market = new_market(oddities=1)
    market.place_some(300, now=NOW)
    events_of(market)

    cancelled = [order for order in market.orders() if order["status"] == "CANCELLED"]
    assert all(order["cancellation_reason"] for order in cancelled)
    assert {bool(order["executions"]) for order in cancelled} == {True, False}


def test_some_orders_cost_a_fee_once_filled_and_sales_are_taxed_to_the_cent():
    market = new_market(oddities=1)
    market.place_some(100, now=NOW)
    fees = {(e.type, e.object["fee"]) for e in events_of(market) if e.topic == "ORDER"}

    assert {fee for step, fee in fees if step != "ORDER.FILLED"} == {"0.0"}
    assert {fee for step, fee in fees if step == "ORDER.FILLED"} == {"0.0", "0.5"}
    taxes: dict[str, list[str]] = {"BUY": [], "SELL": []}
    for order in market.orders():
        for it in order["executions"]:
            (tax,) = it["taxes"]
            taxes[order["side"]].append(tax["amount"])
            assert 0 <= Decimal(tax["amount"]) < Decimal(it["cash_amount"]) * 3 / 10
    assert set(taxes["BUY"]) == {"0.00"}
    assert len(set(taxes["SELL"])) > 20


def test_a_mistrade_cancels_the_executions_of_an_order_that_stays_filled():
    market = new_market(oddities=5)
    market.place_some(100, now=NOW)
    for _ in range(100):
        market.place_order(OrderPlacement(USER, ACCOUNT, "100.00", "IE00B3XXRP09"), now=NOW)
    told = defaultdict(list)
    for event in events_of(market):
        if event.topic == "EXECUTION":
            told[event.object["order_id"]].append(event.type.rpartition(".")[2])

    mistrades = [
        order
        for order in market.orders()
        if order["status"] == "FILLED" and {e["status"] for e in order["executions"]} != {"SETTLED"}
    ]
    assert {bool(order["client_reference"]) for order in mistrades} == {True, False}
    for order in mistrades:
        count = len(order["executions"])
        assert {e["status"] for e in order["executions"]} == {"CANCELLED"}
        assert not any("settlement_date" in e for e in order["executions"])
        assert told[order["id"]] == ["FILLED"] * count + ["CANCELLED"] * count


def test_a_new_portfolio_order_can_be_cancelled(placed):
    market, portfolio_order_id = placed
    market.cancel(portfolio_order_id, now=NOW)

    assert market.portfolio_order(portfolio_order_id)["status"] == "NEW"
    assert [e.type for e in events_of(market)] == [
        "PORTFOLIO_ORDER.NEW",
        "PORTFOLIO_ORDER.CANCELLED",
    ]
    held = market.portfolio_order(portfolio_order_id)
    assert shape(held) == shape(sample("portfolio_order.cancelled.client.json"))
    assert held["cancellation_reason"] == "CANCELLED_BY_CLIENT"


def test_cancelling_in_the_middle_keeps_what_is_filled_and_settles_it(placed):
    market, portfolio_order_id = placed
    now = next(
        now
        for now, _ in steps(market)
        if {"FILLED", "PROCESSING"}
        <= {c["status"] for c in market.portfolio_order(portfolio_order_id)["orders"]}
    )
    market.cancel(portfolio_order_id, now=now)
    events_of(market)

    held = market.portfolio_order(portfolio_order_id)
    assert held["status"] == "CANCELLED"
    assert {child["status"] for child in held["orders"]} == {"FILLED", "CANCELLED"}
    filled = [order for order in market.orders() if order["status"] == "FILLED"]
    assert {e["status"] for order in filled for e in order["executions"]} == {"SETTLED"}


def test_a_portfolio_order_that_has_ended_cannot_be_cancelled(placed):
    market, portfolio_order_id = placed
    now = until(market, portfolio_order_id, "FILLED")

    with pytest.raises(EndedError, match="FILLED"):
        market.cancel(portfolio_order_id, now=now)


def test_a_cancellation_that_comes_too_late_is_announced_as_rejected(placed):
    market, portfolio_order_id = placed
    now = until(market, portfolio_order_id, "FILLED")
    order_id = market.portfolio_order(portfolio_order_id)["orders"][0]["id"]
    market.cancel_order(order_id, now=now)

    rejections = [e for e in events_of(market) if e.type == "ORDER_CANCELLATION.REJECTED"]
    assert [event.object["order_id"] for event in rejections] == [order_id]
    assert market.order(order_id)["status"] == "FILLED"


def cancelled_at_the_venue(seed):
    market = new_market(seed=seed)
    placement = OrderPlacement(USER, ACCOUNT, "0", "IE00B3XXRP09", order_type="LIMIT", quantity="5")
    order_id = market.place_order(placement, now=NOW)["id"]
    market.advance(NOW + 30 * DAY)
    assert market.order(order_id)["status"] == "PROCESSING"
    market.cancel_order(order_id, now=NOW + 30 * DAY)
    (told,) = market.advance(NOW + 31 * DAY)
    return told.type, market.order(order_id)["status"]


def test_a_limit_order_rests_until_a_cancellation_that_may_be_heeded_or_rejected():
    assert {cancelled_at_the_venue(seed) for seed in range(8)} == {
        ("ORDER.CANCELLED", "CANCELLED"),
        ("ORDER_CANCELLATION.REJECTED", "PROCESSING"),
    }


def test_settlement_announces_nothing_for_orders_and_leaves_them_filled(placed):
    market, portfolio_order_id = placed
    now = until(market, portfolio_order_id, "FILLED")

    told = {event.type for event in market.advance(now + DAY)}
    assert told == {"EXECUTION.SETTLED", "PORTFOLIO_ORDER.SETTLED"}
    assert {order["status"] for order in market.orders()} == {"FILLED"}


def test_account_orders_are_those_of_one_account_one_status_and_one_window(placed):
    market, portfolio_order_id = placed
    market.place(Placement(USER, USER, "50"), now=NOW)
    until(market, portfolio_order_id, "SETTLED")

    filled = market.account_orders(ACCOUNT, status="FILLED")
    assert {order["account_id"] for order in filled} == {ACCOUNT}
    assert market.account_orders(ACCOUNT, status="NEW") == []
    assert market.account_orders(ACCOUNT, status="FILLED", since=NOW + DAY) == []


def test_what_does_not_exist_is_unknown():
    with pytest.raises(UnknownError):
        new_market().portfolio_order(USER)


def test_a_hundred_digits_are_traded_to_the_cent():
    amount = "9" * 63 + ".99"
    market = new_market()
    market.place(Placement(USER, ACCOUNT, amount), now=NOW)
    events_of(market)

    cents = sum(int(order["cash_amount"].replace(".", "")) for order in market.orders())
    assert cents == int(amount.replace(".", ""))


@pytest.mark.parametrize("answer", [404, 409, 422])
def test_a_late_cancellation_is_refused_in_the_manner_that_is_set(placed, answer):
    market, portfolio_order_id = placed
    now = until(market, portfolio_order_id, "FILLED")
    order_id = market.portfolio_order(portfolio_order_id)["orders"][0]["id"]
    market.manners = Manners(late=answer, late_order=answer)

    for cancel, pk in ((market.cancel, portfolio_order_id), (market.cancel_order, order_id)):
        with pytest.raises(EndedError) as refused:
            cancel(pk, now=now)
        assert refused.value.status == answer


def test_a_slow_cancellation_loses_to_the_fill(placed):
    market, portfolio_order_id = placed
    market.manners = Manners(takes=30 * DAY)
    market.cancel(portfolio_order_id, now=NOW)
    market.advance(NOW + 60 * DAY)

    assert market.portfolio_order(portfolio_order_id)["status"] == "SETTLED"


def test_orders_that_heed_no_cancellation_go_on_and_their_rejections_are_announced(placed):
    market, portfolio_order_id = placed
    market.manners = Manners(mixed=True, heeds=False)
    now = until(market, portfolio_order_id, "PROCESSING")
    market.cancel(portfolio_order_id, now=now)
    told = market.advance(now + 30 * DAY)

    held = market.portfolio_order(portfolio_order_id)
    ends = Counter(child["status"] for child in held["orders"])
    rejected = [event for event in told if event.type == "ORDER_CANCELLATION.REJECTED"]
    assert len({event.id for event in rejected}) == len(rejected) == ends["FILLED"] > 0
    assert held["status"] == "SETTLED"


@pytest.mark.parametrize("senseless", [{"taken": 200}, {"late": 500}, {"late_order": 0}])
def test_manners_that_make_no_sense_are_refused(senseless):
    with pytest.raises(ValueError, match=r"is 202 or 204|is no answer"):
        Manners.from_document(senseless)


def test_manners_are_read_from_json_with_seconds():
    assert Manners.from_document({"takes": 1.5, "mixed": True}) == Manners(
        takes=timedelta(seconds=1.5), mixed=True
    )
