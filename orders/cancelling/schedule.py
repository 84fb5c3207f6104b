"""When a cancellation is sent again, and how long its result is looked for. Pure.

It may be sent as often as one likes: cancelling what is cancelled does nothing.
"""

from datetime import datetime, timedelta
from uuid import UUID

from orders.placing.schedule import FIRST_WAIT, LEASE, wait_after

__all__ = ["FIRST_WAIT", "LEASE", "next_attempt", "next_look", "wait_unsent"]

LONGEST_WAIT = timedelta(minutes=5)
OVER_AFTER = timedelta(hours=1)  # who asked for it so long ago has to look at it again
TAKEN_FOR = timedelta(
    minutes=2
)  # upstream's word usually comes within; until then nobody asks again


def next_attempt(
    *, attempts: int, about: UUID, requested_at: datetime, now: datetime, wait: timedelta | None
) -> datetime | None:
    """Return when to send it again; None where that is too late. ``wait`` is what upstream wants."""
    pause = wait_after(attempts, about, longest=LONGEST_WAIT)
    return _in_time(now + max(pause, wait or pause), requested_at)


def wait_unsent(
    *, requested_at: datetime, now: datetime, wait: timedelta | None
) -> datetime | None:
    """Return when to try again what never left: the pause grows with the age of the request."""
    pause = min(max((now - requested_at) / 4, FIRST_WAIT), LONGEST_WAIT)
    return _in_time(now + max(pause, wait or pause), requested_at)


def next_look(answered_at: datetime, *, now: datetime) -> datetime | None:
    """Return when to ask again what became of an order whose cancellation upstream has taken."""
    return _in_time(now + min(max(now - answered_at, FIRST_WAIT), LONGEST_WAIT), answered_at)


def is_over(requested_at: datetime, *, now: datetime) -> bool:
    """Return whether it is too late to send it."""
    return now > requested_at + OVER_AFTER


def _in_time(at: datetime, since: datetime) -> datetime | None:
    return None if is_over(since, now=at) else at
