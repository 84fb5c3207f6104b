"""The only writer of what we hold of orders: entries in, folded rows out.

A drain has the deliveries that wait read, applied, and written into the journal with what became of
each event, a portion in one transaction. Then it applies the entries that wait in the journal:
answers, events that are applied again, and those whose rows somebody else held. A killed process
leaves nothing half done; one bad entry is quarantined, its neighbours go on. Source: the model, section 3.
"""

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from backoffice.database import DEADLOCK, LOCK_NOT_AVAILABLE, may_pass, sqlstate
from backoffice.foreign_json import parse
from orders import facts, intake, journal
from orders.attributes import UnreadableError
from orders.batch import Batch, OvertakenRowsError
from orders.damaged import Damaged, fault_in
from orders.entries import Entry, NewEntry
from orders.intake import Drained
from orders.journal import reason_of
from orders.models import JournalEntry, Outcome
from orders.tracked import Source

logger = logging.getLogger(__name__)

APPLIED = frozenset({Outcome.APPLIED, Outcome.NO_CHANGE})
BATCH = 500
LOCK_TIMEOUT = "2s"  # of a batch: rows are skipped, what else is locked is not waited for for long
MOST_LOCK_TIMEOUTS = 5  # in one drain: then it is no single row, but the table
PATIENCE = 2.0  # seconds in which a drain looks again for rows that others hold
PAUSE = 0.2  # seconds between two of these looks
USUAL_LOOKS = gc.get_threshold()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the events of deliveries: the receipt of each delivery, and what was applied."""

    receipts: Mapping[int, journal.Receipt]
    done: Drained


@dataclass(slots=True)
class _Busy:
    """What others hold: entries about it wait until the drain looks again, those of others go on."""

    portfolio_orders: set[UUID] = field(default_factory=set)
    orders: set[UUID] = field(default_factory=set)
    entries: set[int] = field(default_factory=set)
    lock_timeouts: int = 0

    def __len__(self) -> int:
        return len(self.portfolio_orders) + len(self.orders) + len(self.entries)

    def note(self, entries: Iterable[Entry]) -> None:
        """Leave aside all that is about the subjects of ``entries``, for more of it may wait."""
        for entry in entries:
            if entry.pk:
                self.entries.add(entry.pk)
            if entry.order_id:
                self.orders.add(entry.order_id)
            if entry.portfolio_order_id:
                self.portfolio_orders.add(entry.portfolio_order_id)

    def clear(self) -> None:
        """Look at everything again."""
        for found in (self.portfolio_orders, self.orders, self.entries):
            found.clear()


@contextmanager
def few_looks_for_cycles() -> Iterator[None]:
    """Look for cycles less often: a batch holds much and makes none, and looking costs a tenth.

    Only while a drain or a rebuild is at it: a request is in a cycle with its answer, and holds its body until
    somebody looks. Threads that overlap look as often as usual, at worst.
    """
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*USUAL_LOOKS)


@few_looks_for_cycles()
def drain(
    *,
    now: datetime,
    only: Sequence[int] | None = None,
    most: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Drained:
    """Apply what is pending, batch by batch, until nothing is left that another does not already hold.

    ``only`` names entries to apply at once, waiting for others instead of skipping: a refetch
    wants its own result. ``most`` bounds the number of batches. A lost connection, a deadlock or a
    schema that is not of this release is raised: the entries stay pending and the next drain finds
    them.
    """
    busy = _Busy()
    if only is not None:
        return _apply_next(now=now, only=only, limit=BATCH, busy=busy)
    done, batches, waited = Drained(), 0, 0.0
    while most is None or batches < most:
        held = len(busy)
        batch = intake.read_next(now=now) + _apply_next(now=now, only=None, limit=BATCH, busy=busy)
        done += batch
        batches += bool(batch.read or batch.total)
        if batch.read or batch.total or len(busy) > held:
            continue
        if not busy or waited >= PATIENCE:
            return done
        sleep(PAUSE)
        waited += PAUSE
        busy.clear()
    return done + Drained(is_cut_short=True)


def take(received: Sequence[journal.Received], *, now: datetime) -> Taken:
    """Apply webhook events and write each into the journal, once, with its outcome.

    Those that need a row that somebody else has locked are written as pending, and so are all where a
    lock was waited for in vain: they are applied later, and without the ones at fault. Runs in the
    transaction of its caller, as the last that it does. Raises OvertakenError where another drain
    recorded one of them meanwhile; all has to be rolled back then.
    """
    fresh = journal.prepare(received)
    _limit_waits()
    # The journal has none of these yet: of a new installation it knows no webhook at all.
    first = min((it.recorded_at for it in (*fresh.new, *fresh.repeats)), default=None)
    done = _apply_fresh(fresh.pending, now=now, first_webhook=first)
    journal.store(fresh)
    return Taken(fresh.receipts, done)


def apply_answers(entries: Iterable[JournalEntry], *, now: datetime) -> None:
    """Apply answers that are not stored yet: each is written into the journal once, with its outcome.

    One that needs a row that somebody holds stays pending, to be applied later. Runs in the
    transaction of its caller, who then stores them.
    """
    waiting = {_unstored(it): it for it in entries if it.outcome == Outcome.PENDING}
    if not waiting:
        return
    _limit_waits()
    _apply_fresh(sorted(waiting, key=attrgetter("occurred_at")), now=now, first_webhook=None)
    for applied, entry in waiting.items():
        entry.outcome, entry.message = applied.outcome, applied.message
        entry.applied_at = applied.applied_at


def _unstored(answer: JournalEntry) -> NewEntry:
    return NewEntry(
        delivery_id=None,
        event_id=None,
        occurred_at=answer.occurred_at,
        recorded_at=answer.recorded_at,
        payload=bytes(answer.payload),
        value=parse(bytes(answer.payload)),
        type=answer.type,
        status=answer.status,
        message=answer.message,
        portfolio_order_id=answer.portfolio_order_id,
        order_id=answer.order_id,
        source=Source(answer.source),
        actor=answer.actor,
    )


def _apply_fresh(
    entries: Sequence[NewEntry], *, now: datetime, first_webhook: datetime | None
) -> Drained:
    """Apply new entries; where the database refuses a row, in halves down to the entry at fault."""
    reasons = [entry.message for entry in entries]
    try:
        with transaction.atomic():
            return _apply(entries, now=now, busy=_Busy(), first_webhook=first_webhook)
    except OvertakenRowsError:
        for entry, reason in zip(entries, reasons, strict=True):
            entry.outcome, entry.message, entry.applied_at = Outcome.PENDING, reason, None
        return _apply_fresh(entries, now=now, first_webhook=first_webhook)
    except Exception as error:
        is_locked = sqlstate(error) in {LOCK_NOT_AVAILABLE, DEADLOCK}
        if may_pass(error) and not is_locked:
            raise
        for entry, reason in zip(entries, reasons, strict=True):
            entry.outcome, entry.message, entry.applied_at = Outcome.PENDING, reason, None
        if is_locked:
            logger.warning("%d events wait: %s", len(entries), error)
            return Drained()
        if len(entries) == 1:
            logger.exception("Quarantined %s", _named(entries[0]))
            return _refuse(entries[0], error, now=now)
        logger.warning("Applying %d events failed, halving: %s", len(entries), error)
        half = len(entries) // 2
        return _apply_fresh(entries[:half], now=now, first_webhook=first_webhook) + _apply_fresh(
            entries[half:], now=now, first_webhook=first_webhook
        )


def _named(entry: Entry) -> str:
    if entry.event_id:
        return f"event {entry.event_id}"
    return f"the answer about {entry.order_id or entry.portfolio_order_id}"


def ask_about(ids: Collection[UUID], *, now: datetime) -> None:
    """Have upstream asked at once about each portfolio order and order among ``ids`` that is known here.

    For what could not be read and names them; a row that somebody holds is passed over. Runs in the
    transaction of its caller.
    """
    batch = Batch(now=now, skips_locked=True)
    batch.ask_about(ids)
    batch.write()


def _apply_next(*, now: datetime, only: Sequence[int] | None, limit: int, busy: _Busy) -> Drained:
    """Apply one batch; where the database refuses a row, redo it in halves down to the entry at fault."""
    claimed: list[int] = []
    try:
        with transaction.atomic():
            _limit_waits()
            entries = _claim(only=only, limit=limit, busy=busy)
            claimed = [entry.pk for entry in entries]
            return _apply(entries, now=now, busy=None if only is not None else busy)
    except OvertakenRowsError:
        return _apply_next(now=now, only=only, limit=limit, busy=busy)
    except Exception as error:
        if not claimed or (may_pass(error) and not _is_one_lock(error, busy)):
            raise
        if len(claimed) == 1:
            return _set_aside(claimed[0], error, now=now, busy=busy)
        logger.warning("Applying %d entries failed, halving: %s", len(claimed), error)
        half = len(claimed) // 2
        return _apply_next(now=now, only=claimed[:half], limit=half, busy=busy) + _apply_next(
            now=now, only=claimed[half:], limit=limit, busy=busy
        )


def _limit_waits() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")


def _is_one_lock(error: Exception, busy: _Busy) -> bool:
    """Return whether it waited in vain for a lock that is likely that of one row."""
    if sqlstate(error) != LOCK_NOT_AVAILABLE:
        return False
    busy.lock_timeouts += 1
    return busy.lock_timeouts <= MOST_LOCK_TIMEOUTS


def _set_aside(entry_id: int, error: Exception, *, now: datetime, busy: _Busy) -> Drained:
    """Deal with the one entry that a batch failed for."""
    if may_pass(error):
        logger.warning("Journal entry %s waits: %s", entry_id, error)
        busy.note(JournalEntry.objects.filter(pk=entry_id).defer("payload"))
        return Drained()
    return _quarantine(entry_id, error, now=now)


def _claim(*, only: Sequence[int] | None, limit: int, busy: _Busy) -> list[JournalEntry]:
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING)
    if only is not None:
        pending = pending.filter(pk__any_of=list(only))
    elif busy:
        pending = pending.exclude(
            Q(portfolio_order_id__any_of=list(busy.portfolio_orders))
            | Q(order_id__any_of=list(busy.orders))
            | Q(pk__any_of=list(busy.entries))
        )
    # By the time it happened: else a PROCESSING could come before the NEW beside it.
    return list(
        pending.order_by("occurred_at", "pk").select_for_update(
            skip_locked=only is None, no_key=True
        )[:limit]
    )


def _apply(
    entries: Sequence[Entry],
    *,
    now: datetime,
    busy: _Busy | None = None,
    first_webhook: datetime | None = None,
) -> Drained:
    """Apply entries; with ``busy`` those that need a row that others hold are noted there and left."""
    if not entries:
        return Drained()
    batch = Batch(now=now, skips_locked=busy is not None, first_webhook=first_webhook)
    for entry in entries:
        try:
            batch.add(entry, read(entry))
        except Exception as error:  # reading is deterministic: a second try says the same
            if may_pass(error):
                raise
            batch.refuse(entry, reason_of(error))
    left = batch.lock()
    if busy is not None:
        busy.note(left)
    batch.fold()
    batch.write()
    return Drained(len(batch.applied), len(batch.unchanged), len(batch.refused))


def read(entry: Entry, *, wants: facts.Wants | None = None) -> facts.Reading:
    """Return what a journal entry says; an empty reading for one without a payload, or a repeat.

    ``wants``: see ``facts.read``.

    Raises UnreadableError for an event that could not be described, with the reason that it has.
    """
    if not entry.payload or entry.repeat_of:
        return facts.Reading()
    is_answer = entry.source != Source.WEBHOOK
    if not is_answer and entry.portfolio_order_id is None and entry.order_id is None:
        raise UnreadableError(entry.message or "the event does not say which order it is about")
    try:
        return facts.read(
            _value(entry),
            type_=entry.type,
            version=entry.occurred_at,
            is_answer=is_answer,
            tie=facts.tie(entry.event_id, bytes(entry.payload)),
            known_at=entry.recorded_at,
            wants=wants,
        )
    except UnreadableError:
        raise
    except ValueError:  # the bytes of an event that is no JSON
        told = "" if entry.outcome in APPLIED else entry.message  # of those it is another matter
        raise UnreadableError(told or f"it {fault_in(bytes(entry.payload))}") from None


def _value(entry: Entry) -> Any:
    """Return the payload of an entry, parsed. Raises ValueError for what is no JSON."""
    if not isinstance(entry, NewEntry):
        return parse(bytes(entry.payload))
    if isinstance(entry.value, Damaged):
        raise UnreadableError(entry.message)
    return entry.value


def _quarantine(entry_id: int, error: Exception, *, now: datetime) -> Drained:
    with transaction.atomic():
        entry = JournalEntry.objects.select_for_update(no_key=True).get(pk=entry_id)
        if entry.outcome != Outcome.PENDING:  # another drain dealt with it meanwhile
            return Drained()
        done = _refuse(entry, error, now=now)
    logger.error("Quarantined journal entry %s (event %s): %s", entry.pk, entry.event_id, error)
    return done


def _refuse(entry: Entry, error: Exception, *, now: datetime) -> Drained:
    """Quarantine an entry and make its object due; where the object cannot be written either, the entry alone."""
    reason = reason_of(error)
    try:
        with transaction.atomic():
            batch = Batch(now=now, skips_locked=True)
            batch.refuse(entry, reason)
            batch.lock()
            batch.fold()
            batch.write()
            return Drained(quarantined=len(batch.refused))
    except Exception as second:
        if may_pass(second):
            raise
        logger.exception("What event %s is about cannot be made due", entry.event_id)
        entry.outcome, entry.message, entry.applied_at = Outcome.QUARANTINED, reason, now
        if isinstance(entry, JournalEntry):
            entry.save(update_fields=["outcome", "message", "applied_at"])
        return Drained(quarantined=1)
