"""Requests that are answered 401: what is kept of them, and how little strangers can make of that."""

import logging
import threading
from collections import deque
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Q
from prometheus_client import Counter

from backoffice import health
from backoffice.http_signatures import Message, SignatureError, key_ids
from backoffice.interruptions import INTERRUPTIONS
from orders.attributes import clean
from webhooks.inbox import kept_headers
from webhooks.models import Delivery, Verdict

logger = logging.getLogger(__name__)

MOST_KEPT = 60  # rows a minute: strangers must not fill the database
MINUTE = timedelta(minutes=1)
NOTED = timedelta(seconds=5)  # between two notes of requests without a signature
CACHED_UNSIGNED = "webhooks.unsigned"  # when the last request without a signature came, Unix time
REMEMBERED = 600  # seconds

REFUSED = Counter(
    "webhook_deliveries_refused",
    "Deliveries answered 401 by this process, by whether a row was kept of them.",
    ["kept"],
    registry=health.registry,
)


class Allowance:
    """Lets ``most`` through in ``window``, counted in this process: asking costs no query."""

    def __init__(self, most: int, window: timedelta) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._taken: deque[datetime] = deque(maxlen=most)

    def take(self, now: datetime) -> bool:
        """Return whether one more may go through."""
        with self._lock:
            is_full = len(self._taken) == self._taken.maxlen
            if is_full and abs(now - self._taken[0]) < self._window:
                return False
            self._taken.append(now)
            return True

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._taken.clear()


rows = Allowance(MOST_KEPT, MINUTE)
notes = Allowance(1, NOTED)


def refuse_unsigned(*, now: datetime) -> None:
    """Note that a request without any signature came: it costs a stranger nothing, so it gets no row.

    ``subscriptions test`` says so, for a proxy may have dropped the headers.
    """
    REFUSED.labels(kept="no").inc()
    if not notes.take(now):
        return
    logger.warning("deliveries without a signature are refused; does a proxy drop its headers?")
    try:
        cache.set(CACHED_UNSIGNED, now.timestamp(), REMEMBERED)
    except INTERRUPTIONS:
        raise
    except Exception as error:  # noqa: BLE001 - only a hint is lost
        logger.warning("the cache does not answer: %s: %s", type(error).__name__, error)


def has_unsigned_come(since: datetime) -> bool:
    """Return whether a request without a signature came after ``since``, as far as is known."""
    try:
        return float(cache.get(CACHED_UNSIGNED) or 0) >= since.timestamp()
    except INTERRUPTIONS:
        raise
    except Exception:  # noqa: BLE001 - only a hint is lost
        return False


def refuse(message: Message, reason: str, *, sender: str = "", now: datetime) -> None:
    """Keep a row of a delivery that is not correctly signed, at most ``MOST_KEPT`` a minute."""
    is_kept = rows.take(now) and _kept_lately(now) < MOST_KEPT
    REFUSED.labels(kept="yes" if is_kept else "no").inc()
    from_ = f" from {sender}" if sender else ""
    kept = "" if is_kept else " (no row is kept)"
    logger.warning("delivery%s refused: %s%s", from_, reason, kept)
    if is_kept:
        Delivery.objects.create(
            received_at=now,
            verdict=Verdict.REFUSED,
            reason=clean(reason, 2000),
            sender=sender,
            key_id=_claimed_key_id(message),
            headers=kept_headers(message),
            size=len(message.body),
        )


def _kept_lately(now: datetime) -> int:
    """Count the rows of all processes in the last minute, in the index of what was not accepted."""
    is_problem = ~Q(verdict=Verdict.ACCEPTED)  # says to PostgreSQL that the partial index serves
    kept = Delivery.objects.filter(
        is_problem, verdict=Verdict.REFUSED, received_at__gt=now - MINUTE
    )
    return kept.order_by()[:MOST_KEPT].count()


def _claimed_key_id(message: Message) -> str:
    try:
        return clean(next(iter(key_ids(message)), ""), 64)
    except SignatureError:
        return ""
