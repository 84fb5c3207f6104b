"""What a stored delivery holds: its body read again, each event beside what became of it."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from orders import facts
from orders.damaged import Damaged
from orders.journal import event_id_of
from orders.models import JournalEntry
from webhooks.body import UnreadableBodyError
from webhooks.models import Delivery
from webhooks.reading import body_of, events_of, raw_body_of

MOST_SHOWN = 500  # events


@dataclass(frozen=True, slots=True)
class Content:
    """One event of a delivery; ``entry`` is the first of it in the journal, None if there is none."""

    type: str
    event_id: UUID
    entry: JournalEntry | None
    is_repeat: bool  # it had come before, with another delivery or in this one


def contents_of(delivery: Delivery) -> list[Content]:
    """Return the first ``MOST_SHOWN`` events of a delivery as they were sent, with one query."""
    try:
        events = events_of(delivery)[:MOST_SHOWN]
    except UnreadableBodyError:
        return []
    ids = [event_id_of(event) for event in events]
    known = JournalEntry.objects.filter(event_id__in=set(ids)).defer("payload")
    entries = {entry.event_id: entry for entry in known}
    seen: set[UUID] = set()
    found = []
    for event, event_id in zip(events, ids, strict=True):
        entry = entries.get(event_id)
        again = event_id in seen or (entry is not None and entry.delivery_id != delivery.pk)
        type_ = event.type if isinstance(event, Damaged) else facts.type_of(event)
        found.append(Content(type_, event_id, entry, again))
        seen.add(event_id)
    return found


def text_of(delivery: Delivery) -> str:
    """Return the body as text, unpacked where that can be done; bytes that are none are written as escapes."""
    try:
        body = body_of(delivery)
    except UnreadableBodyError:
        with suppress(UnreadableBodyError):
            return raw_body_of(delivery).decode(errors="backslashreplace")
        return ""
    return body.decode(errors="backslashreplace")
