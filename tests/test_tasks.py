"""The tasks: bells for work that stands in the rows."""

import threading
from queue import Empty

import pytest
from celery import Task, signals
from celery.contrib.testing.worker import start_worker
from django.db import OperationalError
from django.utils import timezone

from backoffice import beat, doorbell, panels
from backoffice.celery import app
from backoffice.sandbox import Trouble
from orders import journal, projection, tasks
from orders.asking import leases, polling
from orders.models import JournalEntry, Order, PortfolioOrder, Pulse, StepDetail
from tests.stories import event, portfolio_order
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db
TASKS: list[Task] = [
    tasks.drain, tasks.sweep, tasks.discover, tasks.check_due, tasks.check_order,
    tasks.check_portfolio_order,    tasks.refetch_portfolio_order, tasks.reconcile, tasks.reconcile_nightly,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_doorbell(monkeypatch):
    monkeypatch.setattr(doorbell, "breaker", doorbell.Breaker())
    monkeypatch.setattr(doorbell, "crowd", doorbell.Breaker())
    panels.breaker.reset()
    doorbell._hang_up()
    yield
    doorbell._hang_up()


@pytest.fixture
def rung():
    """Return a way to take all that was rung for: name of the task and its arguments."""
    with app.connection_for_read() as connection, connection.SimpleQueue("order-desk") as queue:
        queue.clear()

        def take():
            found: list[tuple[str, ...]] = []
            while True:
                try:
                    message = queue.get_nowait()
                except Empty:
                    return found
                found.append((message.headers["task"], *message.payload[0]))

        yield take
        queue.clear()


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def record(*events):
    journal.record_events(events, delivery_id=1, now=timezone.now())


def due_portfolio_order(upstream):
    pk = upstream.place()
    receive(upstream.events())
    PortfolioOrder.objects.filter(pk=pk).update(check_after=timezone.now())
    return pk


def test_a_drain_applies_what_is_pending(rung):
    record(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    tasks.drain.apply()

    assert PortfolioOrder.objects.get().status == "NEW"
    assert rung() == []


def test_a_drain_that_leaves_something_rings_again(rung, monkeypatch):
    monkeypatch.setattr(projection, "BATCH", 1)
    monkeypatch.setattr(tasks, "BATCHES", 2)
    record(*(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)) for name in "PQR"))

    tasks.drain.apply()

    assert PortfolioOrder.objects.count() == 2
    assert rung() == [("orders.tasks.drain",)]


