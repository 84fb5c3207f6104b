"""The journal: every event, answer, failure and step of staff becomes an entry here, and only here.

Everything is idempotent and only inserts: recording waits for no apply. Source: the model, sections 1 and 3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction

from orders import bulk, facts
from orders.attributes import UnreadableError, clean
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome
from orders.tracked import Source

OTHER_ID = "the answer is about another id than the one asked for"


DISCOVERY = "DISCOVERY"  # type of the entry of a round that lists what upstream has
ROUNDS = UUID("0f3a1e0b-6a3e-4a0b-9a43-2f7f0c1d8e52")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the events of one delivery."""

    new: int
    repeats: int
    quarantined: int


def record_events(events: Sequence[object], *, delivery_id: int, now: datetime) -> Receipt:
    """Record webhook events, each once; one that came before becomes a repeat, one unreadable is quarantined.

    Runs in the transaction of its caller. A constant number of statements on PostgreSQL.
    """
    entries = [_entry_of_event(event, delivery_id=delivery_id, now=now) for event in events]
    first: dict[UUID | None, JournalEntry] = {}
    for entry in entries:
        first.setdefault(entry.event_id, entry)
    # Looked up before: an insert that meets a row of an unfinished apply would wait for it.
    known = _known(first)
    new = [entry for event_id, entry in first.items() if event_id not in known]
    if new:
        # Sorted: two deliveries with the same events insert in the same order and cannot deadlock.
        new.sort(key=lambda entry: str(entry.event_id))
        if bulk.insert(JournalEntry, new) < len(new):  # another delivery was faster with some
            known = _known(first)
            new = [entry for entry in new if known[entry.event_id][0] == delivery_id]
    mine = {id(entry) for entry in new}
    payloads = {event_id: payload for event_id, (_, payload) in known.items()}
    payloads |= {entry.event_id: bytes(entry.payload) for entry in new}
    repeats = [_repeat(it, payloads[it.event_id]) for it in entries if id(it) not in mine]
    bulk.insert(JournalEntry, repeats)
    bad = sum(entry.outcome == Outcome.QUARANTINED for entry in entries if id(entry) in mine)
    return Receipt(new=len(mine), repeats=len(repeats), quarantined=bad)


def _known(event_ids: Iterable[UUID | None]) -> dict[UUID | None, tuple[int | None, bytes]]:
    """Return the delivery and the payload of each of these events that is in the journal."""
    rows = JournalEntry.objects.filter(event_id__any_of=list(event_ids))
    return {
        event_id: (delivery_id, bytes(payload))
        for event_id, delivery_id, payload in rows.values_list("event_id", "delivery_id", "payload")
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
    entry = _blank(kind, about, source=source, actor=actor, now=now)
    entry.type, entry.placement_id = kind, placement_id
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
    entry.save(force_insert=True)
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
    with transaction.atomic():
        return [
            record_answer(kind, answer, about=about, source=source, actor=actor, now=now).pk
            for about, answer in answers
        ]


def record_failure(
    kind: Kind, about: UUID, reason: str, *, source: Source, actor: str, now: datetime
) -> JournalEntry:
    """Record an ask without a usable answer; ``reason`` names upstream's request id where there is one."""
    entry = _blank(kind, about, source=source, actor=actor, now=now)
    entry.type, entry.outcome, entry.message = kind, Outcome.FAILED, clean(reason, 2000)
    entry.save(force_insert=True)
    return entry


def record_note(kind: Kind, about: UUID, text: str, *, actor: str, now: datetime) -> JournalEntry:
    """Record a note of staff about one order. Notes are never changed or deleted."""
    entry = _blank(kind, about, source=Source.STAFF, actor=actor, now=now)
    entry.outcome, entry.message = Outcome.NOTED, clean(text, 10_000)
    entry.save(force_insert=True)
    return entry


def record_step(
    message: str,
    *,
    actor: str,
    now: datetime,
    type_: str = "",
    word: str = "",
    about: tuple[Kind, UUID] | None = None,
    placement_id: UUID | None = None,
) -> JournalEntry:
    """Record a step of staff, or of what they asked for: an export with its rows, a placement sent.

    ``word`` says which step of its ``type_`` it is; ``about`` names the order that it touches, if one.
    """
    entry = _blank(*(about or (None, None)), source=Source.STAFF, actor=actor, now=now)
    entry.placement_id, entry.status = placement_id, word
    entry.type, entry.outcome, entry.message = type_, Outcome.NOTED, clean(message, 2000)
    entry.save(force_insert=True)
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
    return JournalEntry.objects.filter(pk__in=entry_ids, outcome=Outcome.QUARANTINED).update(
        outcome=Outcome.PENDING, applied_at=None, message=""
    )


def _entry_of_event(event: object, *, delivery_id: int, now: datetime) -> JournalEntry:
    entry = _blank(None, None, source=Source.WEBHOOK, actor="", now=now)
    entry.delivery_id, entry.outcome = delivery_id, Outcome.PENDING
    try:
        entry.payload = facts.dump(event)
        entry.event_id = facts.event_id(event, entry.payload)
        told = facts.describe_event(event, now=now)
        entry.type, entry.status, entry.occurred_at = told.type, told.status, told.occurred_at
        entry.message = told.reason
        entry.portfolio_order_id, entry.order_id = told.portfolio_order_id, told.order_id
        if not told.is_modelled:
            entry.outcome, entry.applied_at = Outcome.IGNORED, now
    except UnreadableError as error:
        entry.event_id = entry.event_id or facts.event_id(event, str(error).encode())
        entry.type = facts.type_of(event)
        entry.occurred_at = facts.created_at(event, default=now)
        entry.outcome, entry.message = Outcome.QUARANTINED, str(error)
    return entry


def _repeat(entry: JournalEntry, first_payload: bytes) -> JournalEntry:
    """Turn an event that came before into its repeat; one with other content keeps it."""
    differs = bytes(entry.payload) != first_payload
    return JournalEntry(
        portfolio_order_id=entry.portfolio_order_id,
        order_id=entry.order_id,
        source=entry.source,
        outcome=Outcome.NO_CHANGE,
        repeat_of=entry.event_id,
        delivery_id=entry.delivery_id,
        type=entry.type,
        status=entry.status,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        applied_at=entry.recorded_at,
        message="The content differs from the first copy, which counts." if differs else "",
        payload=entry.payload if differs else b"",
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
