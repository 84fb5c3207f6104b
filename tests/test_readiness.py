"""Dead, deaf and starved workers, and clocks that are off, are named by ``/health/ready``, on Today and in the log."""

import logging
import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db.models.functions import Now
from django.utils import timezone

from backoffice.together import ask
from orders import journal, projection, pulse, tasks
from orders.models import JournalEntry, PortfolioOrder, Pulse
from tests.stories import event, portfolio_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def database_clock(monkeypatch):
    """Go by the database's own clock, which does not travel with the test's."""
    monkeypatch.setattr(pulse, "database_now", Now)


@pytest.fixture
def ready(client):
    """Return a way to ask for readiness, of an installation whose worker has just swept."""
    pulse.note(now=timezone.now())
    return lambda: client.get("/health/ready").json()


def seconds_in(text, pattern):
    """Return the seconds that a sentence names: a busy machine is a little late."""
    found = re.search(pattern, text)
    assert found, text
    return int(found[1])


def record():
    journal.record_events(
        [event("PORTFOLIO_ORDER.NEW", portfolio_order())], delivery_id=1, now=timezone.now()
    )


def test_all_is_well_where_a_worker_sweeps_and_nothing_waits(ready):
    said = ready()

    assert said["status"] == "ok"
    assert {said[name] for name in ("events", "asks", "worker", "clock")} == {"ok"}


def test_an_installation_without_a_worker_is_degraded(client):
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["worker"] == "no worker heartbeat yet: run a worker and a beat"


def test_events_that_nobody_applies_are_named_within_a_minute(ready, settings):
    assert timedelta(seconds=60) >= settings.APPLY_WITHIN
    record()
    assert ready()["events"] == "ok"

    JournalEntry.objects.update(recorded_at=timezone.now() - timedelta(seconds=60))

    assert ready()["status"] == "degraded"
    assert seconds_in(ready()["events"], "not applied for (.*) s") >= 60


def test_a_worker_that_sweeps_no_more_is_named_within_a_minute(ready, settings):
    assert timedelta(seconds=60) >= settings.SWEEP_WITHIN
    Pulse.objects.update(at=timezone.now() - timedelta(seconds=60))

    assert seconds_in(ready()["worker"], "no worker heartbeat for (.*) s") >= 60


def test_asks_that_are_overdue_are_named(ready, settings):
    settings.ASK_WITHIN = timedelta(seconds=60)
    record()
    projection.drain(now=timezone.now())
    PortfolioOrder.objects.update(check_after=timezone.now() - timedelta(seconds=61))

    assert seconds_in(ready()["asks"], "overdue for (.*) s") >= 61


def test_the_limits_are_settings(ready, settings):
    settings.APPLY_WITHIN = settings.SWEEP_WITHIN = timedelta(hours=1)
    record()
    JournalEntry.objects.update(recorded_at=timezone.now() - timedelta(minutes=30))
    Pulse.objects.update(at=timezone.now() - timedelta(minutes=30))

    assert ready()["status"] == "ok"


@pytest.mark.usefixtures("database_clock")
@pytest.mark.parametrize(("seconds", "words"), [(16, "s ahead of"), (-300, "s behind")])
def test_a_worker_whose_clock_is_off_works_and_is_named(client, caplog, seconds, words):
    record()
    with (
        time_machine.travel(timezone.now() + timedelta(seconds=seconds)),
        caplog.at_level(logging.ERROR),
    ):
        pulse.note(now=timezone.now())  # as each sweep does
        tasks.drain()

    assert PortfolioOrder.objects.exists()
    off = seconds_in(caplog.text, f"The clock of this machine is (.*) {words} the database's")
    assert abs(off - abs(seconds)) <= 5
    said = client.get("/health/ready").json()
    assert said["worker"] == "ok"
    assert said["status"] == "degraded"
    told = seconds_in(
        said["clock"], f"the clock of the worker on a host is (.*) {words} the database's"
    )
    assert told == off
    client.force_login(get_user_model().objects.create_superuser("root"))
    page = client.get("/admin/").content.decode()
    host = re.escape(Pulse.objects.get().host)
    assert (
        seconds_in(page, f"The clock of the worker on {host} is (.*) {words} the database") == off
    )


@pytest.mark.usefixtures("database_clock")
def test_a_web_process_whose_clock_is_off_is_named(client):
    pulse.note(now=timezone.now())
    with time_machine.travel(timezone.now() + timedelta(seconds=16)):
        said = client.get("/health/ready").json()

    ahead = seconds_in(said["clock"], "the clock of this process is (.*) s ahead of the database's")
    assert 10 <= ahead <= 20
    assert said["worker"] == "ok"


@pytest.mark.usefixtures("database_clock")
def test_the_clock_of_the_database_is_the_time_of_the_world():
    at = ask(at=pulse.database_now())["at"]

    assert abs(timezone.now() - at) < timedelta(seconds=5)


def test_a_host_that_is_gone_is_forgotten():
    Pulse.objects.create(host="gone", at=timezone.now() - timedelta(days=2), ahead=99)

    pulse.note(now=timezone.now())

    assert not Pulse.objects.filter(host="gone").exists()
