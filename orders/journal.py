"""The journal: every event, answer, failure and step of staff becomes an entry here, and only here.

Everything is idempotent and only inserts: recording waits for no apply. Source: the model, sections 1 and 3.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from uuid import UUID, uuid5

from django.db import DatabaseError, IntegrityError, transaction

from backoffice import audit
from backoffice.database import is_taken
from backoffice.foreign_json import parse
from backoffice.interruptions import is_interruption
from orders import bulk, facts
from orders.attributes import UnreadableError, clean
from orders.audit.subjects import Subject
from orders.damaged import Damaged
from orders.entries import NewEntry
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome, StepDetail
from orders.tracked import Source

logger = logging.getLogger(__name__)

OTHER_ID = "the answer is about another ID than the one asked for"
REPORT = "Report it to the developers; the server log has the details."
DISCOVERY = "DISCOVERY"  # type of the entry of a round that lists what upstream has
ROUNDS = UUID("0f3a1e0b-6a3e-4a0b-9a43-2f7f0c1d8e52")


@dataclass(frozen=True, slots=True)
class Received:
    """The events of one delivery; what is ``Damaged`` among them is kept as its bytes."""

    delivery_id: int
    at: datetime
    events: Sequence[object]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the events of one delivery: how many are new, and how many had come before."""

    new: int = 0
    repeats: int = 0

    def __add__(self, other: "Receipt") -> "Receipt":
        return Receipt(self.new + other.new, self.repeats + other.repeats)


class OvertakenError(Exception):
    """Another drain recorded one of these events meanwhile: what was prepared has to be prepared anew."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Webhook events that were received, as entries that are not stored yet; ``new`` by the events' ids."""

    received: Sequence[Received]
    new: Sequence[NewEntry]
    repeats: Sequence[NewEntry]

    @property
    def pending(self) -> list[NewEntry]:
        """Return those to apply, in the order in which things happened."""
        waiting = [it for it in (*self.new, *self.repeats) if it.outcome == Outcome.PENDING]
        return sorted(waiting, key=attrgetter("occurred_at"))

    @property
    def receipts(self) -> dict[int, Receipt]:
        """Return the receipt of each delivery."""
        new = Counter(entry.delivery_id for entry in self.new)
        again = Counter(entry.delivery_id for entry in self.repeats)
        return {
            it.delivery_id: Receipt(new[it.delivery_id], again[it.delivery_id])
            for it in self.received
        }


def prepare(received: Sequence[Received]) -> Fresh:
    """Make entries of webhook events; nothing is stored.

    An event that came before becomes a repeat; one that cannot be read gets its reason, and is
    quarantined when it is to be applied.
    """
    entries = [_entry_of_event(event, one) for one in received for event in one.events]
    first: dict[UUID | None, NewEntry] = {}
    for entry in entries:
        first.setdefault(entry.event_id, entry)
    known = _known(first)
    new = [entry for event_id, entry in first.items() if event_id not in known]
    mine = {id(entry) for entry in new}
    payloads = known | {entry.event_id: entry.payload for entry in new}
    repeats = [_repeat(it, payloads[it.event_id]) for it in entries if id(it) not in mine]
    # Sorted: two drains with the same events insert in the same order and cannot deadlock.
    return Fresh(received, sorted(new, key=lambda entry: str(entry.event_id)), repeats)


def store(fresh: Fresh) -> None:
    """Write prepared entries as they are now. Raises OvertakenError, and has to be rolled back then.

    The last that a transaction writes: it may wait for another that writes the same events.
    """
    try:
        bulk.append(JournalEntry, [*fresh.new, *fresh.repeats])
    except IntegrityError as error:
        if not is_taken(error, "event_id"):
            raise
        raise OvertakenError from error


def record_events(events: Sequence[object], *, delivery_id: int, now: datetime) -> Receipt:
    """Record the events of one delivery, each once, to be applied by the next drain."""
    fresh = prepare([Received(delivery_id, now, events)])
    try:
        with transaction.atomic():
            store(fresh)
    except OvertakenError:
        return record_events(events, delivery_id=delivery_id, now=now)
    return fresh.receipts[delivery_id]


def _known(event_ids: Iterable[UUID | None]) -> dict[UUID | None, bytes]:
    """Return the payload of each of these events that is in the journal."""
    rows = JournalEntry.objects.filter(event_id__any_of=list(event_ids))
    return {
        event_id: bytes(payload) for event_id, payload in rows.values_list("event_id", "payload")
    }


