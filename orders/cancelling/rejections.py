"""What upstream announced of cancellations that it could not carry out: ORDER_CANCELLATION.REJECTED."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome

TYPE = "ORDER_CANCELLATION.REJECTED"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One announcement about an order or a portfolio order, and why, where it says so."""

    kind: Kind
    about: UUID
    at: datetime
    reason: str


def announced(
    *,
    orders: Collection[UUID] = (),
    portfolio_orders: Collection[UUID] = (),
    since: datetime,
) -> list[Rejection]:
    """Return what was announced about these since then, the oldest first: one query."""
    if not (orders or portfolio_orders):
        return []
    entries = JournalEntry.objects.filter(
        Q(order_id__in=orders) | Q(portfolio_order_id__in=portfolio_orders),
        type=TYPE,
        repeat_of=None,
        recorded_at__gt=since,
    ).exclude(outcome__in=[Outcome.QUARANTINED, Outcome.DISMISSED])
    columns = ("order_id", "portfolio_order_id", "recorded_at", "message")
    return [
        Rejection(Kind.ORDER if order else Kind.PORTFOLIO_ORDER, order or parent, at, reason)
        for order, parent, at, reason in entries.order_by("pk").values_list(*columns)
    ]
