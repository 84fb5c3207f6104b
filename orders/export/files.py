"""CSV files of what we hold: orders and what happened to them, the journal, findings. Streamed from one snapshot.

A failure in the middle is raised to whoever reads on, so that no broken file looks whole.
Source of names, columns and formats: ux.md, section 7.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery, UUIDField
from django.utils import timezone

from backoffice.database import limits, snapshot
from orders.audit.subjects import Subject
from orders.clocks import RESTING_TYPES
from orders.export import (
    entry_rows,
    execution_rows,
    finding_rows,
    histories,
    order_rows,
    portfolio_order_rows,
    staff_rows,
)
from orders.export.cells import Row
from orders.export.columns import Column, is_sane, listed, names
from orders.export.order_rows import Condition
from orders.export.selection import Batch, Selection
from orders.export.table import (
    SIZES,
    Export,
    Straight,
    by_key,
    in_batches,
    of_rows,
    walk,
    within,
    written,
)
from orders.lifecycle import KNOWN_STATUSES, Kind, is_final
from orders.models import (
    Execution,
    JournalEntry,
    Order,
    PortfolioOrder,
    Reconciliation,
    StepDetail,
)
from orders.progress import progress_of

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

BATCH = 500  # rows of the other files


def order_history(selection: Selection, *, transitions_only: bool = False) -> Export:
    """Return the history file: what happened to each object, in the order in which it happened."""
    rows = histories.rows(selection, transitions_only=transitions_only)
    straight = histories.Histories(selection, transitions_only=transitions_only).straight
    return Export("order history", rows, straight=straight)


def orders(selection: Selection) -> Export:
    """Return the orders file: one row for each order as we hold it now.

    A portfolio order without orders has a row, too, in which the columns of an order are empty: what
    was selected is in the file.
    """
    return Export("orders", _orders(selection), straight=_straight_orders(selection))


def portfolio_orders(selection: Selection) -> Export:
    """Return the portfolio orders file: one row for each portfolio order as we hold it now."""
    rows = lambda: _portfolio_orders(selection.portfolio_orders)  # noqa: E731 -- read later
    columns = portfolio_order_rows.COLUMNS
    return of_rows("portfolio orders", names(columns), rows, _straight_portfolio_orders(selection))


def executions(selection: Selection) -> Export:
    """Return the executions file: one row for each execution, by its order; cancelled ones too."""
    joins = "JOIN orders_execution x ON x.order_id = o.id"

    def parts() -> Iterator[str]:
        return (f"{part.tables(joins)}, x.id" for part in selection.parts())

    columns = execution_rows.COLUMNS
    straight = Straight(columns, parts, "x.id", by_key(_executions_by_id))
    return of_rows("executions", names(columns), lambda: _executions(selection), straight)


def journal_entries(entries: QuerySet[JournalEntry]) -> Export:
    """Return the journal file: one row for each of these entries, the oldest first, without payloads."""
    rows = entries.select_related(None).defer("payload")

    def read(rows: QuerySet[JournalEntry] = rows) -> Iterator[tuple[int, Row]]:
        return ((it.pk, entry_rows.row(it)) for batch in in_batches(rows, BATCH) for it in batch)

    return _by_id("journal entries", entry_rows.COLUMNS, "orders_journalentry j", rows, read)


def staff_actions(entries: QuerySet[Any]) -> Export:
    """Return the file of what staff did: one row for each of these steps, the oldest first."""
    tables = "orders_journalentry j LEFT JOIN orders_stepdetail d ON d.entry_id = j.id"
    # Joined, each entry and its detail would hold each other, and memory grow until they are collected.
    rows = entries.select_related(None).defer("payload")

    def read(rows: QuerySet[Any] = rows) -> Iterator[tuple[int, Row]]:
        for batch in in_batches(rows, BATCH):
            details = StepDetail.objects.in_bulk([it.pk for it in batch])
            yield from ((it.pk, staff_rows.row(it, details.get(it.pk))) for it in batch)

    return _by_id("staff actions", staff_rows.COLUMNS, tables, rows, read)


def findings(run: Reconciliation) -> Export:
    """Return the findings of a reconciliation: what was equal is only counted, and has no row."""
    tables = (
        "orders_finding f JOIN orders_reconciliation r ON r.id = f.reconciliation_id "
        "LEFT JOIN orders_order o ON o.id = f.order_id"
    )
    parent = Order.objects.filter(pk=OuterRef("order_id")).values("portfolio_order_id")
    known = Subquery(parent[:1], output_field=UUIDField())

    rows: QuerySet[Any] = run.findings.all()

    def read(rows: QuerySet[Any] = rows) -> Iterator[tuple[int, Row]]:
        for batch in in_batches(rows.annotate(parent=known), BATCH):
            yield from ((it.pk, finding_rows.row(run, it, it.parent)) for it in batch)

    file = _by_id("reconciliation findings", finding_rows.COLUMNS, tables, rows, read)
    file.subject = Subject("reconciliation", str(run.pk))
    return file


def _by_id(
    what: str,
    columns: Sequence[Column],
    tables: str,
    rows: QuerySet[Any],
    read: Callable[..., Iterator[tuple[int, Row]]],
) -> Export:
    """Return a file with one row for each of ``rows``, by their ids; ``tables`` begins with theirs.

    ``read`` yields the id and the row of each, or of each of other rows of the same table.
    """
    alias = tables.split()[1]

    def parts() -> Iterator[str]:
        for ids in walk(rows, "id", [it * 5 for it in SIZES]):
            where = within(alias, rows, ids[0], ids[-1])
            yield f"FROM {tables} WHERE {where} ORDER BY {alias}.id"

    def by_id(ids: list[int]) -> dict[int, list[Row]]:
        return {pk: [row] for pk, row in read(rows.model.objects.filter(pk__in=ids))}

    straight = Straight(columns, parts, f"{alias}.id", by_key(by_id))
    return of_rows(what, names(columns), lambda: (row for _, row in read()), straight)


def _orders(selection: Selection) -> Generator[Row]:
    yield names(order_rows.COLUMNS)
    with limits("export"), snapshot():
        now = timezone.now()
        for batch in selection.batches():
            yield from _rows_of(batch, now)


def _straight_orders(selection: Selection) -> Straight:
    now = timezone.now()

    def parts() -> Iterator[str]:
        joins = f"CROSS JOIN LATERAL ({order_rows.EXECUTIONS}) x {_condition('o', now)}"
        yield from (part.tables(joins) for part in selection.parts())

    def by_id(keys: list[str]) -> dict[str, list[Row]]:
        """Return the rows of orders, and, of portfolio orders without orders, theirs."""
        orders = [*Order.objects.filter(pk__in=keys)]
        parents = PortfolioOrder.objects.in_bulk({it.portfolio_order_id for it in orders} - {None})
        rows = {row[0]: [row] for row in _orders_of(Batch({}, orders, parents), now)}
        empty = PortfolioOrder.objects.filter(pk__in=keys).exclude(pk__in=[it.pk for it in orders])
        return rows | {str(it.pk): [order_rows.without_orders(it)] for it in empty}

    return Straight(order_rows.COLUMNS, parts, "COALESCE(o.id, p.id)", by_key(by_id))


def _straight_portfolio_orders(selection: Selection) -> Straight:
    now, rows = timezone.now(), selection.portfolio_orders

    def parts() -> Iterator[str]:
        joins = f"CROSS JOIN LATERAL ({portfolio_order_rows.COUNTS}) g {_condition('p', now)}"
        for ids in walk(rows, "id"):
            where = within("p", rows, ids[0], ids[-1])
            yield f"FROM orders_portfolioorder p {joins} WHERE {where} ORDER BY p.id"

    def by_id(keys: list[str]) -> dict[str, list[Row]]:
        found = _portfolio_orders(PortfolioOrder.objects.filter(pk__in=keys), now)
        return {row[0]: [row] for row in found}

    return Straight(portfolio_order_rows.COLUMNS, parts, "p.id", by_key(by_id))


def _condition(alias: str, now: datetime) -> str:
    """Return the join with ``order_rows.Condition`` of the row of an alias, as ``s``."""
    column = "order_id" if alias == "o" else "portfolio_order_id"
    is_stale = _sql(PortfolioOrder.objects.stale(now=now), "p")
    if alias == "o":
        resting = f"o.order_type IN {listed(RESTING_TYPES)}"
        over = f"o.status IN {listed([it for it in KNOWN_STATUSES if is_final(Kind.ORDER, it)])}"
        alone = _sql(Order.objects.stale(now=now), "o")
        is_stale = f"CASE WHEN {resting} OR {over} THEN FALSE WHEN p.id IS NULL THEN {alone} ELSE {is_stale} END"
    missed = f"{is_sane(f'{alias}.missing_since')} AND {_sql(Order.objects.missed(now=now), alias)}"
    return f"""CROSS JOIN LATERAL (SELECT {is_stale} AS is_stale, {missed} AS is_missed, (
        SELECT count(*) FROM orders_journalentry j WHERE j.{column} = {alias}.id AND j.repeat_of IS NOT NULL
    ) AS duplicates) s"""


def _sql(rows: QuerySet[Any], alias: str) -> str:
    """Return what a query asks of the rows of one table, as a condition on ``alias``."""
    where = written(rows.order_by().values("pk")).partition(" WHERE ")[2]
    return f"({where})".replace(f'"{rows.model._meta.db_table}".', f"{alias}.")  # noqa: SLF001 -- Django's public name


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
            Condition(order.pk in stale, _missed(order, now), duplicates[order.pk]),
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


def _portfolio_orders(
    portfolio_orders: QuerySet[PortfolioOrder], now: datetime | None = None
) -> Iterator[Row]:
    now = now or timezone.now()
    for rows in in_batches(portfolio_orders, BATCH):
        ids = [row.pk for row in rows]
        progress = progress_of(ids)
        stale = set(
            PortfolioOrder.objects.filter(pk__in=ids).stale(now=now).values_list("pk", flat=True)
        )
        repeats = JournalEntry.objects.filter(portfolio_order_id__in=ids, repeat_of__isnull=False)
        duplicates = Counter(repeats.values_list("portfolio_order_id", flat=True))
        for row in rows:
            condition = Condition(row.pk in stale, _missed(row, now), duplicates[row.pk])
            yield portfolio_order_rows.row(row, progress.get(row.pk), condition)


def _executions_by_id(keys: list[str]) -> dict[str, list[Row]]:
    found = Execution.objects.filter(pk__in=keys).select_related("order")
    return {str(it.pk): [execution_rows.row(it, it.order)] for it in found}


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


def _missed(row: PortfolioOrder | Order, now: datetime) -> int:
    is_missed = row.missing_since and row.missing_since < now - settings.GAP_GRACE
    return order_rows.missed(row) if is_missed else 0
