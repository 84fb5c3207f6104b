"""Ring for a worker, bounded in time: the rows are the queue, a lost ring loses nothing."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery import Task
from kombu import Connection

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

    def is_open(self) -> bool:
        """Whether to leave the broker alone for now."""
        return self.clock() < self._shut_until

    def trip(self) -> None:
        """Leave the broker alone for ``pause`` seconds."""
        self._shut_until = self.clock() + self.pause


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
        task.apply_async(args, connection=_connection(), retry=False)
    except Exception as error:  # noqa: BLE001 - a delivery is stored: nothing here may cost its answer
        breaker.trip()
        _forget_connection()
        logger.warning(
            "broker unreachable, no ringing for %.0f s: %s: %s",
            breaker.pause,
            type(error).__name__,
            error,
        )
        return False
    return True


def _connection() -> Connection:
    """Return this thread's own connection: a lock would make one wait for another's timeout."""
    connection: Connection | None = getattr(_per_thread, "connection", None)
    if connection is None:
        connection = app.connection_for_write(
            connect_timeout=TIMEOUT,
            transport_options={
                **app.conf.broker_transport_options,
                "socket_connect_timeout": TIMEOUT,
                "socket_timeout": TIMEOUT,
                "retry_on_timeout": False,
            },
        )
        _per_thread.connection = connection
    return connection


def _forget_connection() -> None:
    _per_thread.connection = None
