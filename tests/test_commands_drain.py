import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from backoffice import doorbell
from orders import journal, projection, tasks
from orders.management.commands import drain
from orders.models import PortfolioOrder
from tests.processes import Process, wait_until
from tests.signed import envelope, post, publish
from tests.stories import event, portfolio_order

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.django_db


def record(*names):
    events = [event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)) for name in names]
    journal.record_events(events, delivery_id=1, now=timezone.now())


def test_it_applies_what_is_pending_and_says_how_much(capsys):
    record("P", "Q")

    call_command("drain")

    assert PortfolioOrder.objects.count() == 2
    said = "2 applied: 2 changed something, 0 did not, 0 quarantined.\n"
    assert capsys.readouterr().out == said


def database_url():
    """Return the address of the database of this test, for another process."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    password = f":{found['PASSWORD']}" if found["PASSWORD"] else ""
    return (
        f"postgres://{found['USER']}{password}@{found['HOST']}:{found['PORT'] or 5432}"
        f"/{found['NAME']}"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.django_db(transaction=True)
def test_forever_goes_on_until_a_signal_and_ends_cleanly(number):
    record("P")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "drain", "--forever"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert "SIGTERM or Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(number)  # what was begun is done first
        said, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert said.startswith("1 applied")
    assert PortfolioOrder.objects.count() == 1


class Pauses(Event):
    """Stops after so many pauses, and takes no time for them."""

    def __init__(self, most):
        super().__init__()
        self.lengths, self._most = [], most

    def wait(self, timeout=None):
        self.lengths.append(timeout)
        return len(self.lengths) >= self._most


@pytest.mark.django_db(transaction=True)
def test_forever_outlives_the_loss_of_the_database_and_tries_less_and_less_often(monkeypatch):
    record("P")
    apply, tries = projection.drain, []

    def away_at_first(**options):
        tries.append(options)
        if len(tries) <= 8:
            raise OperationalError("the database is gone")
        return apply(**options)

    pauses = Pauses(9)
    monkeypatch.setattr(drain, "drain", away_at_first)
    done = drain.apply_until(pauses)

    assert done.applied == 1
    assert pauses.lengths == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 0.5]


@pytest.mark.django_db(transaction=True)
def test_forever_does_not_pause_while_there_is_more(monkeypatch):
    monkeypatch.setattr("orders.projection.BATCH", 1)
    monkeypatch.setattr(drain, "BATCHES", 1)
    record("P", "Q", "R")
    pauses = Pauses(1)

    assert drain.apply_until(pauses).applied == 3
    assert pauses.lengths == [0.5]


FAR_APART = """
import django
django.setup()
from django.core.management import call_command
from orders.management.commands import drain
drain.PAUSE = 60
call_command("drain", "--forever")
"""


@pytest.mark.django_db(transaction=True)
def test_without_redis_a_delivery_that_another_process_stored_is_applied_at_once(
    tmp_path, client, monkeypatch, settings
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has nobody to listen to: it is looked every half second")
    settings.REDIS_URL = ""
    monkeypatch.setattr(doorbell, "ringer", doorbell.Ringer())
    publish()
    applier = Process(
        "drain", sys.executable, "-c", FAR_APART, folder=tmp_path,
        environment={
            "PATH": os.environ["PATH"], "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        },
    )  # fmt: skip
    applier.start()
    try:
        wait_until(lambda: sessions("LISTEN") == 1, seconds=20, told=applier.log)
        for number, name in enumerate("PQ", 1):
            post(client, envelope(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name))))
            wait_until(
                lambda number=number: PortfolioOrder.objects.count() == number,
                seconds=10, every=0.02, told=applier.log,
            )  # fmt: skip
    finally:
        applier.kill()
        # With a broker again the thread that rings needs no session of its own.
        settings.REDIS_URL = "redis://127.0.0.1:1"
        monkeypatch.setattr(doorbell, "ring_once", lambda _: True)
        doorbell.ringer.ring(tasks.drain)
    wait_until(lambda: sessions("NOTIFY") == 0, seconds=10)


def sessions(last):
    """Return how many sessions of this database wait after a statement that begins with ``last``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE %s AND state = 'idle'",
            [f"{last}%"],
        )
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_listener_whose_session_ends_only_waits_and_listens_again_later(monkeypatch):
    if connection.vendor != "postgresql":
        assert not doorbell.Listener(tasks.drain).wait(9)
        return
    monkeypatch.setattr(doorbell, "LISTEN_AGAIN", 0.0)
    listener = doorbell.Listener(tasks.drain)
    assert listener.wait(0.01)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        )

    assert not listener.wait(9)
    assert listener.wait(0.01)
    assert sessions("LISTEN") == 1
    listener.hang_up()


@pytest.mark.django_db(transaction=True)
def test_forever_looks_again_after_each_wait_whether_anything_was_heard_or_not(monkeypatch):
    class Deaf(doorbell.Listener):
        """Behind a pooler of transactions: it waits, and nobody is ever heard."""

        def wait(self, seconds):
            record("P")
            waits.append(seconds)
            return True

    waits: list[float] = []
    pauses = Pauses(2)

    done = drain.apply_until(pauses, Deaf(tasks.drain))

    assert done.applied == 1
    assert waits == [drain.PAUSE] * 2
    assert pauses.lengths == [0, 0]
