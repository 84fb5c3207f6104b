"""Apply what is pending in the journal, once or for ever: works without a broker, and on PostgreSQL as quickly."""

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections, connection
from django.utils import timezone

from backoffice.database import limits
from backoffice.doorbell import Listener
from backoffice.management.migrated import MigratedCommand
from orders import tasks
from orders.intake import Drained
from orders.projection import drain

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two looks
LONGEST_PAUSE = 30.0  # while the database is away
BATCHES = 20  # between two looks at the signals


class Command(MigratedCommand):
    help = "Apply what is pending in the journal. With --forever, keep on until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--forever",
            action="store_true",
            help="go on, and look again every half second",
        )

    def handle(self, *, forever: bool, **_: Any) -> None:
        with limits("task"):
            done = self._until_signalled() if forever else drain(now=timezone.now())
        self.stdout.write(
            f"{done.total} applied: {done.applied} changed something, {done.no_change} did not, "
            f"{done.quarantined} quarantined."
        )

    def _until_signalled(self) -> Drained:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write("Applying what is pending. SIGTERM or Ctrl-C ends it.")
        self.stdout.flush()
        listener = Listener(tasks.drain)
        try:
            return apply_until(stop, listener)
        finally:
            listener.hang_up()


def apply_until(stop: threading.Event, listener: Listener | None = None) -> Drained:
    """Apply what is pending until ``stop`` is set, whatever happens to the database meanwhile.

    Looks every ``PAUSE`` seconds, and at once if the ``listener`` hears that there is something.
    """
    done, pause = Drained(), PAUSE
    while True:
        try:
            close_old_connections()
            batch = drain(now=timezone.now(), most=BATCHES)
        except DatabaseTrouble as error:
            pause = min(2 * pause, LONGEST_PAUSE)
            logger.warning("The database is away, next try in %.0f s: %s", pause, error)
            connection.close()
        else:
            done, pause = done + batch, PAUSE
            if (batch.total or batch.read) and not stop.is_set():
                continue
        has_waited = listener is not None and pause == PAUSE and listener.wait(pause)
        if stop.wait(0 if has_waited else pause):
            return done