def test_a_sweep_rings_for_what_is_pending(rung, upstream):
    tasks.sweep.apply()
    assert rung() == []

    record(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    tasks.sweep.apply()
    assert rung() == [("orders.tasks.drain",)]


def test_a_sweep_notes_when_it_was(rung, upstream):
    tasks.sweep()

    assert Pulse.objects.get().at == timezone.now()


def test_a_sweep_rings_once_for_all_that_is_due(rung, upstream):
    for _ in range(3):
        due_portfolio_order(upstream)
    upstream.place_order()
    receive(upstream.events())
    Order.objects.update(check_after=timezone.now())

    tasks.sweep.apply()

    assert rung() == [("orders.tasks.check_due",)]


def test_a_turn_of_checks_asks_about_all_that_is_due_and_once(rung, upstream):
    asked = {f"GET /portfolios/orders/{due_portfolio_order(upstream)}" for _ in range(3)}
    Order.objects.update(check_after=None)

    tasks.check_due.apply()
    tasks.check_due.apply()

    calls = upstream.asked()
    assert asked <= set(calls)
    assert len(calls) == len(set(calls))
    assert rung() == []


def test_a_turn_of_checks_that_is_over_too_early_rings_for_the_next(rung, upstream, monkeypatch):
    monkeypatch.setattr(polling, "TURN", -1.0)
    due_portfolio_order(upstream)

    tasks.check_due.apply()

    assert upstream.asked() == []
    assert rung() == [("orders.tasks.check_due",)]


def test_one_process_at_a_time_takes_a_turn_and_one_that_died_keeps_nobody_long(
    rung, upstream, settings
):
    due_portfolio_order(upstream)
    turn = leases.alone("asking/turn", polling.LONGEST_TURN)

    with turn as since:
        assert since is None
        tasks.check_due.apply()
        assert upstream.asked() == []

    assert rung() == []
    assert polling.LONGEST_TURN < leases.LEASE
    tasks.check_due.apply()
    assert upstream.asked() != []


def test_a_sweep_asks_about_nothing_while_upstream_wants_no_requests(rung, upstream):
    pk = due_portfolio_order(upstream)
    upstream.expect(Trouble("problem", 429, retry_after="60", path="/portfolios"))
    tasks.check_portfolio_order.apply((str(pk),))
    due_portfolio_order(upstream)

    tasks.sweep.apply()

    assert rung() == []


def test_a_check_task_asks_about_what_is_due_and_is_harmless_the_second_time(upstream):
    pk = due_portfolio_order(upstream)

    tasks.check_portfolio_order.apply((str(pk),))
    tasks.check_portfolio_order.apply((str(pk),))

    assert upstream.asked() == [f"GET /portfolios/orders/{pk}"]


def test_an_order_without_a_portfolio_order_has_a_task_of_its_own(upstream):
    pk = upstream.place_order()
    receive(upstream.events())
    Order.objects.update(check_after=timezone.now())

    tasks.check_order.apply((str(pk),))

    assert upstream.asked() == [f"GET /orders/{pk}"]


def test_a_discovery_that_fails_fails_no_task(upstream):
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    assert tasks.discover.apply().successful()
    assert "503" in JournalEntry.objects.get(type="DISCOVERY").message


def test_a_refetch_task_asks_in_the_name_of_who_wanted_it(upstream):
    pk = upstream.place()

    tasks.refetch_portfolio_order.apply((str(pk), "mira", "203.0.113.9"))

    entry = JournalEntry.objects.get(source="REFETCH")
    assert (entry.portfolio_order_id, entry.actor) == (pk, "mira")
    assert entry.detail.address == "203.0.113.9"


def test_a_refetch_that_an_older_release_queued_is_made_too(upstream):
    tasks.refetch_portfolio_order.apply((str(upstream.place()), "mira"))

    entry = JournalEntry.objects.get(source="REFETCH")
    assert not StepDetail.objects.filter(entry=entry).exists()


def test_trouble_with_the_database_is_left_to_the_next_sweep(monkeypatch, caplog):
    def away(**_):
        raise OperationalError("the database is gone")

    monkeypatch.setattr(projection, "drain", away)

    assert tasks.drain.apply().successful()
    assert "the database is gone" in caplog.text


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_task_is_tried_again_acknowledged_early_or_unbounded(task):
    assert task.acks_late
    assert task.ignore_result
    assert 0 < task.soft_time_limit < task.time_limit
    assert task.time_limit < app.conf.broker_transport_options.get("visibility_timeout", 900)
    assert not getattr(task, "autoretry_for", None)


def test_what_beat_rings_for_exists():
    names = {str(entry["task"]) for entry in app.conf.beat_schedule.values()}

    assert {"orders.tasks.sweep", "orders.tasks.discover"} <= names
    assert {name for name in names if name.startswith("orders.")} <= {task.name for task in TASKS}


def test_no_task_expires_by_anybodys_clock(rung):
    doorbell.ring(tasks.check_order, "1")
    with app.connection_for_read() as connection, connection.SimpleQueue("order-desk") as queue:
        message = queue.get(timeout=2)

    assert message.headers.get("expires") is None
    assert message.payload[0] == ["1"]
    ours = [task for name, task in app.tasks.items() if not name.startswith("celery.")]
    assert not [task for task in ours if getattr(task, "expires", None)]


def test_a_slow_upstream_piles_up_no_checks(rung, upstream):
    for _ in range(20):
        due_portfolio_order(upstream)

    for _ in range(4):
        tasks.sweep.apply()

    assert len(rung()) <= 4


def test_what_people_wait_for_is_taken_before_what_is_done_in_the_background(rung):
    if app.conf.broker_url.startswith("memory"):
        pytest.skip("the broker in memory is first come, first served")
    doorbell.ring(tasks.check_order, "1")
    doorbell.ring(tasks.reconcile, 1)
    doorbell.ring(tasks.discover)
    doorbell.ring(tasks.send_placement, "1")
    doorbell.ring(tasks.refetch_order, "1", "ada")
    doorbell.ring(tasks.sweep)

    assert [name for name, *_ in rung()][:3] == [
        "orders.tasks.send_placement", "orders.tasks.refetch_order", "orders.tasks.sweep",
    ]  # fmt: skip


def test_a_beat_without_workers_piles_up_no_ticks(rung, monkeypatch, settings):
    monkeypatch.setattr(doorbell, "FULL", 20)
    settings.INVESTMENT_API_MAX_RPS = 0
    scheduler = beat.Scheduler(app=app, lazy=True)
    entry = scheduler.Entry(name="sweep", task="orders.tasks.sweep", app=app)

    for _ in range(50):
        scheduler.apply_entry(entry)

    assert len(rung()) == 21


def test_deliveries_without_workers_pile_up_no_bells(rung, monkeypatch, settings):
    monkeypatch.setattr(doorbell, "FULL", 20)
    monkeypatch.setattr(doorbell, "LOOK_EVERY", 10)
    settings.INVESTMENT_API_MAX_RPS = 0

    for _ in range(100):
        doorbell.ring(tasks.drain)

    assert len(rung()) <= 40


@pytest.mark.django_db(transaction=True)
def test_a_sweep_and_a_worker_recover_an_order_whose_webhooks_were_lost(rung, upstream):
    pk = due_portfolio_order(upstream)
    upstream.wait(minutes=10)
    PortfolioOrder.objects.filter(pk=pk).update(check_after=timezone.now())
    checked = threading.Event()

    @signals.task_postrun.connect(sender=tasks.check_due)
    def note(**_):
        checked.set()

    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=10):
        doorbell.ring(tasks.sweep)
        assert checked.wait(10)

    assert PortfolioOrder.objects.get(pk=pk).status == "FILLED"
