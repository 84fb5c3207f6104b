"""CSV files of what we hold: histories, orders, findings of a reconciliation. Streamed from one snapshot.

A failure in the middle is raised to whoever reads on, so that no broken file looks whole.
Source of names, columns and formats: ux.md, section 7.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backoffice.database import snapshot
from orders import journal
from orders.clocks import RESTING_TYPES, kind_of
from orders.export import finding_rows, history_rows, order_rows
from orders.export.cells import Row, encode, optional
from orders.export.selection import Batch, Selection
from orders.lifecycle import Kind, is_final
from orders.models import Execution, JournalEntry, Order, PortfolioOrder, Reconciliation
from orders.timeline import history
from orders.timeline.items import Item
from orders.timeline.seen import Rules

VERSION = "v1"  # of the columns: they are only added to, at the end


@dataclass
class Export:
    """One CSV file on its way out: read ``chunks`` to the end, then ``record`` it.

    ``rows`` begin with the header; ``count`` is the number of rows that went out, the header aside.
    """

    what: str  # "order history", "orders"
    rows: Generator[Row]
    now: datetime = field(default_factory=timezone.now)
    count: int = 0

    @property
    def filename(self) -> str:
        """Return the name of the file, with the version of its columns: ``orders_v1_20261122T0645Z.csv``."""
        return (
            f"{self.what.replace(' ', '-')}_{VERSION}_{self.now.astimezone(UTC):%Y%m%dT%H%MZ}.csv"
        )

    def chunks(self, *, bom: bool, delimiter: str = "comma") -> Iterator[bytes]:
        """Yield the file; raise what goes wrong, so that the caller can break the connection."""
        return encode(self._counted(), bom=bom, delimiter=delimiter)

    def close(self) -> None:
        """End the snapshot of a file that is not read to its end: nothing can be written inside it."""
        self.rows.close()

    def record(self, *, actor: str, how: str) -> None:
        """Note in the journal who took how many rows; ``how`` says which and where to."""
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        said = f"Exported {self.what}, {how}: {rows}"
        journal.record_step(said, actor=actor, now=timezone.now(), type_="EXPORT")

    def _counted(self) -> Iterator[Row]:
        for self.count, row in enumerate(self.rows):  # noqa: B020 -- the header is row 0
            yield row


def order_history(selection: Selection, *, transitions_only: bool = False) -> Export:
    """Return the history file: what happened to each object, in the order in which it happened."""
    return Export("order history", _history(selection, transitions_only=transitions_only))


def orders(selection: Selection) -> Export:
    """Return the orders file: one row for each order as we hold it now."""
    return Export("orders", _orders(selection))


def findings(run: Reconciliation) -> Export:
    """Return the findings of a reconciliation: what was equal is only counted, and has no row."""
    return Export("reconciliation findings", _findings(run))


def _findings(run: Reconciliation) -> Generator[Row]:
    yield finding_rows.COLUMNS
    with snapshot():
        for finding in run.findings.order_by("pk").iterator(chunk_size=2000):
            yield finding_rows.row(run, finding)


def _history(selection: Selection, *, transitions_only: bool) -> Generator[Row]:
    yield history_rows.COLUMNS
    with snapshot():
        rules = history.rules()
        for batch in selection.batches():
            yield from _history_of(batch, rules, transitions_only=transitions_only)


def _history_of(batch: Batch, rules: Rules, *, transitions_only: bool) -> Iterator[Row]:
    rows = [*(batch.portfolio_orders.values() if batch.is_whole else ()), *batch.orders]
    cells = {(kind_of(row), row.pk): _cells(row, batch.portfolio_orders) for row in rows}
    # A story is that of a portfolio order with its orders, or of a single order.
    story_of = {(kind_of(row), row.pk): _story(row, batch) for row in rows}
    stories: dict[UUID, list[Item]] = {story: [] for story in story_of.values()}
    for item in history.items_of(rows, rules):
        stories[story_of[item.subject.kind, item.subject.id]].append(item)
    for items in stories.values():
        entries = history_rows.entries(items, transitions_only=transitions_only)
        for sequence, item in enumerate(entries, start=1):
            identity, described = cells[item.subject.kind, item.subject.id]
            yield history_rows.row(item, sequence, identity, described)


def _story(row: PortfolioOrder | Order, batch: Batch) -> UUID:
    parent = row.portfolio_order_id if isinstance(row, Order) and batch.is_whole else None
    return parent or row.pk


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
    with snapshot():
        now = timezone.now()
        for batch in selection.batches():
            yield from _orders_of(batch, now)


def _orders_of(batch: Batch, now: datetime) -> Iterator[Row]:
    ids = [order.pk for order in batch.orders]
    executions: dict[UUID, list[Execution]] = defaultdict(list)
    for execution in Execution.objects.filter(order__in=ids).order_by("pk"):
        executions[execution.order_id].append(execution)
    repeats = JournalEntry.objects.filter(order_id__in=ids, repeat_of__isnull=False)
    duplicates = Counter(repeats.values_list("order_id", flat=True))
    stale = _stale(batch, now)
    for order in batch.orders:
        yield order_rows.row(
            order,
            batch.portfolio_orders.get(order.portfolio_order_id or order.pk),
            executions[order.pk],
            is_stale=order.pk in stale,
            is_missed=bool(order.missing_since and order.missing_since < now - settings.GAP_GRACE),
            duplicates=duplicates[order.pk],
        )


def _stale(batch: Batch, now: datetime) -> set[UUID]:
    """Return the orders that are open and stale: with their portfolio order, or by themselves without one."""
    rows = PortfolioOrder.objects.filter(pk__in=list(batch.portfolio_orders))
    parents = set(rows.stale(now=now).values_list("pk", flat=True))
    single = [it.pk for it in batch.orders if it.portfolio_order_id not in batch.portfolio_orders]
    loose = set(Order.objects.filter(pk__in=single).stale(now=now).values_list("pk", flat=True))
    return {
        order.pk
        for order in batch.orders
        if (order.portfolio_order_id in parents or order.pk in loose)
        and not is_final(Kind.ORDER, order.status)
        and order.order_type not in RESTING_TYPES
    }
