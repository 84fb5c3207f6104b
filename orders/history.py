"""The history of stored orders: the queries behind ``orders.timeline``, always the same few of them."""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from orders import clocks, projection
from orders.attributes import UnreadableError
from orders.lifecycle import Kind, expected
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.seen import Listed, Rules, Seen, Subject
from orders.steps import build
from orders.timeline import Timeline
from orders.tracked import Tracked


def history_of(portfolio_order: PortfolioOrder, orders: Iterable[Order] | None = None) -> Timeline:
    """Return the history of a portfolio order and of its orders; ``orders`` where they are at hand.

    Two queries, one for the orders where they are not given, and one where a webhook is missing.
    """
    if orders is None:
        orders = Order.objects.filter(portfolio_order=portfolio_order)
    subjects = [subject(portfolio_order), *map(subject, orders)]
    return build(
        seen(subjects), subjects, rules=rules(), listings=listings(subjects, [portfolio_order.pk])
    )


def history_of_order(order: Order) -> Timeline:
    """Return the history of one order."""
    parents = [order.portfolio_order_id] if order.portfolio_order_id else []
    subjects = [subject(order)]
    return build(seen(subjects), subjects, rules=rules(), listings=listings(subjects, parents))


def rules() -> Rules:
    """Return now and the limits of the settings."""
    return Rules(
        now=timezone.now(),
        gap_grace=settings.GAP_GRACE,
        late_after=settings.LATE_AFTER,
        first_webhook_at=clocks.first_webhook_at(),
    )


def subject(row: Tracked) -> Subject:
    """Return what a history needs to know of a row."""
    is_order = isinstance(row, Order)
    return Subject(
        kind=clocks.kind_of(row),
        id=row.pk,
        status=row.status,
        created_at=row.created_at,
        processing_at=row.processing_at,
        announced=row.announced,
        instrument_id=row.instrument_id if is_order else "",
        side=row.side if is_order else row.type,
    )


def seen(subjects: Iterable[Subject]) -> Iterator[Seen]:
    """Yield the journal entries about ``subjects``, without payloads: one query for each kind."""
    ids: dict[Kind, list[UUID]] = {Kind.PORTFOLIO_ORDER: [], Kind.ORDER: []}
    for known in subjects:
        ids[known.kind].append(known.id)
    for name, kind in (("portfolio_order_id", Kind.PORTFOLIO_ORDER), ("order_id", Kind.ORDER)):
        if ids[kind]:
            entries = JournalEntry.objects.filter(**{f"{name}__in": ids[kind]})
            yield from map(Seen._make, entries.values_list(*Seen._fields))


def listings(subjects: Iterable[Subject], portfolio_order_ids: Sequence[UUID]) -> list[Listed]:
    """Return what portfolio orders' lists said of their orders; nothing where no webhook is missing."""
    if not portfolio_order_ids or not any(map(_misses, subjects)):
        return []
    entries = JournalEntry.objects.filter(
        portfolio_order_id__in=portfolio_order_ids,
        outcome__in=[Outcome.PENDING, Outcome.APPLIED, Outcome.NO_CHANGE],
        repeat_of=None,
    )
    return [line for entry in entries for line in _lines(entry)]


def _misses(order: Subject) -> bool:
    words = expected(Kind.ORDER, order.status, was_processing=order.processing_at is not None)
    return order.is_order and not words <= set(order.announced.split())


def _lines(entry: JournalEntry) -> Iterator[Listed]:
    try:
        reading = projection.read(entry)
    except UnreadableError:  # it is pending, and will be quarantined with this reason
        return
    about = Seen(*(getattr(entry, name) for name in Seen._fields))
    for line in reading.listings:
        yield Listed(line.order_id, line.status, about)
