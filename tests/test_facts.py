import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import facts
from orders.attributes import UnreadableError, amount, clean, moment
from orders.lifecycle import Kind
from tests.stories import START, named, sample

ORDERS = [
    "order.new", "order.processing", "order.filled", "order.limit.business",
    "order.cancelled.platform", "order.cancelled.after_partial_fill",
]  # fmt: skip
PORTFOLIO_ORDERS = [
    "portfolio_order.new", "portfolio_order.processing", "portfolio_order.filled",
    "portfolio_order.settled", "portfolio_order.cancelled.client",
    "portfolio_order.cancelled.mixed_children", "portfolio_order.cancelled.sell_limit",
    "portfolio_order.rebalancing", "portfolio_order.savings_plan",
    "portfolio_order.minimal.v1_9",
]  # fmt: skip
EXECUTIONS = [
    "execution.filled", "execution.settled", "execution.cancelled", "execution.v1_9.no_venue",
]  # fmt: skip


def read(kind, upstream):
    payload = facts.dump(upstream)
    return facts.read(
        payload, type_=kind, version=START, is_answer=True, tie="t", order_id=None
    ).facts


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Kind.PORTFOLIO_ORDER, name) for name in PORTFOLIO_ORDERS]
    + [(Kind.ORDER, name) for name in ORDERS]
    + [(Kind.EXECUTION, name) for name in EXECUTIONS],
)
def test_every_sample_object_is_read_with_its_attributes(kind, name):
    upstream = sample(name)

    fact, *executions = read(kind, upstream)

    assert (fact.kind, str(fact.id), fact.status) == (kind, upstream["id"], upstream["status"])
    for column, value in {**fact.fixed, **fact.current}.items():
        told = upstream.get(column)
        if isinstance(value, str) and column != "tax":
            assert value == (told or "")
    assert [str(it.id) for it in executions] == [it["id"] for it in upstream.get("executions", [])]
    assert {it.order_id for it in executions} <= {fact.id}


def test_the_list_of_a_portfolio_order_gives_listings():
    payload = facts.dump(sample("portfolio_order.processing"))

    reading = facts.read(
        payload,
        type_="PORTFOLIO_ORDER",
        version=START,
        is_answer=True,
        tie="t",
        order_id=None,
    )

    assert [(it.status, it.side) for it in reading.listings] == [
        ("PROCESSING", "BUY"),
        ("NEW", "BUY"),
        ("NEW", "BUY"),
    ]


def test_settlement_date_and_total_tax_of_an_execution_are_read():
    [fact] = read(Kind.EXECUTION, sample("execution.settled"))

    assert fact.current == {"tax": "0.00", "settlement_date": date(2026, 3, 3)}


@pytest.mark.parametrize(
    "digits", ["0", "1000", "100.00", ".5", "-1.10", "9" * 63 + "." + "9" * 27, ""]
)
def test_an_amount_is_kept_as_written(digits):
    assert amount({"it": digits}, "it") == digits


@pytest.mark.parametrize(
    "text", ["1,000.00", "1e5", "NaN", "9" * 64, "0." + "1" * 28, "٣", " 1", "."]
)
def test_what_is_no_amount_is_refused_by_name(text):
    with pytest.raises(UnreadableError, match=r"^it .* is not a decimal number"):
        amount({"it": text}, "it")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_an_amount_sent_as_a_number_keeps_its_digits(number):
    value = json.loads(f'{{"it": {number:f}}}', parse_float=str)

    assert Decimal(amount(value, "it")) == number


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-03-02T09:00:00Z", 0),
        ("2026-03-02T09:00:00.01Z", 10_000),
        ("2026-03-02T09:00:00.104z", 104_000),
        ("2026-03-02t10:00:00.000001+01:00", 1),
        ("2026-03-02T09:00:00.1234567Z", 123_456),
    ],
)
def test_moments_of_any_precision_and_zone_are_read(text, micros):
    assert moment({"it": text}, "it") == datetime(2026, 3, 2, 9, 0, 0, micros, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01T00:00:00Z", 7, "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_moment_is_refused_by_name(text):
    with pytest.raises(UnreadableError, match=r"^it .* is not an RFC 3339 moment"):
        moment({"it": text}, "it")


@given(st.text(st.characters()), st.integers(0, 20))
def test_a_cleaned_text_goes_into_any_database(text, length):
    cleaned = clean(text, length)

    assert len(cleaned) <= length
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["id", "type", "object", "status", "orders", "created_at"]), inner)))  # fmt: skip
def test_whatever_an_event_is_it_is_described_or_refused_with_a_reason(event):
    try:
        facts.describe_event(event, now=START)
    except UnreadableError as error:
        assert str(error)


def test_an_event_keeps_its_own_id_and_a_nameless_one_gets_one_from_its_text():
    assert facts.event_id({"id": named("E")}, b"") == UUID(named("E"))
    assert facts.event_id({"id": 7}, b"a") == facts.event_id([], b"a") != facts.event_id([], b"b")
