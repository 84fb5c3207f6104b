import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.foreign_json import parse
from orders import facts
from orders.attributes import UnreadableError, amount, clean, day, moment
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
        parse(payload), type_=kind, version=START, is_answer=True, tie="t", known_at=START
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
        parse(payload),
        type_="PORTFOLIO_ORDER",
        version=START,
        is_answer=True,
        tie="t",
        known_at=START,
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
    ("written", "digits"),
    [
        ("1.0E+3", "1000"),
        ("0E-8", "0.00000000"),
        ("1E-7", "0.0000001"),
        ("-2.50e1", "-25.0"),
        (".5e2", "50"),
        ("1e62", "1" + "0" * 62),
        ("0E+999999999", "0"),
    ],
)
def test_an_exponent_is_exact_and_written_out(written, digits):
    assert amount({"it": written}, "it") == digits


@pytest.mark.parametrize(
    "text", ["1,000.00", "NaN", "Infinity", "٣", " 1", ".", "1e", "e5", True, {}, ["1"], {"amount": "1"}]
)  # fmt: skip
def test_what_is_no_amount_is_refused_by_name(text):
    with pytest.raises(UnreadableError, match=r"^it .* is not a decimal number"):
        amount({"it": text}, "it")


@pytest.mark.parametrize(
    "text", ["9" * 91, "0." + "1" * 90, "1E+999999999", "1E-999999999", "1e90", 10**100]
)
def test_an_amount_of_more_digits_than_any_is_refused_before_it_is_written_out(text):
    with pytest.raises(UnreadableError, match=r"^it .* has more than 90 digits"):
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
        ("2026-03-02T09:00:00.123456789Z", 123_456),
        ("2026-03-02 09:00:00,5z", 500_000),
        ("2026-03-02_09:00Z", 0),
        ("2026-03-02T09:00:00", 0),
        ("20260302T090000Z", 0),
        ("20260302090000", 0),
        ("2026-03-02 09:00:00 UTC", 0),
        ("2026-03-02 10:00:00 +0100", 0),
        ("2026-03-01T18:00-15:00", 0),
        ("2026-03-02T08:59:60Z", 0),
        (" 2026-03-02T09:00:00Z ", 0),
        (1772442000, 0),
        ("1772442000", 0),
        ("1772442000.5", 500_000),
        (1772442000104, 104_000),
        ("1772442000104", 104_000),
        (1772442000104001, 104_001),
        (1772442000104001999, 104_001),
    ],
)
def test_moments_of_any_form_precision_and_zone_are_read(text, micros):
    assert moment({"it": text}, "it") == datetime(2026, 3, 2, 9, 0, 0, micros, tzinfo=UTC)


def test_midnight_at_the_end_of_a_day_is_that_of_the_next():
    assert moment({"it": "2026-12-31T24:00:00Z"}, "it") == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["", "Z", "+00:00", "-14:00", "+14:00", "+01:00"])
@pytest.mark.parametrize(
    "placeholder",
    [
        "0001-01-01T00:00:00", "0000-00-00T00:00:00", "-0001-11-30T00:00:00", "1601-01-01T00:00:00",
        "1753-01-01T00:00:00", "1899-12-30T00:00:00", "1900-01-01T00:00:00", "1970-01-01T00:00:00",
        "1970-01-01T00:00:00.000001", "1980-01-01T00:00:00", "2000-01-01T00:00:00",
        "2199-01-01T00:00:00", "2262-04-11T23:47:16.854775807", "9999-12-31T23:59:59",
        "9999-12-31T23:59:59.999999999", "10000-01-01T00:00:00", "+292278-08-17T07:12:55",
    ],
)  # fmt: skip
def test_a_placeholder_is_an_unknown_moment_in_every_zone(placeholder, zone):
    assert moment({"it": placeholder + zone}, "it") is None
    assert day({"it": placeholder + zone}, "it") is None
    assert day({"it": placeholder.partition("T")[0]}, "it") is None


@pytest.mark.parametrize(
    "number", [0, 7, -1, -62135596800, 253402300799, 9223372036854775807, 10**18, 10**12]
)
def test_a_number_far_from_our_time_is_an_unknown_moment(number):
    assert moment({"it": number}, "it") is None
    assert moment({"it": None}, "it") is moment({"it": ""}, "it") is None


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026-13-01T00:00:00Z", "2026-02-30", "2026-03-02T25:00:00Z", "2026-03-02T24:01:00Z",
     "2026-03-02T09:00:61Z", "2026-03-02T09:00:00+25:00", "2026-03-02T09:00:00+01:75", "7", True, {}, [0],
     "٢٠٢٦-03-02T09:00:00Z", 10**30],
)  # fmt: skip
def test_what_is_no_moment_is_refused_by_name(text):
    with pytest.raises(UnreadableError, match=r"^it .* is not a date and time"):
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
