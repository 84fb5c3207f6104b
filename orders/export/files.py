"""CSV files of what we hold: orders and what happened to them, the journal, findings. Streamed from one snapshot.

A failure in the middle is raised to whoever reads on, so that no broken file looks whole.
Source of names, columns and formats: ux.md, section 7.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import count
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery, UUIDField
from django.utils import timezone

from backoffice.database import limits, snapshot
from orders.audit.subjects import Subject
from orders.clocks import RESTING_TYPES, kind_of
from orders.export import (
    entry_rows,
    execution_rows,
    finding_rows,
    history_rows,
    order_rows,
    portfolio_order_rows,
    staff_rows,
)
from orders.export.cells import Row, optional
from orders.export.selection import Batch, Selection
from orders.export.table import Export, in_batches, of_rows
from orders.lifecycle import Kind, is_final
from orders.models import (
    Execution,
    JournalEntry,
    Order,
    PortfolioOrder,
    Reconciliation,
    StepDetail,
)
from orders.progress import progress_of
from orders.timeline import history
from orders.timeline.items import Item
from orders.timeline.long import LongHistory
from orders.timeline.seen import Rules

__all__ = [
    "Export",
    "executions",
    "findings",
    "journal_entries",
    "order_history",
    "orders",
    "portfolio_orders",
    "staff_actions",
]

AT_ONCE = 500  # items of a long history
BATCH = 500  # rows of the other files


def order_history(selection: Selection, *, transitions_only: bool = False) -> Export:
    """Return the history file: what happened to each object, in the order in which it happened."""
    return Export("order history", _history(selection, transitions_only=transitions_only))


def orders(selection: Selection) -> Export:
    """Return the orders file: one row for each order as we hold it now.

    A portfolio order without orders has a row, too, in which the columns of an order are empty: what
    was selected is in the file.
    """
    return Export("orders", _orders(selection))


def portfolio_orders(selection: Selection) -> Export:
    """Return the portfolio orders file: one row for each portfolio order as we hold it now."""
    columns = portfolio_order_rows.COLUMNS
    return of_rows("portfolio orders", columns, lambda: _portfolio_orders(selection))


def executions(selection: Selection) -> Export:
    """Return the executions file: one row for each execution, by its order; cancelled ones too."""
    return of_rows("executions", execution_rows.COLUMNS, lambda: _executions(selection))


def journal_entries(entries: QuerySet[JournalEntry]) -> Export:
    """Return the journal file: one row for each of these entries, the oldest first, without payloads."""
    rows = entries.defer("payload")
    read = lambda: (entry_rows.row(it) for batch in in_batches(rows, BATCH) for it in batch)  # noqa: E731 -- read later
    return of_rows("journal entries", entry_rows.COLUMNS, read)


def staff_actions(entries: QuerySet[Any]) -> Export:
    """Return the file of what staff did: one row for each of these steps, the oldest first."""
    return of_rows("staff actions", staff_rows.COLUMNS, lambda: _staff_actions(entries))


def _staff_actions(entries: QuerySet[Any]) -> Iterator[Row]:
    # Joined, each entry and its detail would hold each other, and memory grow until they are collected.
    for rows in in_batches(entries.select_related(None).defer("payload"), BATCH):
        details = StepDetail.objects.in_bulk([it.pk for it in rows])
        yield from (staff_rows.row(it, details.get(it.pk)) for it in rows)


def findings(run: Reconciliation) -> Export:
    """Return the findings of a reconciliation: what was equal is only counted, and has no row."""
    subject = Subject("reconciliation", str(run.pk))
    return Export("reconciliation findings", _findings(run), subject=subject)


def _findings(run: Reconciliation) -> Generator[Row]:
    yield finding_rows.COLUMNS
    with limits("export"), snapshot():
        parent = Order.objects.filter(pk=OuterRef("order_id")).values("portfolio_order_id")
        known = Subquery(parent[:1], output_field=UUIDField())
        rows: Any = run.findings.annotate(parent=known).order_by("pk")
        for finding in rows.iterator(chunk_size=2000):
            yield finding_rows.row(run, finding, finding.parent)


def _history(selection: Selection, *, transitions_only: bool) -> Generator[Row]:
    yield history_rows.COLUMNS
    with limits("export"), snapshot():
        rules = history.rules()
        alone = count(1)  # the rows of orders without a portfolio order are numbered through
        for batch in selection.batches():
            if batch.is_long:
                yield from _long_history_of(batch, rules, transitions_only=transitions_only)
                continue
            yield from _history_of(batch, rules, alone, transitions_only=transitions_only)


def _long_history_of(batch: Batch, rules: Rules, *, transitions_only: bool) -> Iterator[Row]:
    """Yield the rows of one portfolio order whose history is not to be read whole."""
    (row,) = batch.portfolio_orders.values()
    cells: dict[tuple[Kind, UUID], tuple[Row, Row]] = {}

    def items() -> Iterator[Item]:
        for rows, part in LongHistory(row, rules).every(AT_ONCE):
            cells.clear()
            cells.update({(kind_of(it), it.pk): _cells(it, batch.parents) for it in rows})
            yield from part

    entries = history_rows.entries(items(), transitions_only=transitions_only)
    for sequence, item in enumerate(entries, start=1):
        identity, described = cells[item.subject.kind, item.subject.id]
        yield history_rows.row(item, sequence, identity, described)


def _history_of(
    batch: Batch, rules: Rules, alone: "count[int]", *, transitions_only: bool
) -> Iterator[Row]:
    """Yield the rows of a batch; ``alone`` numbers those of orders without a portfolio order."""
    rows: list[PortfolioOrder | Order] = [*batch.portfolio_orders.values(), *batch.orders]
    parents = batch.parents
    cells = {(kind_of(row), row.pk): _cells(row, parents) for row in rows}
    # A story is that of a portfolio order, known here or not, with its orders, or of an order without one.
    story_of = {(kind_of(row), row.pk): _story(row) for row in rows}
    stories: dict[tuple[UUID, bool], list[Item]] = {it: [] for it in sorted({*story_of.values()})}
    for item in history.items_of(rows, rules):
        stories[story_of[item.subject.kind, item.subject.id]].append(item)
    for (_, is_alone), items in stories.items():
        numbers = alone if is_alone else count(1)
        for item in history_rows.entries(items, transitions_only=transitions_only):
            identity, described = cells[item.subject.kind, item.subject.id]
            yield history_rows.row(item, next(numbers), identity, described)


def _story(row: PortfolioOrder | Order) -> tuple[UUID, bool]:
    """Return the portfolio order of whose history a row is a part; or its own id, and that it has none."""
    if isinstance(row, PortfolioOrder):
        return row.pk, False
    return row.portfolio_order_id or row.pk, row.portfolio_order_id is None


def _cells(
    row: PortfolioOrder | Order, portfolio_orders: Mapping[UUID, PortfolioOrder]
) -> tuple[Row, Row]:
    """Return the cells of an object before ``sequence``, and those of its attributes."""
    if isinstance(row, PortfolioOrder):
        identity = (str(row.pk), row.status, "", Kind.PORTFOLIO_ORDER.lower())
        return identity, history_rows.attributes(row, type_=row.type)
    parent = portfolio_orders.get(row.portfolio_order_id) if row.portfolio_order_id else None
    status, type_ = (parent.status, parent.type) if parent else ("", "")
    identity = (optional(row.portfolio_order_id), status, str(row.pk), Kind.ORDER.lower())
    return identity, history_rows.attributes(
        row, type_=type_, side=row.side, instrument_id=row.instrument_id
    )


def _orders(selection: Selection) -> Generator[Row]:
    yield order_rows.COLUMNS
    with limits("export"), snapshot():
        now = timezone.now()
        for batch in selection.batches():
            yield from _rows_of(batch, now)


def _rows_of(batch: Batch, now: datetime) -> Iterator[Row]:
    """Yield the rows of the orders of a batch, and one for each portfolio order that has none."""
    seen: set[str] = set()
    if batch.is_long:
        for part in batch.parts():
            for row in _orders_of(part, now):
                seen.add(row[1])
                yield row
    seen |= {str(order.portfolio_order_id) for order in batch.orders}
    empty = [it for pk, it in sorted(batch.portfolio_orders.items()) if str(pk) not in seen]
    rows = iter(()) if batch.is_long else _orders_of(batch, now)
    yield from merge(rows, map(order_rows.without_orders, empty), key=lambda row: row[1])


def _orders_of(batch: Batch, now: datetime) -> Iterator[Row]:
    ids = [order.pk for order in batch.orders]
    trades = _executions_by_order(batch.orders)
    repeats = JournalEntry.objects.filter(order_id__in=ids, repeat_of__isnull=False)
    duplicates = Counter(repeats.values_list("order_id", flat=True))
    stale, parents = _stale(batch, now), batch.parents
    for order in batch.orders:
        yield order_rows.row(
            order,
            parents.get(order.portfolio_order_id or order.pk),
            trades[order.pk],
            is_stale=order.pk in stale,
            is_missed=_is_missed(order, now),
            duplicates=duplicates[order.pk],
        )


def _stale(batch: Batch, now: datetime) -> set[UUID]:
    """Return the orders that are open and stale: with their portfolio order, or by themselves without one."""
    known = batch.parents
    rows = PortfolioOrder.objects.filter(pk__in=list(known))
    parents = set(rows.stale(now=now).values_list("pk", flat=True))
    single = [it.pk for it in batch.orders if it.portfolio_order_id not in known]
    loose = set(Order.objects.filter(pk__in=single).stale(now=now).values_list("pk", flat=True))
    return {
        order.pk
        for order in batch.orders
        if (order.portfolio_order_id in parents or order.pk in loose)
        and not is_final(Kind.ORDER, order.status)
        and order.order_type not in RESTING_TYPES
    }


def _portfolio_orders(selection: Selection) -> Iterator[Row]:
    now = timezone.now()
    for rows in in_batches(selection.portfolio_orders, BATCH):
        ids = [row.pk for row in rows]
        progress = progress_of(ids)
        stale = set(
            PortfolioOrder.objects.filter(pk__in=ids).stale(now=now).values_list("pk", flat=True)
        )
        repeats = JournalEntry.objects.filter(portfolio_order_id__in=ids, repeat_of__isnull=False)
        duplicates = Counter(repeats.values_list("portfolio_order_id", flat=True))
        for row in rows:
            yield portfolio_order_rows.row(
                row,
                progress.get(row.pk),
                is_stale=row.pk in stale,
                is_missed=_is_missed(row, now),
                duplicates=duplicates[row.pk],
            )


def _executions(selection: Selection) -> Iterator[Row]:
    for batch in selection.batches():
        for part in batch.parts():
            for start in range(0, len(part.orders), BATCH):
                orders = part.orders[start : start + BATCH]
                trades = _executions_by_order(orders)
                for order in orders:
                    yield from (execution_rows.row(it, order) for it in trades[order.pk])


def _executions_by_order(orders: Iterable[Order]) -> Mapping[UUID, list[Execution]]:
    """Return the executions of these orders by order, by their ids."""
    found: dict[UUID, list[Execution]] = defaultdict(list)
    of = Execution.objects.filter(order__in=[order.pk for order in orders])
    for execution in of.order_by("pk"):
        found[execution.order_id].append(execution)
    return found


def _is_missed(row: PortfolioOrder | Order, now: datetime) -> bool:
    return bool(row.missing_since and row.missing_since < now - settings.GAP_GRACE)
