"""Facts that contradict each other: which one counts is told by the facts alone, never by what came first."""

from datetime import timedelta
from itertools import count, permutations
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orders import clocks, journal, projection, rebuild, search
from orders.attributes import CURRENT, FIXED
from orders.lifecycle import EXECUTION_RANK, ORDER_RANK, Kind
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.rebuild import CLOCKS
from orders.tracked import Source
from tests.staff import browser
from tests.stories import START, at, event, execution, named, order, portfolio_order
from tests.test_concurrency import at_once

pytestmark = pytest.mark.django_db

NOW = START + timedelta(minutes=5)
A, B, X = (UUID(named(name)) for name in "ABX")
DELIVERIES = count(1)


def receive(*events):
    journal.record_events(events, delivery_id=next(DELIVERIES), now=NOW)
    projection.drain(now=NOW)


def state():
    """Return all state: an execution is known by its order and upstream's id."""
    found: dict[Any, Any] = {
        (model.__name__, row["id"]): {k: v for k, v in row.items() if k not in CLOCKS}
        for model in (PortfolioOrder, Order)
        for row in model.objects.values()
    }
    for row in Execution.objects.all():
        said = {k: v for k, v in vars(row).items() if k not in {"_state", "id", "execution_id"}}
        found["Execution", row.order_id, row.upstream_id] = said
    return found


def apply(told):
    """Record what was told, each an event or an answer, and apply it in one batch."""
    events = [it for it in told if "object" in it]
    if events:
        journal.record_events(events, delivery_id=next(DELIVERIES), now=NOW)
    for it in told:
        if "object" not in it:
            kind, answer = it["kind"], it["answer"]
            about = UUID(answer["id"])
            journal.record_answer(kind, answer, about=about, source=Source.POLL, actor="", now=NOW)
    projection.drain(now=NOW)


# Two values of each type that an attribute has, so that any two facts may contradict each other.
OF_TYPE = {
    "UUID": [named("one"), named("other")],
    "datetime": [at(1), at(2)],
    "date": ["2026-03-04", "2026-03-05"],
    "amount": ["1.00", "2.50"],
    "text": ["one", "other"],
}
TYPES = {
    "account_id": "UUID", "allocation_id": "UUID", "created_at": "datetime",
    "transaction_time": "datetime", "settlement_date": "date", "cash_amount": "amount",
    "share_quantity": "amount", "price": "amount", "quantity": "amount", "limit_price": "amount",
    "stop_price": "amount", "fee": "amount",
}  # fmt: skip
PARENTS = ["P", "Q"]
SPECIAL = {
    "currency": ["EUR", "USD"],
    "side": ["BUY", "SELL"],
    "order_type": ["MARKET", "LIMIT"],
    "client_reference": [*map(named, PARENTS), "mine"],
    "initiation_flow": ["API", "PORTFOLIO", "PORTFOLIO_REBALANCING"],
    "updated_at": [at(3), at(4), at(5)],
    "tax": [[{"type": "TOTAL", "amount": amount}] for amount in ("0.10", "0.20")],
}
STATUSES = {kind: [*ORDER_RANK, "PAUSED"] for kind in (Kind.ORDER, Kind.PORTFOLIO_ORDER)} | {
    Kind.EXECUTION: [*EXECUTION_RANK, "PAUSED"]
}


def attributes(kind):
    """Return a strategy for any attributes of a kind, each there or not, each with one of several values."""
    names = {"taxes" if name == "tax" else name: name for name in {**FIXED[kind], **CURRENT[kind]}}
    return st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES[kind])},
        optional={
            upstreams: st.sampled_from(
                [
                    *SPECIAL.get(name, OF_TYPE[TYPES.get(name, "text")]),
                    [] if name == "tax" else "",
                ]
            )
            for upstreams, name in sorted(names.items())
        },
    )


def identified(kind, names, **more):
    return st.builds(
        lambda name, said, others: {"id": named(name)} | said | others,
        st.sampled_from(names),
        attributes(kind),
        st.fixed_dictionaries(more),
    )


