"""Fold the whole journal anew and hold it against the tables, or write it over them.

Works object by object in one snapshot of the database, so memory does not grow with the journal;
only the portfolio orders' lists of orders go through a temporary file, for they are told by one
object and count for another. An entry that cannot be read is named, and what it may have told of
stays as it is. Source: the model, sections 1 (state and clocks) and 2.
"""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

from backoffice.database import limits, may_pass, snapshot
from orders import bulk, execution_rows, from_orders, projection
from orders.attributes import UnreadableError
from orders.facts import Reading
from orders.lifecycle import CANCELLED_EXECUTED, NOT_FOUND, Kind
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows
from orders.scratch import Damage, Scratch, identity, table_of
from orders.tracked import MEMORY

CLOCKS = {
    "missing_since", "heard_at", "heard_via", "news_at", "check_after", "asking_until",
    "checked_at", "checks", "check_error",
}  # fmt: skip
CHUNK = 500
MODELS = (PortfolioOrder, Order, Execution)
STATE = {
    model.kind: [
        field.attname
        for field in model._meta.concrete_fields  # noqa: SLF001
        if field.name not in CLOCKS | MEMORY | {"id", "execution_id"}
    ]
    for model in MODELS
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one row in which the tables and the fold of the journal differ.

    ``of`` says of which order, where several report the execution.
    """

    table: str
    id: UUID
    column: str
    held: object
    folded: object
    of: str = ""

    def __str__(self) -> str:
        where = f"{self.table} {self.id}{self.of}"
        return f"{where}: {self.column} is {self.held!r}, folded anew {self.folded!r}"


def compare() -> Iterator[Difference | Damage]:
    """Yield every difference between the fold of the journal and the tables, in one snapshot.

    What an entry that cannot be read may have told of is not compared; that entry is yielded.
    """
    with limits("long"), snapshot(), Scratch() as scratch:
        for model, rows in _folded(scratch):
            yield from scratch.damages()
            yield from _differences(_pairs(model, rows, scratch))
        yield from scratch.damages()
        for pairs in _taken(scratch):
            yield from _differences(pairs)
        for row in _unfounded(scratch):
            yield _difference(row, "the row", _word(row), None)


def rebuild(*, now: datetime) -> Iterator[Difference | Damage]:
    """Write the fold of the journal over the tables and yield what differed; all or nothing.

    Drains and asks wait meanwhile. Clocks stay; what changed is due for a check at once. What an
    entry that cannot be read may have told of keeps what is held, and is added where it is missing.
    """
    with limits("long"), _alone(), Scratch() as scratch:
        for model, rows in _folded(scratch):
            yield from scratch.damages()
            pairs = _pairs(model, rows, scratch)
            found = list(_differences(pairs))
            _write(model, pairs, now=now)
            yield from found
        yield from scratch.damages()
        for pairs in _taken(scratch):
            found = list(_differences(pairs))
            _write(PortfolioOrder, pairs, now=now)
            yield from found
        for row in _unfounded(scratch):
            yield _difference(row, "the row", _word(row), None)
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


def _folded(scratch: Scratch) -> Iterator[tuple[type[models.Model], list[Any]]]:
    """Yield the rows that the journal gives, in chunks of one table."""
    rows, subjects = Rows(), 0
    for pk, readings in groupby(_by_subject("portfolio_order_id", scratch), key=itemgetter(0)):
        rows.portfolio_orders[pk] = PortfolioOrder(pk=pk)
        for _, reading in readings:
            rows.fold(replace(reading, listings=()))
            scratch.keep(reading.listings)
        subjects += 1
        if subjects % CHUNK == 0:
            yield PortfolioOrder, _told(rows)
            rows = Rows()
    yield PortfolioOrder, _told(rows)
    rows = Rows()
    told = heapq.merge(_by_subject("order_id", scratch), scratch.listed(), key=itemgetter(0))
    for pk, readings in groupby(told, key=itemgetter(0)):
        order = Order(pk=pk)
        for _, reading in readings:
            if (
                reading.facts or reading.listings or reading.named
            ):  # not a refused cancellation alone
                rows.orders[pk] = order
            rows.fold(reading)
        subjects += 1
        if subjects % CHUNK == 0:
            yield from _orders(rows)
            rows = Rows()
    yield from _orders(rows)


def _told(rows: Rows) -> list[PortfolioOrder]:
    return [row for row in rows.portfolio_orders.values() if row.fact]


def _orders(rows: Rows) -> Iterator[tuple[type[models.Model], list[Any]]]:
    yield Order, list(rows.orders.values())
    yield Execution, [it for of_order in rows.executions.values() for it in of_order.values()]


def _by_subject(column: str, scratch: Scratch) -> Iterator[tuple[UUID, Reading]]:
    """Yield what the entries about one kind of object say, by object."""
    entries = JournalEntry.objects.filter(
        outcome__in=[Outcome.APPLIED, Outcome.NO_CHANGE], repeat_of=None
    ).filter(**{f"{column}__isnull": False})
    for entry in entries.order_by(column, "pk").iterator(chunk_size=2000):
        try:
            reading = _read(entry)
        except Exception as error:  # reading is deterministic: a second try says the same
            if may_pass(error):
                raise
            scratch.spoil(entry, column, _reason(error))
        else:
            yield getattr(entry, column), reading


def _read(entry: JournalEntry) -> Reading:
    """Return what an entry says of the object that it is about."""
    if not entry.payload:  # only repeats, notes and failures have none
        raise UnreadableError("it has no payload")
    reading = projection.read(entry)
    about = {
        fact.order_id or fact.id if fact.kind is not Kind.PORTFOLIO_ORDER else fact.id
        for fact in reading.facts
    }
    if not about <= {entry.portfolio_order_id, entry.order_id}:
        raise UnreadableError("it is about another object")
    return reading


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnreadableError) else f"{type(error).__name__}: {error}"


_Pairs = list[tuple[Any, Any]]


def _pairs(model: type[models.Model], rows: list[Any], scratch: Scratch) -> _Pairs:
    """Return each row that the journal gives with the one that is held, or None; not those that are spoilt."""
    scratch.see(rows)
    held = {identity(row): row for row in _held(model, rows)}
    pairs = [(row, held.get(identity(row))) for row in rows]
    kept = []
    for row, before in pairs:
        if before and (scratch.is_spoilt(before) or scratch.is_spoilt(row)):
            scratch.doubt_parents(row, before)
            continue
        kept.append((row, before))
        if row.kind is Kind.PORTFOLIO_ORDER and from_orders.takes(row):
            scratch.await_orders(row)
            if before:  # compared when its orders are folded
                _take(row, before)
        elif row.kind is Kind.ORDER:
            scratch.give(row)
    return kept


def _take(row: PortfolioOrder, other: PortfolioOrder) -> None:
    """Give a row what another has taken from its orders."""
    row.filled_at, row.is_fill_derived = other.filled_at, other.is_fill_derived
    row.problems = row.problems & ~CANCELLED_EXECUTED | other.problems & CANCELLED_EXECUTED


def _taken(scratch: Scratch) -> Iterator[_Pairs]:
    """Yield the portfolio orders that take something from their orders, with that and as they are held."""
    takers = scratch.takers()
    while found := list(islice(takers, CHUNK)):
        held = PortfolioOrder.objects.in_bulk([row.pk for row in found])
        pairs = []
        for taker in found:
            if before := held.get(taker.pk):
                _take(row := copy(before), taker)
                pairs.append((row, before))
        yield pairs


def _held(model: type[models.Model], rows: list[Any]) -> models.QuerySet[Any]:
    if model is Execution:
        return Execution.objects.filter(order__pk__any_of=list({row.order_id for row in rows}))
    return model._default_manager.filter(pk__any_of=[row.pk for row in rows])  # noqa: SLF001


def _differences(pairs: _Pairs) -> Iterator[Difference]:
    for row, before in pairs:
        if before is None:
            yield _difference(row, "the row", None, _word(row))
            continue
        for column in STATE[row.kind]:
            held, folded = _state(before, column), _state(row, column)
            if held != folded:
                yield _difference(before, column, held, folded)


def _difference(row: Any, column: str, held: object, folded: object) -> Difference:
    if row.kind is not Kind.EXECUTION:
        return Difference(table_of(row), row.pk, column, held, folded)
    of = f" of order {row.order_id}" if row.execution_id else ""
    return Difference(table_of(row), row.upstream_id, column, held, folded, of)


def _write(model: type[models.Model], pairs: _Pairs, *, now: datetime) -> None:
    """Write the rows that differ: new ones whole, held ones but for their clocks."""
    changed = []
    for row, before in pairs:
        differs = before is None or any(_differences([(row, before)]))
        if not differs and all(getattr(row, it, "") == getattr(before, it, "") for it in MEMORY):
            continue
        if row.kind is not Kind.EXECUTION:
            for name in CLOCKS:
                setattr(row, name, getattr(before or row, name))
            row.problems |= before.problems & NOT_FOUND if before else 0
            row.heard_at, row.news_at = row.heard_at or now, row.news_at or now
            if differs:
                row.check_after = now  # the answer confirms the state and sets the next check
        elif before is not None:
            row.id, row.execution_id, row.is_new = before.pk, before.execution_id, False
        changed.append(row)
    if model is Execution:
        execution_rows.write(changed)
    else:
        bulk.upsert(model, changed)


def _unfounded(scratch: Scratch) -> Iterator[models.Model]:
    """Yield the rows that nothing in the journal speaks of."""
    for model in MODELS:
        for row in model._default_manager.iterator(chunk_size=2000):  # noqa: SLF001
            if not scratch.has_seen(row) and not scratch.is_spoilt(row):
                yield row


def _state(row: models.Model, column: str) -> object:
    value = getattr(row, column)
    return (
        value & ~NOT_FOUND if column == "problems" else value
    )  # that bit an ask told, not the journal


def _word(row: models.Model) -> str:
    return str(getattr(row, "status", "")) or "only named"