def record_answer(
    kind: Kind,
    answer: object,
    *,
    about: UUID,
    source: Source,
    actor: str,
    now: datetime,
    request_id: str = "",
    placement_id: UUID | None = None,
) -> JournalEntry:
    """Record an answer of the API; it waits to be applied like any event. ``about`` is the id asked for.

    An answer that cannot be read is kept, quarantined with its reason. ``request_id`` is upstream's,
    the first thing that its support asks for.
    """
    entry = answered(
        kind, answer, about=about, source=source, actor=actor, now=now, request_id=request_id
    )
    entry.placement_id = placement_id
    return _save_step(entry)


def answered(
    kind: Kind,
    answer: object,
    *,
    about: UUID,
    source: Source,
    actor: str,
    now: datetime,
    request_id: str = "",
) -> JournalEntry:
    """Return the entry of an answer, as ``record_answer`` stores it; nothing is stored."""
    entry = _blank(kind, about, source=source, actor=actor, now=now)
    entry.type = kind
    try:
        entry.payload = facts.dump(answer)
        told = facts.describe_answer(kind, answer, now=now)
        entry.status, entry.occurred_at, entry.outcome = (
            told.status,
            told.occurred_at,
            Outcome.PENDING,
        )
        reason = "" if about in {told.portfolio_order_id, told.order_id} else OTHER_ID
    except UnreadableError as error:
        reason = str(error)
    if reason:
        entry.outcome = Outcome.QUARANTINED
    request = f"request {clean(request_id, 64)}" if request_id else ""
    entry.message = ", ".join(part for part in (reason, request) if part)
    return entry


def record_answers(
    kind: Kind,
    answers: Iterable[tuple[UUID, object]],
    *,
    source: Source,
    actor: str = "",
    now: datetime,
) -> list[int]:
    """Record several answers at once, in one transaction; return the entries' ids."""
    entries = [
        answered(kind, answer, about=about, source=source, actor=actor, now=now)
        for about, answer in answers
    ]
    save_asks(entries)
    return [entry.pk for entry in entries]


def failed(
    kind: Kind, about: UUID, reason: str, *, source: Source, actor: str, now: datetime
) -> JournalEntry:
    """Return the entry of an ask without a usable answer; ``reason`` names upstream's request id if there is one."""
    entry = _blank(kind, about, source=source, actor=actor, now=now)
    entry.type, entry.outcome, entry.message = kind, Outcome.FAILED, clean(reason, 2000)
    return entry


def save_asks(entries: Sequence[JournalEntry]) -> None:
    """Write entries of what was asked, all or none; they have their ids then."""
    with transaction.atomic():
        JournalEntry.objects.bulk_create([entry for entry in entries if not entry.actor])
        for entry in filter(attrgetter("actor"), entries):
            _save_step(entry)  # with the address that it came from


def record_note(kind: Kind, about: UUID, text: str, *, actor: str, now: datetime) -> JournalEntry:
    """Record a note of staff about one order. Notes are never changed or deleted."""
    entry = _blank(kind, about, source=Source.STAFF, actor=actor, now=now)
    entry.outcome, entry.message = Outcome.NOTED, clean(text, 10_000)
    return _save_step(entry)


def record_step(
    message: str,
    *,
    actor: str,
    now: datetime,
    type_: str = "",
    word: str = "",
    about: tuple[Kind, UUID] | None = None,
    placement_id: UUID | None = None,
    held: object = None,
    subject: Subject | None = None,
    address: str | None = None,
    event_id: UUID | None = None,
) -> JournalEntry:
    """Record a step of staff, or of what they asked for: an export with its rows, a placement sent.

    ``word`` says which step of its ``type_`` it is; ``about`` names the order that it touches, if one.
    ``subject`` is what else it is about; ``address`` where it came from, unless from the client whose
    request is being answered. An ``event_id`` that is taken raises IntegrityError.
    ``held`` is kept as the payload: what a file held, for those who have to make it again.
    """
    entry = _blank(*(about or (None, None)), source=Source.STAFF, actor=actor, now=now)
    entry.placement_id, entry.status = placement_id, word
    entry.type, entry.outcome, entry.message = type_, Outcome.NOTED, clean(message, 2000)
    entry.event_id = event_id
    if held is not None:
        entry.payload = facts.dump(held)
    return _save_step(entry, subject=subject, address=address)


def _save_step(
    entry: JournalEntry, *, subject: Subject | None = None, address: str | None = None
) -> JournalEntry:
    """Write an entry; one of a person with what is known beside it."""
    is_a_persons = entry.source == Source.STAFF or bool(entry.actor)
    from_ = (audit.address() if is_a_persons else "") if address is None else address
    with transaction.atomic():
        entry.save(force_insert=True)
        if subject or from_ or entry.event_id:
            kind, key = subject or ("", "")
            StepDetail.objects.create(entry=entry, subject_kind=kind, subject_id=key, address=from_)
    return entry


