"""A drain waits for no row: what needs one that somebody holds is left, everything else goes on."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import OperationalError, connection, connections, transaction

from orders import journal, projection, rebuild
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from tests.stories import START, event, named, order, portfolio_order

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"),
        reason="SQLite locks no rows: it has one writer at a time",
    ),
]

NOW = START + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(projection, "PATIENCE", 0.0)


def record(*events):
    journal.record_events(events, delivery_id=1, now=NOW)


def life(name):
    child = f"{name} child"
    return [
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)),
        event("ORDER.NEW", order(child, parent=name)),
        event("ORDER.FILLED", order(child, "FILLED", 20, parent=name)),
    ]


@contextmanager
def held(statement, *parameters):
    """Hold what a statement locks, in a transaction that somebody forgot."""
    locked, let_go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            locked.set()
            let_go.wait(60)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(10)
    try:
        yield
    finally:
        let_go.set()
        thread.join()


def row_of(model, name):
    table = model._meta.db_table
    return f"SELECT * FROM {table} WHERE id = %s FOR UPDATE", UUID(named(name))


def pending():
    return JournalEntry.objects.filter(outcome=Outcome.PENDING).count()


@pytest.mark.parametrize("what", [(PortfolioOrder, "X"), (Order, "X child")])
def test_a_drain_goes_on_without_the_one_row_that_a_forgotten_transaction_holds(what):
    record(*life("X"))
    projection.drain(now=NOW)
    others = [f"other {number}" for number in range(20)]
    record(
        event("ORDER.CANCELLED", order("X child", "CANCELLED", 40, parent="X")),
        *[one for name in others for one in life(name)],
    )

    with held(*row_of(*what)):
        done = projection.drain(now=NOW)
        assert (done.total, pending()) == (60, 1)

    assert projection.drain(now=NOW).total == 1
    assert pending() == 0
    assert list(rebuild.compare()) == []


def test_more_events_of_a_held_order_than_a_batch_takes_hold_up_no_other(monkeypatch):
    monkeypatch.setattr(projection, "BATCH", 5)
    record(*life("X"))
    projection.drain(now=NOW)
    record(
        *(event("PORTFOLIO_ORDER.NEW", portfolio_order("NEW", n + 1, name="X")) for n in range(30)),
        *life("another"),
    )

    with held(*row_of(PortfolioOrder, "X")):
        assert projection.drain(now=NOW, most=2).total == 3

    assert projection.drain(now=NOW).total == 30


def test_an_execution_that_is_held_keeps_back_its_own_order_only(monkeypatch):
    monkeypatch.setattr(projection, "LOCK_TIMEOUT", "200ms")
    record(event("ORDER.FILLED", order("X", "FILLED", 20, executions=[("T", "FILLED")])))
    projection.drain(now=NOW)
    record(
        event("ORDER.FILLED", order("X", "FILLED", 30, executions=[("T", "SETTLED")])),
        *life("another"),
    )
    (pk,) = Execution.objects.values_list("pk", flat=True)

    with held("SELECT * FROM orders_execution WHERE id = %s FOR UPDATE", pk):
        assert projection.drain(now=NOW).total == 3

    assert projection.drain(now=NOW).total == 1
    assert Execution.objects.get().status == "SETTLED"


def test_a_refetch_of_a_held_order_ends_soon_and_its_answer_waits(monkeypatch):
    monkeypatch.setattr(projection, "LOCK_TIMEOUT", "200ms")
    record(*life("X"))
    projection.drain(now=NOW)
    record(event("PORTFOLIO_ORDER.NEW", portfolio_order("NEW", 1, name="X"), name="again"))
    ids = list(JournalEntry.objects.filter(outcome=Outcome.PENDING).values_list("pk", flat=True))

    with held(*row_of(PortfolioOrder, "X")):
        assert projection.drain(now=NOW, only=ids).total == 0

    assert projection.drain(now=NOW, only=ids).total == 1


def test_a_table_that_is_locked_is_given_up_after_a_few_tries(monkeypatch):
    monkeypatch.setattr(projection, "LOCK_TIMEOUT", "100ms")
    record(*[one for number in range(10) for one in life(f"order {number}")])

    with (
        held("LOCK TABLE orders_portfolioorder IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(OperationalError, match="lock timeout"),
    ):
        projection.drain(now=NOW)

    assert pending() == 30
    assert projection.drain(now=NOW).total == 30


def test_what_was_held_is_applied_by_the_same_drain_once_it_is_free(monkeypatch):
    monkeypatch.setattr(projection, "PATIENCE", 30.0)
    record(*life("X"))
    projection.drain(now=NOW)
    record(event("ORDER.CANCELLED", order("X child", "CANCELLED", 40, parent="X")))
    looked, done = threading.Event(), []

    def nap(seconds):
        looked.set()
        time.sleep(seconds)

    def drain():
        done.append(projection.drain(now=NOW, sleep=nap).total)
        connections.close_all()

    thread = threading.Thread(target=drain)
    with held(*row_of(Order, "X child")):
        thread.start()
        assert looked.wait(20)
    thread.join(40)

    assert done == [1]
