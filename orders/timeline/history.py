"""The history of stored orders: the queries behind ``orders.timeline.items``, always the same few of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import BinaryField, Case, F, OuterRef, QuerySet, Subquery, Value, When
from django.utils import timezone

from orders import clocks, fills, projection
from orders.attributes import UnreadableError
from orders.executions import is_reversed
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome, Placement, PortfolioOrder
from orders.timeline import gaps
from orders.timeline.items import Item, Timeline
from orders.timeline.seen import PLACEMENT, Listed, Rules, Seen, Subject, Trade
from orders.timeline.steps import build
from orders.timeline.trades import trade_of
from orders.tracked import Source

# The payload of an event about an execution; of others none is read.
EXECUTION = Case(
    When(source=Source.WEBHOOK, type__startswith=f"{Kind.EXECUTION}.", then=F("payload")),
    default=Value(b""),
    output_field=BinaryField(),
)


def history_of(portfolio_order: PortfolioOrder, orders: Iterable[Order] | None = None) -> Timeline:
    """Return the history of a portfolio order and of its orders; ``orders`` where they are at hand.

    Two queries; one more for the orders where they are not given, one where an order's webhook is missing.
    """
    if orders is None:
        orders = Order.objects.filter(portfolio_order=portfolio_order)
    return _history([portfolio_order, *orders])


def history_of_order(order: Order) -> Timeline:
    """Return the history of one order: one query, and one where a webhook is missing."""
    return _history([order])


def _history(rows: Sequence[PortfolioOrder | Order]) -> Timeline:
    limits = rules()
    return Timeline(tuple(items_of(rows, limits)), limits.now)


def items_of(rows: Iterable[PortfolioOrder | Order], rules: Rules) -> Sequence[Item]:
    """Return what happened to these objects, in the order in which it happened."""
    orders = {row.pk: row for row in rows if isinstance(row, Order)}
    subjects = [subject(row) for row in rows]
    listed_by = {
        orders[known.id].portfolio_order_id
        for known in subjects
        if known.is_order and gaps.missing(known, (), rules)
    }
    listings = list(_listings(listed_by - {None}))
    entries, trades = read(subjects)
    return build(entries, subjects, rules=rules, listings=listings, trades=trades).items


def rules() -> Rules:
    """Return now and the limits of the settings."""
    return Rules(
        now=timezone.now(),
        gap_grace=settings.GAP_GRACE,
        late_after=settings.LATE_AFTER,
        first_webhook_at=clocks.first_webhook_at(),
    )


def subject(row: PortfolioOrder | Order) -> Subject:
    """Return what a history needs to know of a row."""
    return Subject(
        kind=clocks.kind_of(row),
        id=row.pk,
        status=row.status,
        created_at=row.created_at,
        ended_at=fills.ended_at(row),
        processing_at=row.processing_at,
        announced=row.announced,
        instrument_id=row.instrument_id if isinstance(row, Order) else "",
        side=row.side if isinstance(row, Order) else row.type,
        is_reversed=is_reversed(row.status, row.problems),
    )


def read(subjects: Iterable[Subject]) -> tuple[list[Seen], dict[int, Trade]]:
    """Return the journal entries about ``subjects``, and what those about executions say: one query for each kind.

    With those about portfolio orders come the steps of the placements that they came of. Only the
    payloads of events about executions are read.
    """
    ids: dict[Kind, list[UUID]] = {Kind.PORTFOLIO_ORDER: [], Kind.ORDER: []}
    for known in subjects:
        ids[known.kind].append(known.id)
    entries: list[Seen] = []
    trades: dict[int, Trade] = {}
    for name, kind in (("portfolio_order_id", Kind.PORTFOLIO_ORDER), ("order_id", Kind.ORDER)):
        if not ids[kind]:
            continue
        rows = JournalEntry.objects.filter(**{f"{name}__in": ids[kind]})
        found = rows.values_list(*Seen._fields, EXECUTION)
        if kind is Kind.PORTFOLIO_ORDER:
            found = found.union(_steps_of_placements(ids[kind]), all=True)
        for *columns, payload in found:
            entries.append(Seen._make(columns))
            if payload and (trade := trade_of(bytes(payload))):
                trades[entries[-1].id] = trade
    return entries, trades


def _steps_of_placements(portfolio_order_ids: Collection[UUID]) -> QuerySet:
    """Return the steps from "submitted" on: they were taken before there was a portfolio order to name."""
    placements = Placement.objects.filter(portfolio_order_id__in=portfolio_order_ids)
    named = placements.filter(pk=OuterRef("placement_id")).values("portfolio_order_id")
    steps = JournalEntry.objects.filter(placement_id__in=placements.values("pk"), type=PLACEMENT)
    columns = [name if name != "portfolio_order_id" else "came_of_it" for name in Seen._fields]
    return steps.annotate(came_of_it=Subquery(named)).values_list(*columns, EXECUTION)


def _listings(portfolio_order_ids: Collection[UUID | None]) -> Iterator[Listed]:
    """Yield what portfolio orders' lists said of their orders, from the payloads."""
    if not portfolio_order_ids:
        return
    entries = JournalEntry.objects.filter(
        portfolio_order_id__in=portfolio_order_ids,
        outcome__in=[Outcome.PENDING, Outcome.APPLIED, Outcome.NO_CHANGE],
        repeat_of=None,
    )
    for entry in entries:
        yield from _lines(entry)


def _lines(entry: JournalEntry) -> Iterator[Listed]:
    try:
        reading = projection.read(entry)
    except UnreadableError:  # it is pending, and will be quarantined with this reason
        return
    about = Seen(*(getattr(entry, name) for name in Seen._fields))
    for line in reading.listings:
        if line.status:
            yield Listed(line.order_id, line.status, about)
