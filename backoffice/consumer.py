"""The worker's consumer: whatever breaks between it and the broker is a lost connection, not its end.

Celery connects again after errors that it expects of the connection, and ends the process after any
other. Clearing away after a Redis that died raises others: a channel that could not be closed is
closed once more after its transport is gone, and restoring its unacknowledged messages then fails
with an AttributeError. The rows are the queue, so what is lost with a connection is found again.
"""

import logging
from typing import Any

from celery.exceptions import WorkerLostError
from celery.worker import consumer

from backoffice.interruptions import INTERRUPTIONS

logger = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """Celery's consumer, which takes every exception for the loss of its connection.

    Where it fails again and again, Celery's own brake lets it try once a second.
    """

    connection_errors: tuple[type[Exception], ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected = self.connection_errors
        self.connection_errors = (Exception,)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Tell of it; without processes for its tasks the worker is of no use and ends."""
        self._tell(exc)
        super().on_connection_error_before_connected(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Tell of it and clear away what is left of the connection, whatever that raises."""
        self._tell(exc)
        channels = list(
            getattr(getattr(self.connection, "transport", None), "channels", None) or []
        )
        try:
            super().on_connection_error_after_connected(exc)
        except INTERRUPTIONS:
            raise
        except Exception as error:  # noqa: BLE001 -- the connection is given up in any case
            logger.warning("A lost connection was cleared away with an error: %r", error)
            self.connection = None
        for channel in channels:  # the first that cannot be closed kept the others from it
            _close(channel)

    def _tell(self, exc: Exception) -> None:
        if isinstance(exc, WorkerLostError):
            raise exc
        if not isinstance(exc, self._expected):
            logger.error("The connection to the broker is made anew", exc_info=exc)


def _close(channel: Any) -> None:
    """Let go of the sockets of a channel; its connection is gone, so nothing is sent."""
    try:
        channel.close()
    except INTERRUPTIONS:
        raise
    except Exception as error:  # noqa: BLE001 -- there is nothing to close it for but its sockets
        logger.debug("A channel of a lost connection cannot be closed: %r", error)
