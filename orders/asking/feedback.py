"""What an ask of upstream came to, and the sentence that tells it to people. Pure.

Source of the sentences: ux.md, section 5, "Refetch feedback".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.utils import timezone

from orders.timeline.durations import duration
from orders.timeline.sentences import status_word

MOST_CHANGES = 5  # named in a sentence; a portfolio order may have 100 orders


class Verdict(Enum):
    """What became of an ask."""

    ANSWERED = "answered"
    NOT_FOUND = "not found at the broker"
    FAILED = "failed"
    LIMITED = "the broker asked us to wait"
    QUEUED = "the broker took too long: a worker asks again"
    BUSY = "already being checked"
    SKIPPED = "not due, or checks are paused: the broker was not asked"


@dataclass(frozen=True, slots=True)
class Change:
    """One object that moved; ``name`` is "Portfolio order" or what its order is known by."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.name} {status_word(self.after)}"
        return f"{self.name} {status_word(self.before)} -> {status_word(self.after)}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one ask came to.

    ``reason`` says in a few words why it, or a part of it, failed; ``detail`` what upstream said,
    with its request id. ``updated``: something was learned. ``unasked`` counts the orders that
    were to be asked about and were not. ``wait_until`` is when upstream lets us ask again,
    ``next_try`` when the poller does, ``asking_since`` when another began; ``entry_id`` is the
    journal entry that tells of it.
    """

    verdict: Verdict
    took: timedelta = timedelta()
    updated: bool = False
    changes: tuple[Change, ...] = ()
    reason: str = ""
    detail: str = ""
    unasked: int = 0
    wait_until: datetime | None = None
    next_try: datetime | None = None
    asking_since: datetime | None = None
    entry_id: int | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether upstream answered all that was asked."""
        return self.verdict is Verdict.ANSWERED and not self.reason


def sentence(result: Result, *, now: datetime) -> str:
    """Return what to tell the person who asked; times are in the display zone."""
    if result.verdict is Verdict.ANSWERED:
        return f"Refetched in {duration(result.took)}: {_learned(result)}{_unasked(result)}"
    if result.verdict is Verdict.QUEUED:
        waited = duration(result.took)
        return f"No answer from the broker in {waited}: a worker asks again, and the history will show the answer"
    if result.verdict is Verdict.BUSY:
        return f"Already being checked{_since(result, now)}"
    if result.verdict is Verdict.LIMITED:
        return f"Rate limited until {_clock(result.wait_until, seconds=True)}, nothing changed"
    if result.verdict is Verdict.SKIPPED:
        return "No check is due now"
    what = "Not found at the broker" if result.verdict is Verdict.NOT_FOUND else result.reason
    return f"{what[:1].upper()}{what[1:]}, nothing changed{_next_try(result)}"


def _since(result: Result, now: datetime) -> str:
    return f", since {duration(now - result.asking_since)}" if result.asking_since else ""


def _learned(result: Result) -> str:
    if not result.changes:
        return "details updated, no status changed" if result.updated else "no change"
    named = ", ".join(str(change) for change in result.changes[:MOST_CHANGES])
    more = ", ..." if len(result.changes) > MOST_CHANGES else ""
    count = len(result.changes)
    return f"{count} {'change' if count == 1 else 'changes'} ({named}{more})"


def _unasked(result: Result) -> str:
    if not result.reason:
        return ""
    orders = f"{result.unasked} order{'' if result.unasked == 1 else 's'}"
    return f"; {orders} not refetched: {result.reason}{_next_try(result)}"


def _next_try(result: Result) -> str:
    return f", next try {_clock(result.next_try)}" if result.next_try else ""


def _clock(moment: datetime | None, *, seconds: bool = False) -> str:
    if moment is None:
        return "later"
    return timezone.localtime(moment).strftime("%H:%M:%S" if seconds else "%H:%M")