LINES = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from([str(A), str(B)]),
            "status": st.sampled_from(STATUSES[Kind.ORDER]),
            "side": st.sampled_from(["BUY", "SELL", ""]),
        }
    ),
    max_size=3,
)
ORDER_ID = st.sampled_from([str(A), str(B)])
OBJECTS = {
    Kind.PORTFOLIO_ORDER: identified(Kind.PORTFOLIO_ORDER, PARENTS, orders=LINES),
    Kind.ORDER: identified(
        Kind.ORDER, "AB", executions=st.lists(identified(Kind.EXECUTION, "XY"), max_size=2)
    ),
    Kind.EXECUTION: identified(Kind.EXECUTION, "XY", order_id=ORDER_ID),
}
EVENTS = st.one_of(
    [
        st.builds(
            lambda upstream, event_id, created, kind=kind: {
                "id": str(event_id),
                "type": f"{kind}.{upstream['status']}",
                "created_at": created,
                "object": upstream,
            },
            upstreams,
            st.uuids(),
            st.sampled_from(SPECIAL["updated_at"]),
        )
        for kind, upstreams in OBJECTS.items()
    ]
)
ANSWERS = st.one_of(
    [
        st.builds(
            lambda upstream, kind=kind: {"kind": kind, "answer": upstream}, OBJECTS[kind]
        ).filter(
            lambda it: it["answer"].get("updated_at")  # else its version is when it was asked for
        )
        for kind in (Kind.PORTFOLIO_ORDER, Kind.ORDER)
    ]
)


def distinct(it):
    return it["id"] if "object" in it else str(it)


@settings(
    max_examples=60,
    phases=[Phase.reuse, Phase.generate],  # a smaller example costs minutes of batches
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    told=st.lists(EVENTS | ANSWERS, min_size=2, max_size=7, unique_by=distinct),
    data=st.data(),
)
def test_whatever_contradicts_the_same_facts_give_the_same_state_in_any_order_and_batches(
    told, data
):
    again = data.draw(st.lists(st.sampled_from(told), max_size=3))
    arrival = data.draw(st.permutations([*told, *again]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(arrival) - 1))))
    parts = [arrival[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
    states = []
    for batches in ([told], parts):
        clocks.forget_first_webhook()
        with transaction.atomic():
            for batch in batches:
                apply(batch)
            states.append(state())
            assert list(rebuild.compare()) == []
            transaction.set_rollback(True)

    assert states[0] == states[1]


def block_trade():
    """Return the events of two orders that report one execution, with contradicting numbers."""
    first = execution("X", share_quantity="1")
    other = execution("X", order="B", share_quantity="2")
    return [
        event("EXECUTION.FILLED", first, name="first"),
        event("EXECUTION.FILLED", other, name="other"),
        event("ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED")])),
        event("ORDER.FILLED", order("B", "FILLED", 20) | {"executions": [other]}),
    ]


def quantities():
    rows = Execution.objects.order_by("order_id")
    return {(row.order_id, row.upstream_id): row.share_quantity for row in rows}


@pytest.mark.parametrize("arrival", list(permutations(range(4))), ids=str)
@pytest.mark.parametrize("together", [True, False])
def test_an_execution_belongs_to_each_order_that_reports_it(arrival, together):
    events = [block_trade()[n] for n in arrival]
    if together:
        receive(*events)
    else:
        for one in events:
            receive(one)

    assert quantities() == {(A, X): "2.5000", (B, X): "2"}
    assert list(rebuild.compare()) == []


def test_what_happens_to_an_execution_of_several_orders_is_told_by_each_of_them():
    receive(*block_trade())
    settled = execution("X", "SETTLED", order="B", settlement_date="2026-03-03")
    receive(event("EXECUTION.SETTLED", settled))

    statuses = dict(Execution.objects.values_list("order_id", "status"))
    assert statuses == {A: "FILLED", B: "SETTLED"}
    assert list(rebuild.compare()) == []


def test_a_lost_row_of_an_execution_of_several_orders_is_reported_and_brought_back():
    receive(*block_trade())
    before = state()
    for row in Execution.objects.all():
        row.delete()
        named_by = {str(it) for it in rebuild.compare()}
        assert len(named_by) == 1
        assert f"execution {X}" in named_by.pop()
        list(rebuild.rebuild(now=NOW))
        assert state() == before


