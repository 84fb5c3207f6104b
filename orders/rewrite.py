"""Writes the fold of the journal over rows that differ, under their locks. Used by a rebuild alone.

The rows of one part that differ are locked in the order of their ids, as drains lock them; then all
entries about them are read, so that none is missing that was applied before. Rows that are missing
are inserted whole, last: whoever else inserts one makes one of both begin anew.

An order is folded from entries about itself, which are read under its lock, and from lists that
portfolio orders told, which were read before: those that were applied since are read again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Max, Q

from backoffice.database import DEADLOCK, sqlstate
from orders import bulk, execution_rows, from_orders, refold
from orders.batch import OvertakenRowsError
from orders.fold import Listing
from orders.lifecycle import NOT_FOUND, Kind
from orders.models import JournalEntry, Outcome
from orders.refold import CLOCKS, MODELS, Difference, Pair, Part, Spoilt
from orders.scratch import Listings
from orders.taking import orders_of

TRIES = 5
LOCK_TIMEOUT = "60s"
PATIENCE = 120.0  # seconds; longer than any drain may take
PAUSE = 0.05
WRITERS = """SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'orders_journalentry'::regclass
        AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
MAY_BE_APPLIED = (Outcome.PENDING, Outcome.QUARANTINED)
COUNT = (Outcome.APPLIED, Outcome.NO_CHANGE)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the journal: entries up to ``position`` could all be read; ``waiting`` were not applied."""

    position: int
    waiting: frozenset[int]


def mark() -> Mark:
    """Return the present moment, once all that is being written up to now is written.

    Raises OperationalError where somebody does not end in time.
    """
    position = _last()
    first, until = _writers(), time.monotonic() + PATIENCE
    while first & _writers():
        if time.monotonic() > until:
            raise OperationalError("A transaction that writes to the journal does not end.")
        time.sleep(PAUSE)
    waiting = JournalEntry.objects.filter(outcome__in=MAY_BE_APPLIED, order_id=None)
    return Mark(position, frozenset(waiting.values_list("pk", flat=True)))


class Tail:
    """The lines of lists that were applied since a moment."""

    def __init__(self, begin: Mark) -> None:
        self.listings = Listings()
        self._position, self._waiting = begin.position, begin.waiting
        self._read: set[int] = set()
        self._next = self._position, frozenset[str]()

    def catch_up(self) -> None:
        """Read what was applied since the last time."""
        last, writers = self._next
        passed = last if not writers & _writers() else self._position
        top, now_writing = _last(), _writers()
        entries = JournalEntry.objects.filter(order_id=None, repeat_of=None).filter(
            Q(pk__gt=self._position) | Q(pk__any_of=list(self._waiting))
        )
        found = dict(
            entries.filter(outcome__in=(*COUNT, *MAY_BE_APPLIED)).values_list("pk", "outcome")
        )
        new = {pk for pk, outcome in found.items() if outcome in COUNT} - self._read
        if new:
            told = refold.applied().filter(pk__any_of=list(new), portfolio_order_id__isnull=False)
            self.listings.keep(refold.listings_of(told))
        self._waiting = frozenset(pk for pk, outcome in found.items() if outcome not in COUNT)
        # What is written later may have a lower id: only what nobody writes any more is passed for good.
        self._position = max(passed, self._position)
        self._read = {pk for pk in self._read | new if pk > self._position}
        if passed == last:
            self._next = top, now_writing


def _last() -> int:
    return JournalEntry.objects.aggregate(last=Max("pk"))["last"] or 0


def _writers() -> frozenset[Any]:
    """Return the transactions that have written to the journal and not ended."""
    if connection.vendor != "postgresql":
        return frozenset()  # it has one writer at a time
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return frozenset(row[0] for row in cursor.fetchall())


class Rewrite:
    """Corrects rows part by part; each part is written as a whole or not at all."""

    def __init__(self, now: datetime, begin: Mark) -> None:
        self._now = now
        self._tail = Tail(begin)

    def correct(
        self, kind: Kind, ids: Sequence[UUID], spoilt: Spoilt, files: Sequence[Listings]
    ) -> list[Difference]:
        """Fold some portfolio orders or orders anew and write what differs; return what did."""

        def pairs() -> list[Pair]:
            part = Part(kind, ids=ids)
            held = refold.held(part, locked=True)
            listings = list(self._listings(ids, files)) if kind is Kind.ORDER else []
            folded = refold.fold(part, listings)
            return refold.compare(kind, folded.rows, held, _with(spoilt, kind, folded.spoilt)).pairs

        return self._written(pairs)

    def take(self, ids: Sequence[UUID], spoilt: Spoilt) -> list[Difference]:
        """Have portfolio orders take from their orders what follows from these; return what differed."""

        def pairs() -> list[Pair]:
            part = Part(Kind.PORTFOLIO_ORDER, ids=ids)
            held = refold.held(part, locked=True)
            folded = refold.fold(part)
            for row in folded.rows.portfolio_orders.values():
                if from_orders.takes(row):
                    from_orders.take(row, list(orders_of([row.pk]).values()))
            kept = _with(spoilt, Kind.PORTFOLIO_ORDER, folded.spoilt)
            return refold.compare(part.kind, folded.rows, held, kept, is_whole=True).pairs

        return self._written(pairs)

    def _listings(self, ids: Sequence[UUID], files: Sequence[Listings]) -> Iterator[Listing]:
        """Yield the lines of all lists that name some orders, which are locked."""
        self._tail.catch_up()
        for file in (*files, self._tail.listings):
            yield from file.of(ids)

    def _written(self, pairs: Callable[[], list[Pair]]) -> list[Difference]:
        for _ in range(TRIES):
            try:
                with transaction.atomic():
                    _limit_waits()
                    found = pairs()
                    said = list(refold.differences(found))
                    _write(found, now=self._now)
                    return said
            except OvertakenRowsError:
                continue
            except OperationalError as error:
                if sqlstate(error) != DEADLOCK:
                    raise
        raise OperationalError("Others write the same rows again and again: start it once more.")


def _limit_waits() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")


def _with(spoilt: Spoilt, kind: Kind, more: Iterable[UUID]) -> Spoilt:
    if kind is Kind.ORDER:
        return Spoilt(spoilt.portfolio_orders, spoilt.orders | set(more))
    return Spoilt(spoilt.portfolio_orders | set(more), spoilt.orders)


def _write(pairs: Iterable[Pair], *, now: datetime) -> None:
    """Write rows that differ: new ones whole, held ones but for their clocks; those of nothing are deleted."""
    new: dict[Kind, list[Any]] = {kind: [] for kind in MODELS}
    changed: dict[Kind, list[Any]] = {kind: [] for kind in MODELS}
    gone: dict[Kind, list[UUID]] = {kind: [] for kind in MODELS}
    for row, before in pairs:
        if row is None:
            gone[before.kind].append(before.pk)
            continue
        _keep(row, before, now=now)
        (new if before is None else changed)[row.kind].append(row)
    for kind in (Kind.PORTFOLIO_ORDER, Kind.ORDER):
        bulk.upsert(MODELS[kind], _sorted(changed[kind]))
        if bulk.insert(MODELS[kind], _sorted(new[kind])) < len(new[kind]):
            raise OvertakenRowsError
    execution_rows.write([*new[Kind.EXECUTION], *changed[Kind.EXECUTION]])
    for kind, ids in gone.items():
        if ids:
            MODELS[kind].objects.filter(pk__any_of=ids).delete()


def _keep(row: Any, before: Any, *, now: datetime) -> None:
    """Give a row what the journal does not tell: of a held one its clocks, or its key."""
    if row.kind is Kind.EXECUTION:
        if before is not None:
            row.id, row.execution_id, row.is_new = before.pk, before.execution_id, False
        return
    for name in CLOCKS:
        setattr(row, name, getattr(row if before is None else before, name))
    row.problems |= before.problems & NOT_FOUND if before else 0
    row.heard_at, row.news_at = row.heard_at or now, row.news_at or now
    if before is None or any(refold.differences([(row, before)])):
        row.check_after = now  # the answer confirms the state and sets the next check


def _sorted(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row.pk)