def open_round(slot: datetime, *, now: datetime) -> JournalEntry | None:
    """Claim the round of discovery of ``slot``; None if another has it: who inserts the entry owns it.

    A round that dies stays as it begins, failed.
    """
    if JournalEntry.objects.filter(event_id=round_id(slot)).exists():
        return None
    entry = _blank(None, None, source=Source.POLL, actor="", now=now)
    entry.type, entry.event_id = DISCOVERY, round_id(slot)
    entry.outcome, entry.message = Outcome.FAILED, "not finished"
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:  # another beat was faster
        return None
    return entry


def close_round(entry: JournalEntry, outcome: Outcome, message: str, *, now: datetime) -> None:
    """Say what became of a round of discovery."""
    entry.outcome, entry.message, entry.applied_at = outcome, clean(message, 2000), now
    entry.save(update_fields=["outcome", "message", "applied_at"])


def round_id(slot: datetime) -> UUID:
    """Return the event id of the round that begins at ``slot``."""
    return uuid5(ROUNDS, slot.astimezone(UTC).isoformat())


def replay(entry_ids: Sequence[int]) -> int:
    """Make quarantined entries pending again; return how many there were."""
    refused = JournalEntry.objects.filter(pk__in=entry_ids, outcome=Outcome.QUARANTINED)
    return refused.update(outcome=Outcome.PENDING, applied_at=None, message="")


def reason_of(error: Exception) -> str:
    """Return why an entry is quarantined, as people read it; what an error says itself is for the log."""
    if isinstance(error, UnreadableError):
        return str(error)
    logger.error("A journal entry cannot be applied", exc_info=error)
    is_refused = isinstance(error, DatabaseError)
    what = "The database refused it" if is_refused else "It could not be applied"
    return f"{what} ({type(error).__name__}): an error of this desk. {REPORT}"


def event_id_of(event: object) -> UUID:
    """Return the id under which the journal has an event, whatever that is."""
    if isinstance(event, Damaged):
        return facts.event_id(None, event.raw)
    try:
        return facts.event_id(event, facts.dump(event))
    except UnreadableError as error:
        return facts.event_id(event, str(error).encode())


def _entry_of_event(event: object, received: Received) -> NewEntry:
    now = received.at
    entry = NewEntry(received.delivery_id, None, now, now, value=event)
    if isinstance(event, Damaged):
        entry.event_id = event_id_of(event)
        _describe_damaged(entry, event)
        return entry
    try:
        entry.payload = facts.dump(event)
        if rb"\ud" in entry.payload:  # two halves of a sign are one, read from what is kept
            entry.value = event = parse(entry.payload)
        entry.event_id = facts.event_id(event, entry.payload)
        told = facts.describe_event(event, now=now)
        entry.type, entry.status, entry.occurred_at = told.type, told.status, told.occurred_at
        entry.message = told.reason
        entry.portfolio_order_id, entry.order_id = told.portfolio_order_id, told.order_id
        if not told.is_modelled:
            entry.outcome, entry.applied_at = Outcome.IGNORED, now
    except Exception as error:
        if is_interruption(error):
            raise
        entry.event_id = entry.event_id or event_id_of(event)
        entry.type = facts.type_of(event)
        entry.occurred_at = facts.created_at(event, default=now)
        entry.message = reason_of(error)
    return entry


def _describe_damaged(entry: NewEntry, event: Damaged) -> None:
    """Keep the bytes of an event that cannot be read, and what it seems to be about."""
    entry.payload = event.raw
    entry.type, entry.message = clean(event.type, 255), event.reason
    match facts.topic(entry.type):
        case Kind.PORTFOLIO_ORDER:
            entry.portfolio_order_id = event.id_of("id")
        case Kind.ORDER:
            entry.order_id = event.id_of("id")
        case Kind.EXECUTION:
            entry.order_id = event.id_of("order_id")


def _repeat(entry: NewEntry, first_payload: bytes) -> NewEntry:
    """Turn an event that came before into its repeat.

    One with other content keeps it, and waits: its object is asked about when it is applied.
    """
    differs = entry.payload != first_payload
    return replace(
        entry,
        event_id=None,
        repeat_of=entry.event_id,
        outcome=Outcome.PENDING if differs else Outcome.NO_CHANGE,
        applied_at=None if differs else entry.recorded_at,
        message="The content differs from the original, which is used." if differs else "",
        payload=entry.payload if differs else b"",
        value=None,
    )


def _blank(
    kind: Kind | None, about: UUID | None, *, source: Source, actor: str, now: datetime
) -> JournalEntry:
    return JournalEntry(
        portfolio_order_id=about if kind is Kind.PORTFOLIO_ORDER else None,
        order_id=None if kind is Kind.PORTFOLIO_ORDER else about,
        source=source,
        actor=clean(actor, 150),
        occurred_at=now,
        recorded_at=now,
    )
