"""The reconciliations of each night, and the tasks that work on any."""

from datetime import date, datetime, time, timedelta
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from backoffice.celery import app
from backoffice.sandbox import Trouble
from orders import tasks
from orders.models import JournalEntry
from orders.reconciliation import nightly, runs, work
from orders.reconciliation.models import Reconciliation, Scope
from tests.bells import listen
from tests.reconciling import begin, objects
from tests.truth import differences
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db
BERLIN = ZoneInfo("Europe/Berlin")  # the display zone of the tests
NIGHT = datetime(2026, 3, 3, 2, 30, tzinfo=BERLIN)


@pytest.fixture
def upstream(settings):
    settings.RECONCILE_AT, settings.RECONCILE_DAYS = time(2, 30), 7
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def rung(monkeypatch):
    return listen(monkeypatch)


def begun(now):
    return [(it.scope, it.night) for it in nightly.begin_if_due(now=now)]


def test_each_night_has_one_of_what_was_placed_lately_and_one_of_what_is_open_and_older(upstream):
    assert begun(NIGHT - timedelta(minutes=1)) == []
    assert begun(NIGHT) == [("WINDOW", date(2026, 3, 3)), ("OPEN", date(2026, 3, 3))]

    window, still_open = Reconciliation.objects.order_by("pk")
    assert window.since == still_open.until == NIGHT - timedelta(days=7)
    assert window.until == NIGHT - timedelta(seconds=60)
    assert window.started_by == still_open.started_by == ""
    assert begun(NIGHT + timedelta(minutes=1)) == []
    assert begun(NIGHT + timedelta(days=1)) == [
        ("WINDOW", date(2026, 3, 4)), ("OPEN", date(2026, 3, 4)),
    ]  # fmt: skip


def test_where_no_time_is_set_nothing_is_compared_by_itself(upstream, settings):
    settings.RECONCILE_AT = None

    assert begun(NIGHT) == []


def test_a_night_that_nobody_began_is_left_out_when_people_work_again(upstream):
    assert begun(NIGHT + timedelta(hours=6)) == []


def test_a_night_belongs_to_the_day_on_which_it_began(upstream, settings):
    settings.RECONCILE_AT = time(23, 0)

    assert nightly.night_of(datetime(2026, 3, 3, 1, tzinfo=BERLIN)) == date(2026, 3, 2)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_on_the_days_of_23_and_25_hours_there_is_a_night_too(upstream, day):
    three = datetime(day.year, day.month, day.day, 3, 31, tzinfo=BERLIN)

    assert nightly.night_of(three) == day


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_begin_a_night_once(upstream, monkeypatch):
    read, both = QuerySet.values_list, Barrier(2, timeout=10)

    def together(queryset, *args, **more):
        found = list(read(queryset, *args, **more))
        both.wait()
        return found

    def beat():
        try:
            nightly.begin_if_due(now=NIGHT)
        finally:
            connections.close_all()

    with monkeypatch.context() as patched:
        patched.setattr(QuerySet, "values_list", together)
        threads = [Thread(target=beat) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(Reconciliation.objects.values_list("scope", flat=True).order_by()) == [
        "OPEN", "WINDOW",
    ]  # fmt: skip
    assert JournalEntry.objects.filter(status="STARTED").count() == 2


def test_the_beat_rings_for_what_it_begins_and_a_night_repairs_the_day(upstream, rung):
    upstream.market.place_some(5, now=timezone.now())
    upstream.wait(hours=16, minutes=31)

    tasks.reconcile_nightly.apply()

    first, second = Reconciliation.objects.order_by("pk")
    assert rung == [("orders.tasks.reconcile", first.pk), ("orders.tasks.reconcile", second.pk)]
    for run in (first, second):
        tasks.reconcile.apply((run.pk,))
        run.refresh_from_db()
        assert run.state == "DONE"
    assert first.compared == objects(upstream)
    assert differences(upstream) == []


def test_the_beat_asks_every_minute():
    tick = app.conf.beat_schedule["reconcile-nightly"]
    assert (tick["task"], tick["schedule"]) == ("orders.tasks.reconcile_nightly", 60)


def test_a_task_works_for_a_while_and_rings_for_the_rest(upstream, rung, monkeypatch):
    upstream.market.place_some(20, now=timezone.now())
    upstream.wait(hours=5)
    run = begin()
    monkeypatch.setattr(work, "SHIFT", timedelta(microseconds=1))

    tasks.reconcile.apply((run.pk,))

    run.refresh_from_db()
    assert run.state == "RUNNING"
    assert 0 < run.compared < objects(upstream)
    assert rung == [("orders.tasks.reconcile", run.pk)]


def test_a_sweep_rings_for_those_that_nobody_works_on(upstream, rung):
    run = begin()
    held = begin(Scope.OPEN, holds=True)

    tasks.sweep.apply()
    assert rung == [("orders.tasks.reconcile", run.pk)]

    rung.clear()
    upstream.wait(minutes=6)
    tasks.sweep.apply()
    assert rung == [("orders.tasks.reconcile", pk) for pk in (run.pk, held.pk)]


def test_one_that_waits_for_the_broker_is_left_alone_until_then(upstream, rung):
    receive([])
    run = begin()
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    tasks.reconcile.apply((run.pk,))
    tasks.sweep.apply()
    assert rung == []

    upstream.wait(seconds=31)
    tasks.sweep.apply()
    assert rung == [("orders.tasks.reconcile", run.pk)]


def test_a_task_for_one_that_was_stopped_does_nothing(upstream, rung):
    run = begin()
    runs.stop(run.pk, actor="ada", now=timezone.now())

    tasks.reconcile.apply((run.pk,))

    assert upstream.asked() == []
