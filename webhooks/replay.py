"""Stored deliveries read again: what is not in the journal yet is recorded, what was quarantined is tried again.

Safe to do twice: an event is recorded once, and upstream did not send it again, so that no repeat
is counted. Of use after a release that reads what an earlier one could not.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from orders import journal, projection, quarantine
from orders.audit.subjects import Subject
from orders.journal import event_id_of
from orders.models import JournalEntry, Outcome
from webhooks import reading
from webhooks.body import UnreadableBodyError
from webhooks.models import Delivery, Verdict

logger = logging.getLogger(__name__)

NONE = quarantine.Result()
CHUNK = 900  # deliveries named in one statement


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of it; ``reason`` is why it cannot be read, "" where it can."""

    reason: str = ""
    recorded: int = 0  # events that were not in the journal before
    again: quarantine.Result = NONE  # events that were in quarantine

    @property
    def sentence(self) -> str:
        """Return the result as people read it."""
        if self.reason:
            return f"It cannot be read: {self.reason}. Nothing was changed."
        parts = [
            f"{self.recorded:,} recorded for the first time" if self.recorded else "",
            f"of those in quarantine {self.again.sentence}" if self.again.total else "",
        ]
        said = "; ".join(filter(None, parts))
        return f"Events: {said}." if said else "No change: each of its events was recorded before."


def request(deliveries: QuerySet[Delivery], *, actor: str, now: datetime) -> list[int]:
    """Have drains read these deliveries again, any number of them, and record who wanted it.

    Return which they are; refused ones, of which no body is kept, are left out.
    """
    wanted = deliveries.exclude(verdict=Verdict.REFUSED).order_by("pk")
    ids = list(wanted.values_list("pk", flat=True))
    for chunk in chunks(ids):
        Delivery.objects.filter(pk__in=chunk).update(read_at=None)
    if ids:
        is_one = len(ids) == 1
        said = (
            f"Had delivery {ids[0]} read again"
            if is_one
            else f"Had {len(ids):,} deliveries read again, numbers {ids[0]} to {ids[-1]}"
        )
        subject = Subject("delivery", str(ids[0])) if is_one else None
        journal.record_step(said, actor=actor, now=now, type_=quarantine.REPLAY, subject=subject)
    return ids


def chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    """Yield as many numbers as one statement takes at a time."""
    for first in range(0, len(ids), CHUNK):
        yield list(ids[first : first + CHUNK])


def process_again(delivery_id: int, *, actor: str, now: datetime) -> Processed:
    """Process a stored delivery again for somebody of the staff, and record that they did.

    Raises Delivery.DoesNotExist, and OperationalError or InterfaceError where nothing can be stored now.
    """
    result = _process(delivery_id, now=now)
    said = f"Processed delivery {delivery_id} again. {result.sentence}"
    subject = Subject("delivery", str(delivery_id))
    journal.record_step(said, actor=actor, now=now, type_=quarantine.REPLAY, subject=subject)
    return result


def _process(delivery_id: int, *, now: datetime) -> Processed:
    """Record what is missing of a delivery, and apply at once what that brings."""
    delivery = Delivery.objects.get(pk=delivery_id)
    try:
        ids = [event_id_of(event) for event in reading.events_of(delivery)]
    except UnreadableBodyError as error:
        return Processed(reason=str(error))
    before = dict(_entries(ids).values_list("pk", "outcome"))
    # Of two people who press the button one claims it, the other finds what was recorded.
    Delivery.objects.filter(pk=delivery_id).update(read_at=None)
    reading.read_next(now=now, only=[delivery_id])
    delivery.refresh_from_db(fields=["verdict", "reason"])
    if delivery.verdict == Verdict.UNREADABLE:
        return Processed(reason=delivery.reason)
    pending = _entries(ids).filter(outcome=Outcome.PENDING).order_by("pk")
    waiting = list(pending.values_list("pk", flat=True)[: projection.BATCH])
    with suppress(OperationalError, InterfaceError):  # they are recorded: the sweep applies them
        projection.drain(now=now, only=waiting)
    after = dict(_entries(ids).values_list("pk", "outcome"))
    bad = [pk for pk, outcome in before.items() if outcome == Outcome.QUARANTINED]
    return Processed(
        recorded=len(after) - len(before), again=quarantine.result_of(after[pk] for pk in bad)
    )


def _entries(event_ids: Sequence[UUID]) -> QuerySet[JournalEntry]:
    return JournalEntry.objects.filter(event_id__in=event_ids)
