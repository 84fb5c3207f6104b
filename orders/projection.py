"""The only writer of what we hold of orders: pending entries in, folded rows out.

A drain claims pending entries in batches; each batch is one transaction, so a killed process
leaves nothing half done. One bad entry is quarantined, its neighbours go on. Source: the model, section 3.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, transaction

from backoffice.database import may_pass
from orders import facts
from orders.attributes import UnreadableError
from orders.batch import Batch
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source

logger = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Drained:
    """How many entries were dealt with, and how."""

    applied: int = 0
    no_change: int = 0
    quarantined: int = 0

    @property
    def total(self) -> int:
        """Return the number of entries dealt with."""
        return self.applied + self.no_change + self.quarantined

    def __add__(self, other: "Drained") -> "Drained":
        return Drained(
            self.applied + other.applied,
            self.no_change + other.no_change,
            self.quarantined + other.quarantined,
        )


def drain(*, now: datetime, only: Sequence[int] | None = None, most: int | None = None) -> Drained:
    """Apply what is pending, batch by batch, until nothing is left that another does not already hold.

    ``only`` names entries to apply at once, waiting for others instead of skipping: a refetch
    wants its own result. ``most`` bounds the number of batches. A lost connection, a deadlock or a
    lock timeout is raised: the entries stay pending and the next drain finds them.
    """
    done = Drained()
    batches = 0
    while most is None or batches < most:
        batch = _apply_next(now=now, only=only, limit=BATCH)
        done += batch
        batches += 1
        if batch.total < BATCH or only is not None:
            break
    return done


def _apply_next(*, now: datetime, only: Sequence[int] | None, limit: int) -> Drained:
    """Apply one batch; where the database refuses a row, redo it in halves down to the entry at fault."""
    claimed: list[int] = []
    try:
        with transaction.atomic():
            entries = _claim(only=only, limit=limit)
            claimed = [entry.pk for entry in entries]
            return _apply(entries, now=now)
    except Exception as error:  # whatever it is, it must not hold up the feed
        if may_pass(error) or not claimed:
            raise
        if len(claimed) == 1:
            return _quarantine(claimed[0], error, now=now)
        logger.warning("Applying %d entries failed, halving: %s", len(claimed), error)
        half = len(claimed) // 2
        return _apply_next(now=now, only=claimed[:half], limit=half) + _apply_next(
            now=now, only=claimed[half:], limit=limit
        )


def _claim(*, only: Sequence[int] | None, limit: int) -> list[JournalEntry]:
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING)
    if only is not None:
        pending = pending.filter(pk__in=only)
    # By the time it happened: else a PROCESSING could come before the NEW beside it.
    return list(
        pending.order_by("occurred_at", "pk").select_for_update(
            skip_locked=only is None, no_key=True
        )[:limit]
    )


def _apply(entries: Sequence[JournalEntry], *, now: datetime) -> Drained:
    if not entries:
        return Drained()
    batch = Batch(now=now)
    for entry in entries:
        try:
            batch.add(entry, read(entry))
        except Exception as error:  # noqa: BLE001 -- reading is deterministic: a second try says the same
            batch.refuse(entry, _reason(error))
    batch.lock()
    batch.fold()
    batch.write()
    return Drained(len(batch.applied), len(batch.unchanged), len(batch.refused))


def read(entry: JournalEntry) -> facts.Reading:
    """Return what a journal entry says; an empty reading for one without a payload."""
    if not entry.payload:
        return facts.Reading()
    is_answer = entry.source != Source.WEBHOOK
    return facts.read(
        bytes(entry.payload),
        type_=entry.type,
        version=entry.occurred_at,
        is_answer=is_answer,
        tie=facts.tie(entry.event_id, bytes(entry.payload)),
        order_id=entry.order_id,
    )


def _quarantine(entry_id: int, error: Exception, *, now: datetime) -> Drained:
    with transaction.atomic():
        entry = JournalEntry.objects.select_for_update(no_key=True).get(pk=entry_id)
        if entry.outcome != Outcome.PENDING:  # another drain dealt with it meanwhile
            return Drained()
        entry.outcome, entry.applied_at, entry.message = Outcome.QUARANTINED, now, _reason(error)
        entry.save(update_fields=["outcome", "applied_at", "message"])
        if entry.source == Source.WEBHOOK:
            _ask_at_once(entry, now=now)
    logger.error("Quarantined journal entry %s (event %s): %s", entry.pk, entry.event_id, error)
    return Drained(quarantined=1)


def _ask_at_once(entry: JournalEntry, *, now: datetime) -> None:
    """Make the object of an event due: the answer may tell what the event could not."""
    order = Order.objects.filter(pk=entry.order_id).first() if entry.order_id else None
    parent = order.portfolio_order_id if order else entry.portfolio_order_id
    if parent and PortfolioOrder.objects.filter(pk=parent).update(check_after=now):
        return
    if order:
        Order.objects.filter(pk=order.pk).update(check_after=now)


def _reason(error: Exception) -> str:
    if isinstance(error, UnreadableError):
        return str(error)
    kind = (
        "The database refused it" if isinstance(error, DatabaseError) else "It could not be applied"
    )
    return f"{kind}: {type(error).__name__}: {error}".replace("\0", "")[:2000]
