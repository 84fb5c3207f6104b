"""Ring for a worker, bounded in time: the rows are the queue, a lost ring loses nothing."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from celery import Task
from kombu import Producer

from backoffice.celery import app

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds, for the connection and for each answer of the broker
PAUSE = 5.0  # seconds without ringing after a failure


@dataclass
class Breaker:
    """Remembers, for a whole process, that the broker did not answer just now."""

    pause: float = PAUSE
    clock: Callable[[], float] = time.monotonic
    _shut_until: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def is_open(self) -> bool:
        """Whether to leave the broker alone for now."""
        return self.clock() < self._shut_until

    def trip(self) -> bool:
        """Leave the broker alone for ``pause`` seconds; False if another thread just said so."""
        with self._lock:
            if self.is_open():
                return False
            self._shut_until = self.clock() + self.pause
            return True

    def reset(self) -> None:
        """Try the broker again at once."""
        self._shut_until = float("-inf")


breaker = Breaker()
_per_thread = threading.local()


def ring(task: "Task[Any, Any]", *args: str | int) -> bool:
    """Ask a worker to run ``task``; False if the broker could not be told. Never raises.

    A dead or frozen broker costs the first caller less than a second and, while the breaker is
    open, the next ones nothing. The sweep finds what nobody rang for.
    """
    if breaker.is_open():
        return False
    try:
        task.apply_async(args, producer=_producer(), retry=False)
    except Exception as error:  # noqa: BLE001 - what is stored stays stored, whatever breaks here
        _hang_up()
        if breaker.trip():
            reason = f"{type(error).__name__}: {error}"
            logger.warning("broker unreachable, no ring for %.0f s: %s", breaker.pause, reason)
        return False
    return True


def _producer() -> Producer:
    """Return this thread's own producer: a shared one would make threads wait for each other."""
    producer: Producer | None = getattr(_per_thread, "producer", None)
    if producer is None:
        limits = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT, "max_retries": 0}
        connection = app.connection_for_write(
            transport_options={**app.conf.broker_transport_options, **limits}
        )
        producer = _per_thread.producer = Producer(connection, auto_declare=False)
    return producer


def _hang_up() -> None:
    """Close this thread's connection, so that the next ring begins with a fresh one."""
    producer: Producer | None = getattr(_per_thread, "producer", None)
    _per_thread.producer = None
    if producer is not None and producer.connection is not None:
        with suppress(Exception):
            producer.connection.release()
