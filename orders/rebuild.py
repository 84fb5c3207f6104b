"""Fold the whole journal anew and hold it against the tables, or write it over them.

Works object by object in one snapshot of the database, so memory does not grow with the journal;
only the portfolio orders' lists of orders go through a temporary file, for they are told by one
object and count for another. Source: the model, sections 1 (state and clocks) and 2.
"""

import heapq
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Self
from uuid import UUID

from django.db import connection, models, transaction

from backoffice.database import snapshot
from orders import projection
from orders.facts import Reading
from orders.fold import Listing
from orders.lifecycle import NOT_FOUND
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows
from orders.tracked import Tracked

CLOCKS = {
    "missing_since", "heard_at", "heard_via", "news_at", "check_after", "asking_until",
    "checked_at", "checks", "check_error",
}  # fmt: skip
CHUNK = 500
MODELS: tuple[type[models.Model], ...] = (PortfolioOrder, Order, Execution)


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one row in which the tables and the fold of the journal differ."""

    table: str
    id: UUID
    column: str
    held: object
    folded: object

    def __str__(self) -> str:
        return (
            f"{self.table} {self.id}: {self.column} is {self.held!r}, folded anew {self.folded!r}"
        )


def compare() -> Iterator[Difference]:
    """Yield every difference between the fold of the journal and the tables, in one snapshot."""
    with snapshot(), _Scratch() as scratch:
        for model, rows in _folded(scratch):
            scratch.see(rows)
            yield from _differences(model, rows)
        for row in _unfounded(scratch):
            yield Difference(_table(row), row.pk, "the row", _word(row), None)


def rebuild(*, now: datetime) -> Iterator[Difference]:
    """Write the fold of the journal over the tables and yield what differed; all or nothing.

    Drains and asks wait meanwhile. Clocks stay; what changed is due for a check at once.
    """
    with _alone(), _Scratch() as scratch:
        for model, rows in _folded(scratch):
            scratch.see(rows)
            found = list(_differences(model, rows))
            _write(model, rows, {difference.id for difference in found}, now=now)
            yield from found
        for row in _unfounded(scratch):
            yield Difference(_table(row), row.pk, "the row", _word(row), None)
            row.delete()


@contextmanager
def _alone() -> Iterator[None]:
    """Open a transaction that sees one state of the database, in which nobody else writes to the tables."""
    outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            if outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # Before the first read, for that takes the snapshot.
            tables = ", ".join(f'"{model._meta.db_table}"' for model in MODELS)  # noqa: SLF001
            cursor.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
        yield


class _Scratch:
    """A temporary file: the lines of all lists, sorted by order, and the ids that the journal speaks of."""

    def __enter__(self) -> Self:
        self._file = tempfile.NamedTemporaryFile(prefix="order-desk-rebuild-")
        self._db = sqlite3.connect(self._file.name)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE listing (order_id, portfolio_order_id, status, side)")
        self._db.execute("CREATE TABLE seen (tbl, id, PRIMARY KEY (tbl, id)) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._file.close()

    def keep(self, listings: Iterable[Listing]) -> None:
        """Keep the lines of a list."""
        rows = ((it.order_id.hex, it.portfolio_order_id.hex, it.status, it.side) for it in listings)
        self._db.executemany("INSERT INTO listing VALUES (?, ?, ?, ?)", rows)

    def listed(self) -> Iterator[tuple[UUID, Reading]]:
        """Yield the lines kept, by order."""
        query = "SELECT DISTINCT * FROM listing ORDER BY order_id"
        for order, parent, status, side in self._db.execute(query):
            listing = Listing(UUID(order), UUID(parent), status, side)
            yield listing.order_id, Reading(listings=(listing,))

    def see(self, rows: Iterable[models.Model]) -> None:
        """Remember that the journal speaks of ``rows``."""
        ids = ((_table(row), row.pk.hex) for row in rows)
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", ids)

    def has_seen(self, row: models.Model) -> bool:
        """Return whether the journal speaks of ``row``."""
        query = "SELECT 1 FROM seen WHERE tbl = ? AND id = ?"
        return self._db.execute(query, (_table(row), row.pk.hex)).fetchone() is not None


def _folded(scratch: _Scratch) -> Iterator[tuple[type[models.Model], list[Any]]]:
    """Yield the rows that the journal gives, in chunks of one table."""
    for groups in _groups(_by_subject("portfolio_order_id")):
        rows = Rows()
        for pk, readings in groups:
            rows.portfolio_orders[pk] = PortfolioOrder(pk=pk)
            for reading in readings:
                rows.fold(replace(reading, listings=()))
                scratch.keep(reading.listings)
        yield PortfolioOrder, [row for row in rows.portfolio_orders.values() if row.fact]
    told = heapq.merge(_by_subject("order_id"), scratch.listed(), key=itemgetter(0))
    for groups in _groups(told):
        rows = Rows()
        for pk, readings in groups:
            rows.orders[pk] = Order(pk=pk)
            for reading in readings:
                rows.fold(reading)
        yield Order, list(rows.orders.values())
        yield Execution, [it for of_order in rows.executions.values() for it in of_order.values()]


def _groups(told: Iterable[tuple[UUID, Reading]]) -> Iterator[list[tuple[UUID, list[Reading]]]]:
    """Yield readings by subject, so many subjects at a time."""
    groups = (
        (pk, [reading for _, reading in group]) for pk, group in groupby(told, key=itemgetter(0))
    )
    while chunk := list(islice(groups, CHUNK)):
        yield chunk


def _by_subject(column: str) -> Iterator[tuple[UUID, Reading]]:
    entries = JournalEntry.objects.filter(
        outcome__in=[Outcome.APPLIED, Outcome.NO_CHANGE], repeat_of=None
    ).filter(**{f"{column}__isnull": False})
    for entry in entries.order_by(column, "pk").iterator(chunk_size=2000):
        yield getattr(entry, column), projection.read(entry)


def _differences(model: type[models.Model], rows: list[Any]) -> Iterator[Difference]:
    held: dict[UUID, Any] = model._default_manager.in_bulk([row.pk for row in rows])  # noqa: SLF001
    for row in rows:
        if row.pk not in held:
            yield Difference(_table(row), row.pk, "the row", None, _word(row))
            continue
        for column in _state_columns(model):
            before, after = _state(held[row.pk], column), _state(row, column)
            if before != after:
                yield Difference(_table(row), row.pk, column, before, after)


def _write(model: type[models.Model], rows: list[Any], ids: set[UUID], *, now: datetime) -> None:
    """Write the rows with ``ids``: new ones whole, held ones but for their clocks."""
    held: dict[UUID, Any] = model._default_manager.in_bulk(list(ids))  # noqa: SLF001
    for row in rows:
        if row.pk not in ids:
            continue
        before = held.get(row.pk)
        if isinstance(row, Tracked):
            for name in CLOCKS:
                setattr(row, name, getattr(before or row, name))
            row.problems |= before.problems & NOT_FOUND if before else 0
            row.heard_at, row.news_at = row.heard_at or now, row.news_at or now
            row.check_after = now  # the answer confirms the state and sets the next check
        row.save(force_insert=before is None, force_update=before is not None)


def _unfounded(scratch: _Scratch) -> Iterator[models.Model]:
    """Yield the rows that nothing in the journal speaks of."""
    for model in MODELS:
        for row in model._default_manager.only("pk", "status").iterator(chunk_size=2000):  # noqa: SLF001
            if not scratch.has_seen(row):
                yield row


def _state_columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields if field.name not in CLOCKS]  # noqa: SLF001


def _state(row: models.Model, column: str) -> object:
    value = getattr(row, column)
    return (
        value & ~NOT_FOUND if column == "problems" else value
    )  # that bit an ask told, not the journal


def _table(row: models.Model) -> str:
    return str(row._meta.verbose_name)  # noqa: SLF001


def _word(row: models.Model) -> str:
    return str(getattr(row, "status", "")) or "only named"
