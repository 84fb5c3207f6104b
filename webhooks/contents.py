"""What a stored delivery holds: its body read again, each event beside what became of it."""

from dataclasses import dataclass
from uuid import UUID

from orders import facts
from orders.attributes import UnreadableError
from orders.models import JournalEntry
from webhooks.inbox import UnreadableBodyError, events_in
from webhooks.models import Delivery

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
    if delivery.body is None:
        return []
    try:
        events = events_in(bytes(delivery.body))[:MOST_SHOWN]
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
        found.append(Content(facts.type_of(event), event_id, entry, again))
        seen.add(event_id)
    return found


def text_of(delivery: Delivery) -> str:
    """Return the body as text; bytes that are none are written as escapes."""
    return "" if delivery.body is None else bytes(delivery.body).decode(errors="backslashreplace")


def event_id_of(event: object) -> UUID:
    """Return the id under which the journal has an event, whatever that is."""
    try:
        return facts.event_id(event, facts.dump(event))
    except UnreadableError as error:  # as journal.record_events makes it
        return facts.event_id(event, str(error).encode())
