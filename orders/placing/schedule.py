"""When a placement is sent again, looked up and resolved by people. Pure.

Upstream keeps the successful answer to a key for at least 24 hours (the contract, 5.3): within them
the same key cannot place twice, after them it could.
"""

from datetime import datetime, timedelta
from uuid import UUID

from orders.lifecycle import jitter

KEY_KEPT = timedelta(hours=24)
SEND_WITHIN = KEY_KEPT - timedelta(minutes=15)  # clocks differ, and a request takes its time
LEASE = timedelta(minutes=2)  # of an attempt, far longer than the deadline of a call
FIRST_WAIT = timedelta(seconds=4)
LONGEST_WAIT = timedelta(minutes=15)
OVER_AFTER = timedelta(minutes=10)  # no gateway holds a request for so long
CLOCKS_DIFFER = timedelta(minutes=5)
LAST_ORDER = timedelta(hours=1)  # nothing is placed so long after the last request


def wait_after(attempts: int, pk: UUID, *, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """Return the pause after so many attempts: it doubles from seconds to ``longest``."""
    grown: timedelta = FIRST_WAIT * 2 ** min(max(attempts - 1, 0), 20)
    return min(grown, longest) * jitter(pk)


def may_be_sent(first_sent_at: datetime | None, *, now: datetime) -> bool:
    """Return whether the key surely protects from a second order."""
    return first_sent_at is None or now < first_sent_at + SEND_WITHIN


def settled_from(first_sent_at: datetime) -> datetime:
    """Return from when on a look-up tells for good: nothing is sent, nothing is under way any more."""
    return first_sent_at + KEY_KEPT


def wait_unsent(submitted_at: datetime, *, now: datetime) -> timedelta:
    """Return the pause after a request that never left: it grows with the age of the placement."""
    return min(max((now - submitted_at) / 4, FIRST_WAIT), LONGEST_WAIT)


def next_attempt(
    *,
    attempts: int,
    pk: UUID,
    first_sent_at: datetime,
    now: datetime,
    wait: timedelta | None,
    not_before: datetime | None = None,
) -> datetime:
    """Return when to send again, or, where that would be too late, when to look it up instead.

    ``wait`` is how long upstream wants to be left alone.
    """
    at = now + max(wait_after(attempts, pk), wait or timedelta())
    at = max(at, not_before or at)
    return at if may_be_sent(first_sent_at, now=at) else max(now, settled_from(first_sent_at))


def window(first_sent_at: datetime, sent_at: datetime) -> tuple[datetime, datetime]:
    """Return from when to when an order may have been created that came of these attempts."""
    return first_sent_at - CLOCKS_DIFFER, sent_at + LAST_ORDER