def test_an_execution_of_several_orders_is_found_by_its_id_with_all_of_them():
    receive(*block_trade(), event("ORDER.NEW", order("C")))

    assert set(search.orders(Order.objects.all(), str(X)).values_list("pk", flat=True)) == {A, B}


def test_the_page_of_each_order_shows_upstreams_id_of_an_execution():
    receive(*block_trade())
    client = browser("Viewer")

    for pk in (A, B):
        page = client.get(f"/admin/orders/order/{pk}/change/").content.decode()
        assert page.count(str(X)) >= 1


def test_the_database_refuses_a_second_row_of_an_execution_of_one_order():
    receive(*block_trade())

    with pytest.raises(IntegrityError), transaction.atomic():
        Execution.objects.create(pk=UUID(named("made up")), execution_id=X, order_id=A)
    with pytest.raises(IntegrityError), transaction.atomic():
        Execution.objects.filter(order_id=B).update(order_id=A)


def test_an_earlier_release_goes_on_writing_what_this_one_reads():
    """Written with the columns that it knows, by the key that it knows, and read by its id."""
    receive(event("ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED")])))
    known = Execution.objects.get(pk=X)  # where an earlier release looks for it
    new = {"attribute_facts", "execution_id"}
    fields = [it for it in Execution._meta.concrete_fields if it.name not in new]
    columns = ", ".join(f'"{it.column}"' for it in fields)
    marks = ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        for pk, status in ((X, "SETTLED"), (UUID(named("Y")), "FILLED")):
            known.pk, known.status = pk, status
            values = [it.get_db_prep_save(getattr(known, it.attname), connection) for it in fields]
            cursor.execute(
                f"INSERT INTO orders_execution ({columns}) VALUES ({marks}) "
                'ON CONFLICT ("id") DO UPDATE SET status = EXCLUDED.status',
                values,
            )

    receive(event("EXECUTION.CANCELLED", execution("Y", "CANCELLED")))

    found = {str(row): row.status for row in Execution.objects.filter(order=A)}
    assert found == {str(X): "SETTLED", named("Y"): "CANCELLED"}


@pytest.mark.django_db(transaction=True)
def test_executions_that_an_earlier_release_wrote_stay_as_they_are_when_the_tables_are_migrated():
    receive(event("ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED")])))
    executor = MigrationExecutor(connection)
    try:
        executor.migrate([("orders", "0009_unreadable_attributes")])
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, order_id, status FROM orders_execution")
            before = cursor.fetchall()
    finally:  # those of other apps, too, which went back with it
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    with connection.cursor() as cursor:
        cursor.execute("SELECT id, order_id, status FROM orders_execution")
        assert cursor.fetchall() == before
    receive(*block_trade()[1:2])
    assert set(quantities()) == {(A, X), (B, X)}


@pytest.mark.django_db(transaction=True)
def test_two_orders_that_report_an_execution_at_once_both_keep_it():
    """Each in a drain of its own: neither sees the other's row before it is written."""
    orders = [f"block {n}" for n in range(8)]
    events = [
        event("ORDER.FILLED", order(name, "FILLED", 20, parent=None, executions=[("X", "FILLED")]))
        for name in orders
    ]
    journal.record_events(events, delivery_id=1, now=NOW)
    pending = list(JournalEntry.objects.values_list("pk", flat=True))

    at_once(lambda pk: projection.drain(now=NOW, only=[pk]), pending)

    assert set(quantities()) == {(UUID(named(name)), X) for name in orders}
    assert list(rebuild.compare()) == []


def test_an_order_that_two_portfolio_orders_list_belongs_to_the_least_whatever_came_first():
    lists = [
        event("PORTFOLIO_ORDER.NEW", portfolio_order(orders=[("A", "NEW")], name=name))
        for name in PARENTS
    ]
    least = min(UUID(named(name)) for name in PARENTS)
    for arrival in permutations([*lists, event("ORDER.NEW", order("A", parent=None))]):
        with transaction.atomic():
            for one in arrival:
                receive(one)
            assert Order.objects.get(pk=A).portfolio_order_id == least
            assert list(rebuild.compare()) == []
            transaction.set_rollback(True)
