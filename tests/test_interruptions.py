"""What ends a task and says nothing of the work in hand: it is rolled back, and done again."""

import signal
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded, WorkerShutdown
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from backoffice import doorbell, panels
from backoffice.interruptions import INTERRUPTIONS, is_interruption
from orders import batch, journal, projection, tasks
from orders.asking import discovery, leases
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome, PlacementState, PortfolioOrder, Reconciliation
from orders.placing import attempts, placing, sending
from orders.placing.wish import read_wish
from orders.reconciliation import walk, work
from tests.processes import wait_until
from tests.reconciling import begin
from tests.stories import event, named, portfolio_order
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db

ENDS = [
    SoftTimeLimitExceeded(100), MemoryError(), SystemExit(1), KeyboardInterrupt(), WorkerShutdown(0),
]  # fmt: skip
SICK = [*ENDS, RuntimeError("can't start new thread"), OSError(24, "Too many open files")]


def words(error):
    return f"{type(error).__name__}"


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@contextmanager
def at(monkeypatch, owner, name, error):
    """Have ``error`` raised by a signal, as Celery does it, in the middle of one call of a function."""
    real, calls = getattr(owner, name), []

    def raise_it(*_):
        raise error

    def interrupted(*args, **kwargs):
        found = real(*args, **kwargs)
        calls.append(name)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGUSR1)
        return found

    before = signal.signal(signal.SIGUSR1, raise_it)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        yield calls
    signal.signal(signal.SIGUSR1, before)
    assert calls


def record(count=3):
    for name in "PQRSTUVW"[:count]:
        journal.record_events(
            [event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name))],
            delivery_id=1,
            now=timezone.now(),
        )


@pytest.mark.parametrize("error", SICK, ids=words)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (projection, "read"),
        (batch.Batch, "lock"),
        (batch.Batch, "fold"),
        (batch.Batch, "write"),
    ],
)
def test_what_interrupts_a_batch_rolls_it_back_and_quarantines_nothing(
    monkeypatch, owner, name, error
):
    record()

    with at(monkeypatch, owner, name, error), pytest.raises(type(error)):
        tasks.drain()

    assert {entry.outcome for entry in JournalEntry.objects.all()} == {Outcome.PENDING}
    assert not PortfolioOrder.objects.exists()
    tasks.drain()
    assert {entry.outcome for entry in JournalEntry.objects.all()} == {Outcome.APPLIED}
    assert PortfolioOrder.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_soft_time_limit_in_the_middle_of_a_statement_leaves_a_connection_that_works(monkeypatch):
    record()
    write = batch.Batch.write

    def slow(its):
        write(its)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_sleep(2)")
            else:
                signal.pause()

    def stop(*_):
        raise SoftTimeLimitExceeded(1)

    before = signal.signal(signal.SIGALRM, stop)
    with monkeypatch.context() as patch:
        patch.setattr(batch.Batch, "write", slow)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(SoftTimeLimitExceeded):
            tasks.drain()
    signal.signal(signal.SIGALRM, before)

    assert {entry.outcome for entry in JournalEntry.objects.all()} == {Outcome.PENDING}
    # A server that was left in the middle of a statement keeps its rows until that has ended.
    wait_until(lambda: tasks.drain() or PortfolioOrder.objects.count() == 3, seconds=20, every=0.5)


@pytest.mark.parametrize("error", SICK, ids=words)
@pytest.mark.parametrize(("owner", "name"), [(work, "judge"), (walk, "next_part")])
def test_what_interrupts_a_part_of_a_reconciliation_does_not_fail_it(
    upstream, monkeypatch, owner, name, error
):
    upstream.place()
    receive(upstream.events())
    upstream.wait(minutes=30)
    run = begin()

    with at(monkeypatch, owner, name, error), pytest.raises(type(error)):
        tasks.reconcile(run.pk)

    run.refresh_from_db()
    assert (run.state, run.reason, run.compared) == ("RUNNING", "", 0)
    assert run.leased_until < timezone.now() + work.PAUSE + work.SHIFT
    Reconciliation.objects.update(leased_until=None)
    tasks.reconcile(run.pk)
    run.refresh_from_db()
    assert run.state == "DONE"


@pytest.mark.parametrize("error", ENDS, ids=words)
def test_what_interrupts_a_discovery_leaves_the_round_to_the_next_one(upstream, monkeypatch, error):
    pk = upstream.place()
    upstream.wait(minutes=2)

    with (
        at(monkeypatch, discovery, "_record_unknown", error),
        pytest.raises(type(error)),
    ):
        tasks.discover()

    upstream.wait(minutes=16)
    tasks.discover()
    assert PortfolioOrder.objects.filter(pk=pk).exists()
    assert not JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).exists()


@pytest.mark.parametrize("error", ENDS, ids=words)
@pytest.mark.django_db(transaction=True)
def test_what_interrupts_the_sending_of_a_placement_leaves_its_fate_unknown_and_it_is_sent_again(
    upstream, monkeypatch, error
):
    wish = {
        "user_id": named("user"), "account_id": named("account"), "cash_amount": "25.00",
        "currency": "EUR", "side": "BUY", "post_tax": "false",
    }  # fmt: skip
    placement = placing.place(read_wish(wish), actor="ada", key=uuid4())

    with (
        at(monkeypatch, sending, "api", error),
        pytest.raises(type(error)),
    ):
        tasks.send_placement(str(placement.pk))
    placement.refresh_from_db()
    assert placement.state == PlacementState.READY

    with (
        at(monkeypatch, attempts, "begin", error),
        pytest.raises(type(error)),
    ):
        tasks.send_placement(str(placement.pk))
    placement.refresh_from_db()
    assert placement.state == PlacementState.UNKNOWN
    assert placement.next_attempt_at is not None


@pytest.mark.parametrize("error", ENDS, ids=words)
def test_no_cache_and_no_bell_swallows_what_ends_a_task(monkeypatch, error):
    def ends(*_, **__):
        raise error

    monkeypatch.setattr(doorbell, "_producer", ends)
    monkeypatch.setattr(cache, "get", ends, raising=False)
    monkeypatch.setattr(cache, "add", ends, raising=False)

    for use in (
        lambda: doorbell.ring(tasks.check_order, "1"),
        lambda: panels.recent("x", lambda: 1),
        lambda: leases.guard(Kind.ORDER, UUID(int=1)).__enter__(),
    ):
        with pytest.raises(type(error)):
            use()
    assert not doorbell.breaker.is_open()


def test_what_is_raised_in_the_wake_of_an_interruption_is_one_too():
    try:
        try:
            raise SoftTimeLimitExceeded(1)
        finally:
            raise ValueError("while cleaning up")
    except ValueError as error:
        assert is_interruption(error)

    assert not is_interruption(ValueError("an entry is to blame"))
    assert not is_interruption(RuntimeError("generator raised StopIteration"))
    assert all(is_interruption(kind()) for kind in INTERRUPTIONS)
