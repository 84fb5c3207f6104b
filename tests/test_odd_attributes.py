"""An odd attribute never hides the status: each attribute of each kind is read by itself."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backoffice.foreign_json import parse
from backoffice.investment_api.errors import read_json
from orders import facts, journal, projection, rebuild
from orders.attributes import UnreadableError, says_same
from orders.lifecycle import UNREADABLE_ATTRIBUTE, Kind
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source
from tests.listed import NOW, receive
from tests.stories import START, at, event, execution, named, order, portfolio_order

P, A, B, X = (UUID(named(name)) for name in "PABX")

OBJECTS = {
    Kind.PORTFOLIO_ORDER: portfolio_order(
        "CANCELLED",
        9,
        [("A", "FILLED"), ("B", "CANCELLED")],
        cancellation_reason="CANCELLED_BY_CLIENT",
        cancellation_details="as asked",
        user_id=named("user"),
    ),
    Kind.ORDER: order(
        "A",
        "FILLED",
        20,
        executions=[("X", "FILLED"), ("Y", "FILLED")],
        limit_price="1.5",
        stop_price="1.4",
        cancellation_reason="",
    ),
    Kind.EXECUTION: execution(
        "X", "SETTLED", settlement_date="2026-03-04", venue_id=named("venue")
    ),
}
DECIDING = {
    Kind.PORTFOLIO_ORDER: {"id", "status"},
    Kind.ORDER: {"id", "status"},
    Kind.EXECUTION: {"id", "status", "order_id"},
}
FIELDS = [(kind, name) for kind, it in OBJECTS.items() for name in it if name not in DECIDING[kind]]
LINES = [("orders", Kind.PORTFOLIO_ORDER), ("executions", Kind.ORDER)]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=300)
    | st.decimals(allow_nan=False).map(str)
    | st.dates().map(str)
    | st.datetimes().map(str)
    | st.uuids().map(str),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


def said(kind, upstream, *, is_answer):
    """Return what a stored event or answer says, read as the projection does."""
    payload = facts.dump(upstream if is_answer else event(f"{kind}.NEW", upstream))
    described = (
        facts.describe_answer(kind, upstream, now=NOW)
        if is_answer
        else facts.describe_event(json.loads(payload), now=NOW)
    )
    return facts.read(
        parse(payload),
        type_=described.type,
        version=described.occurred_at,
        is_answer=is_answer,
        tie="t",
        known_at=NOW,
    )


def without(upstream, name):
    return {key: value for key, value in upstream.items() if key != name}


def own(fact, *names):
    """Return what a fact says but for the attributes ``names``."""
    values = {**fact.fixed, **fact.current}
    return {key: value for key, value in values.items() if key not in names}


@given(field=st.sampled_from(FIELDS), value=anything, is_answer=st.booleans())
@example(field=(Kind.ORDER, "fee"), value={"amount": "0.5", "currency": "EUR"}, is_answer=True)
@example(field=(Kind.ORDER, "executions"), value="x", is_answer=False)
@example(
    field=(Kind.PORTFOLIO_ORDER, "orders"),
    value=[{"id": named("A"), "side": "BUY"}, 7],
    is_answer=True,
)
@example(field=(Kind.PORTFOLIO_ORDER, "cancellation_details"), value={"code": "X"}, is_answer=False)
@example(
    field=(Kind.EXECUTION, "taxes"), value=[None, {"type": "TOTAL", "amount": []}], is_answer=False
)
def test_whatever_stands_in_a_field_the_status_and_all_other_fields_are_as_without_it(
    field, value, is_answer
):
    kind, name = field
    column = "tax" if name == "taxes" else name

    told = said(kind, OBJECTS[kind] | {name: value}, is_answer=is_answer)

    bare = said(kind, without(OBJECTS[kind], name), is_answer=is_answer)
    first, expected = told.facts[0], bare.facts[0]
    assert (first.id, first.status, first.order_id) == (
        expected.id,
        expected.status,
        expected.order_id,
    )
    assert own(first, column) == own(expected, column)
    assert set(first.unreadable) <= {name}
    if name != "updated_at":
        assert first.version == expected.version
    if name != "orders":
        assert [(it.order_id, it.status) for it in told.listings] == [
            (it.order_id, it.status) for it in bare.listings
        ]
    if name != "executions":
        assert [own(it) for it in told.facts[1:]] == [own(it) for it in bare.facts[1:]]


@given(line=st.sampled_from(LINES), field=st.data(), value=anything)
def test_whatever_stands_in_a_line_of_a_list_the_object_and_the_other_lines_are_as_without_it(
    line, field, value
):
    name, kind = line
    upstream = OBJECTS[kind]
    changed = field.draw(st.sampled_from(sorted(upstream[name][0])))
    odd = {**upstream[name][0], changed: value}

    told = said(kind, upstream | {name: [odd, *upstream[name][1:]]}, is_answer=True)

    bare = said(kind, upstream | {name: upstream[name][1:]}, is_answer=True)
    assert told.facts[0].status == bare.facts[0].status
    assert own(told.facts[0]) == own(bare.facts[0])
    assert {it.order_id: it.status for it in bare.listings}.items() <= {
        it.order_id: it.status for it in reversed(told.listings)
    }.items()
    others = {fact.id: own(fact) for fact in told.facts[1:] if fact.id != X}
    assert {fact.id: own(fact) for fact in bare.facts[1:]}.items() <= others.items()


@given(value=anything)
def test_a_deciding_field_that_cannot_be_read_is_named_and_no_other_exception_is_raised(value):
    for kind, names in DECIDING.items():
        for name in names:
            try:
                said(kind, OBJECTS[kind] | {name: value}, is_answer=False)
            except UnreadableError as error:
                assert str(error)


@pytest.mark.parametrize("value", [{"a": 1}, [], ["x"], True, "x" * 100_001])
def test_what_is_no_text_is_named(value):
    told = said(
        Kind.PORTFOLIO_ORDER,
        OBJECTS[Kind.PORTFOLIO_ORDER] | {"cancellation_details": value},
        is_answer=True,
    )

    assert told.unreadable == ("cancellation_details",)


# What follows goes through the journal, the tables and a rebuild.


def answer(kind, upstream):
    entry = journal.record_answer(
        kind, upstream, about=UUID(upstream["id"]), source=Source.POLL, actor="", now=NOW
    )
    projection.drain(now=NOW, only=[entry.pk])
    entry.refresh_from_db()
    return entry


ODD_ORDER = {
    "fee": {"amount": "0.5", "currency": "EUR"},
    "limit_price": "N/A",
    "account_id": "ACC-1",
    "quantity": "1.0E+3",
    "executions": "x",
}


@pytest.mark.django_db
@pytest.mark.parametrize("by", ["event", "answer"])
def test_an_odd_attribute_keeps_what_was_held_is_flagged_on_the_order_and_named_on_the_entry(by):
    receive(event("ORDER.NEW", order("A", fee="0.1", limit_price="7")))
    filled = order("A", "FILLED", 20) | ODD_ORDER

    if by == "answer":
        entry = answer(Kind.ORDER, filled)
    else:
        receive(event("ORDER.FILLED", filled))
        entry = JournalEntry.objects.get(type="ORDER.FILLED")

    held = Order.objects.get()
    assert (held.status, held.fee, held.limit_price) == ("FILLED", "0.1", "7")
    assert (held.quantity, held.account_id) == ("1000", UUID(named("account")))
    assert held.unreadable == "account_id executions fee limit_price"
    assert held.problems == UNREADABLE_ATTRIBUTE
    assert entry.outcome == Outcome.APPLIED
    assert entry.message.endswith("account_id, limit_price, fee, executions")
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_the_flag_goes_when_a_later_report_can_be_read_whatever_comes_first():
    odd = event("ORDER.PROCESSING", order("A", "PROCESSING", 3) | ODD_ORDER)
    good = event("ORDER.FILLED", order("A", "FILLED", 20))
    for first, second in ((odd, good), (good, odd)):
        receive(event("ORDER.NEW", order("A")), first)
        receive(second)

        held = Order.objects.get()
        assert (held.status, held.unreadable, held.problems) == ("FILLED", "", 0)
        JournalEntry.objects.all().delete()
        Order.objects.all().delete()


@pytest.mark.django_db
def test_the_readable_lines_of_a_list_count():
    lines = [
        {"id": named("A"), "side": "BUY"}, "x", {"side": "SELL", "status": "NEW"}, None,
        {"id": 7, "status": "NEW"}, {"id": named("B"), "side": ["BUY"], "status": "PROCESSING"},
    ]  # fmt: skip

    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3) | {"orders": lines})
    )

    parent = PortfolioOrder.objects.get()
    assert (parent.status, parent.unreadable, parent.problems) == (
        "PROCESSING",
        "orders",
        UNREADABLE_ATTRIBUTE,
    )
    assert {
        (it.pk, it.status, it.side, it.problems)
        for it in Order.objects.filter(portfolio_order=parent)
    } == {
        (A, "", "BUY", 0),
        (B, "PROCESSING", "", 0),
    }
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_an_execution_that_cannot_be_read_in_part_is_flagged_on_its_order_too():
    odd = execution("X", price="1,50", taxes={"TOTAL": 1}, transaction_time="noon")
    receive(
        event(
            "ORDER.FILLED",
            order("A", "FILLED", 20)
            | {"executions": [odd, {"id": named("Y")}, odd | {"id": None}]},
        )
    )

    trade, held = Execution.objects.get(), Order.objects.get()
    assert (trade.share_quantity, trade.price, trade.unreadable) == (
        "2.5000",
        "",
        "price taxes transaction_time",
    )
    assert (held.unreadable, held.problems) == ("executions", UNREADABLE_ATTRIBUTE)
    assert f"price of execution {named('X')[:8]}" in JournalEntry.objects.get().message

    receive(
        event("EXECUTION.SETTLED", execution("X", "SETTLED")),
        event("ORDER.FILLED", order("A", "FILLED", 21)),
    )
    assert (Execution.objects.get().price, Order.objects.get().problems) == ("100.00", 0)
    assert list(rebuild.compare()) == []


@pytest.mark.django_db
def test_a_number_is_taken_where_a_text_was():
    receive(event("ORDER.NEW", order("A", currency=978, client_reference=12, cash_amount=250)))

    held = Order.objects.get()
    assert (held.currency, held.client_reference, held.cash_amount) == ("978", "12", "250")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "updated_at", ["yesterday", None, "", {}, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00"]
)
def test_without_a_usable_version_the_event_s_own_time_counts_and_the_newer_report_wins(updated_at):
    odd = event("ORDER.PROCESSING", order("A", "PROCESSING", 3) | {"updated_at": updated_at})
    receive(odd | {"created_at": at(3)})
    receive(event("ORDER.PROCESSING", order("A", "PROCESSING", 4, fee="0.2")))

    assert JournalEntry.objects.get(event_id=odd["id"]).occurred_at == START + timedelta(seconds=3)
    assert (Order.objects.get().fee, Order.objects.get().unreadable) == ("0.2", "")


def test_a_number_that_no_computer_holds_costs_an_answer_nothing_but_itself():
    body = b'{"fee": 1%s, "quantity": NaN, "limit_price": 1e999999999}' % (b"0" * 5000)
    upstream = OBJECTS[Kind.ORDER] | read_json(body)

    told = said(Kind.ORDER, upstream, is_answer=True)

    assert told.facts[0].status == "FILLED"
    assert set(told.unreadable) == {"fee", "quantity", "limit_price"}


@pytest.mark.parametrize(
    ("name", "value", "other", "is_same"),
    [
        ("cash_amount", "2.5", "2.50", True),
        ("share_quantity", "7", "7.000", True),
        ("tax", "0", "0.00", True),
        ("fee", "2.5", "2.51", False),
        ("fee", "", None, True),
        ("fee", "", "0", False),  # that there is none was told
        ("price", "9" * 63, "9" * 63 + ".0", True),
        ("client_reference", "2.5", "2.50", False),
    ],
)
def test_amounts_say_the_same_if_they_are_the_same_number(name, value, other, is_same):
    assert says_same(name, value, other) is is_same
    assert says_same(name, other, value) is is_same
