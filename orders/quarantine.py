"""Events that could not be applied: why, how many, and applying them again after a release can.

Reading is deterministic: without a release that reads more, an event goes back with its reason.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Concat

from backoffice.foreign_json import parse
from orders import facts, journal, projection
from orders.attributes import clean
from orders.audit.subjects import Subject
from orders.models import JournalEntry, Outcome
from orders.tracked import Source

logger = logging.getLogger(__name__)

MOST = projection.BATCH  # applied again at once: one batch, one transaction
MOST_READ = 5000  # quarantined events that are grouped by their reason
REPLAY = "REPLAY"  # type of the entry that says who applied or processed what again
DISMISS = "DISMISS"  # type of the entry that says who dismissed what
NAMED = 20  # entries that are named by their numbers where they were dismissed
LONGEST_REASON = 1000  # characters

# What differs between two events that fail for the same reason: ids, quoted values, long numbers.
PARTICULAR = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d{4,}"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of events that were applied again."""

    applied: int = 0
    no_change: int = 0
    quarantined: int = 0
    pending: int = 0  # the database was busy: the next sweep applies them

    @property
    def total(self) -> int:
        """Return how many there were."""
        return self.applied + self.no_change + self.quarantined + self.pending

    @property
    def sentence(self) -> str:
        """Return the result as people read it: "1 applied, 2 quarantined again"."""
        parts = [
            (self.applied, "applied"),
            (self.no_change, "without change"),
            (self.quarantined, "quarantined again"),
            (self.pending, "waiting: the database is busy, they will be applied in a moment"),
        ]
        return ", ".join(f"{count:,} {words}" for count, words in parts if count) or "none"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, without what is particular to one event, and the events that have it, the oldest first."""

    text: str
    entry_ids: Sequence[int]

    @property
    def count(self) -> int:
        """Return how many events have it."""
        return len(self.entry_ids)


def reasons() -> list[Reason]:
    """Return why events are quarantined, the most frequent first: one query, ``MOST_READ`` events at most."""
    found: dict[str, list[int]] = {}
    rows = _quarantined().order_by("pk").values_list("pk", "message")[:MOST_READ]
    for pk, message in rows:
        found.setdefault(general(message), []).append(pk)
    return [Reason(*pair) for pair in sorted(found.items(), key=lambda pair: -len(pair[1]))]


def general(message: str) -> str:
    """Return a reason without what is particular to one event."""
    return PARTICULAR.sub("…", message)


def of_reason(text: str) -> Sequence[int]:
    """Return the events with a reason, the oldest first, ``MOST`` at most."""
    return next((reason.entry_ids[:MOST] for reason in reasons() if reason.text == text), ())


def apply_again(entry_ids: Sequence[int], *, actor: str, now: datetime) -> Result:
    """Apply quarantined events again for somebody of the staff, and record that they did."""
    result = retry(entry_ids, now=now)
    if result.total:
        said = f"Applied events in quarantine again: {result.sentence}"
        subject = _sole(entry_ids)
        journal.record_step(said, actor=actor, now=now, type_=REPLAY, subject=subject)
    return result


def dismiss(entry_ids: Sequence[int], *, reason: str, actor: str, now: datetime) -> int:
    """Take events out of quarantine that need not be applied, and record who said so and why; return how many.

    Nothing is deleted: each keeps what it holds and why it could not be applied.
    """
    why = clean(reason, LONGEST_REASON).strip()
    with transaction.atomic():
        rows = _quarantined().filter(pk__in=entry_ids).select_for_update(no_key=True)
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:MOST])
        count = _dismiss(ids, f"Dismissed by {actor}: {why}")
        if count:
            events = "1 event" if count == 1 else f"{count:,} events"
            numbers = ", ".join(f"No. {pk}" for pk in ids[:NAMED])
            more = f" and {count - NAMED:,} more" if count > NAMED else ""
            said = f"Dismissed {events} from quarantine: {why} ({numbers}{more})"
            subject = _sole(ids)
            journal.record_step(said, actor=actor, now=now, type_=DISMISS, subject=subject)
    return count


def _sole(entry_ids: Sequence[int]) -> Subject | None:
    """Return the event that a step is about; None for several."""
    return Subject("entry", str(entry_ids[0])) if len(entry_ids) == 1 else None


def retry(entry_ids: Sequence[int], *, now: datetime) -> Result:
    """Apply quarantined events again, ``MOST`` at most, and return what became of them.

    What is no quarantined event is passed over: an answer is asked for again, not applied again.
    """
    entries = list(_quarantined().filter(pk__in=entry_ids).order_by("pk")[:MOST])
    ready = _release(entries)
    try:
        projection.drain(now=now, only=ready)
    except (OperationalError, InterfaceError):
        logger.warning("%d events stay pending: the database is busy", len(ready), exc_info=True)
    rows = JournalEntry.objects.filter(pk__in=[entry.pk for entry in entries])
    return result_of(rows.values_list("outcome", flat=True))


def result_of(outcomes: Iterable[str]) -> Result:
    """Return what became of events that were in quarantine, by the outcomes they have now."""
    became = Counter(outcomes)
    return Result(
        applied=became[Outcome.APPLIED],
        no_change=became[Outcome.NO_CHANGE],
        quarantined=became[Outcome.QUARANTINED],
        pending=became[Outcome.PENDING],
    )


def release(entry_ids: Sequence[int]) -> None:
    """Let quarantined events wait to be applied again, those that can be read now."""
    _release(list(_quarantined().filter(pk__in=entry_ids)))


def _release(entries: Sequence[JournalEntry]) -> list[int]:
    ready = [entry.pk for entry in entries if _is_readable(entry)]
    journal.replay(ready)
    return ready


def _quarantined() -> QuerySet[JournalEntry]:
    return JournalEntry.objects.filter(outcome=Outcome.QUARANTINED, source=Source.WEBHOOK)


def _is_readable(entry: JournalEntry) -> bool:
    """Describe an event anew, and say whether that could be done.

    One that could not be read when it came has no subject, type or time yet.
    """
    try:
        event = parse(bytes(entry.payload))
        told = facts.describe_event(event, now=entry.recorded_at)
    except ValueError as error:
        logger.info("Journal entry %s still cannot be read: %s", entry.pk, error)
        return False
    columns = ("type", "status", "occurred_at", "portfolio_order_id", "order_id")
    changed = [name for name in columns if getattr(entry, name) != getattr(told, name)]
    for name in changed:
        setattr(entry, name, getattr(told, name))
    if changed:
        entry.save(update_fields=changed)
    return True


def _dismiss(entry_ids: Sequence[int], said: str) -> int:
    """Take quarantined entries out of quarantine for good, each with what was ``said``; return how many there were."""
    message = Concat(F("message"), Value(f". {clean(said, 2000)}"), output_field=TextField())
    return JournalEntry.objects.filter(pk__in=entry_ids, outcome=Outcome.QUARANTINED).update(
        outcome=Outcome.DISMISSED, message=message
    )
