"""A stored delivery processed again: its body parsed anew, what is not in the journal yet recorded.

Safe to do twice: an event is recorded once, and upstream did not send it again, so that no repeat
is counted. Of use after a release that reads what an earlier one could not.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from orders import journal, projection, quarantine
from orders.models import JournalEntry, Outcome
from webhooks.contents import event_id_of
from webhooks.inbox import UnreadableBodyError, events_in
from webhooks.models import Delivery, Verdict

logger = logging.getLogger(__name__)

NONE = quarantine.Result()


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


def process_again(delivery_id: int, *, actor: str, now: datetime) -> Processed:
    """Process a stored delivery again for somebody of the staff, and record that they did.

    Raises Delivery.DoesNotExist, and OperationalError or InterfaceError where nothing can be stored now.
    """
    result = _process(delivery_id, now=now)
    said = f"Processed delivery {delivery_id} again. {result.sentence}"
    journal.record_step(said, actor=actor, now=now, type_=quarantine.REPLAY)
    return result


def _process(delivery_id: int, *, now: datetime) -> Processed:
    """Record what is missing of a delivery, and apply at once what that brings."""
    try:
        with transaction.atomic():
            found = _record(delivery_id, now=now)
    except UnreadableBodyError as error:
        return Processed(reason=str(error))
    except (Delivery.DoesNotExist, OperationalError, InterfaceError):
        raise
    except Exception as error:  # the body stays; a later release may manage
        logger.exception("The events of delivery %s cannot be recorded", delivery_id)
        return Processed(reason=f"its events cannot be recorded: {type(error).__name__}")
    again = quarantine.retry(found.quarantined, now=now)
    pending = _entries(found.event_ids).filter(outcome=Outcome.PENDING).order_by("pk")
    ids = list(pending.values_list("pk", flat=True)[: projection.BATCH])
    with suppress(OperationalError, InterfaceError):  # they are recorded: the sweep applies them
        projection.drain(now=now, only=ids)
    return Processed(recorded=found.recorded, again=again)


@dataclass(frozen=True, slots=True)
class _Found:
    event_ids: Sequence[UUID]
    quarantined: Sequence[int]  # entries, before anything was recorded
    recorded: int


def _record(delivery_id: int, *, now: datetime) -> _Found:
    """Record the events of a delivery that are missing."""
    # Locked: of two people who press the button, the second finds what the first recorded.
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    if delivery.body is None:
        raise UnreadableBodyError("the body of a refused delivery is not kept")
    events = events_in(bytes(delivery.body))
    ids = [event_id_of(event) for event in events]
    known = _entries(ids).values_list("event_id", "pk", "outcome")
    bad = sorted(pk for _, pk, outcome in known if outcome == Outcome.QUARANTINED)
    if (
        delivery.verdict == Verdict.UNREADABLE
    ):  # nothing of it is recorded: what is known came again
        receipt = journal.record_events(events, delivery_id=delivery.pk, now=now)
        delivery.verdict, delivery.reason = Verdict.ACCEPTED, ""
        delivery.events, delivery.repeats = len(events), receipt.repeats
        delivery.save(update_fields=["verdict", "reason", "events", "repeats"])
    else:
        here = {event_id for event_id, _, _ in known}
        missing = [event for event, pk in zip(events, ids, strict=True) if pk not in here]
        receipt = journal.record_events(missing, delivery_id=delivery.pk, now=now)
    return _Found(ids, bad, receipt.new)


def _entries(event_ids: Sequence[UUID]) -> QuerySet[JournalEntry]:
    return JournalEntry.objects.filter(event_id__in=event_ids)
