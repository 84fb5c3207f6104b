"""What upstream announced of cancellations that it could not carry out: ORDER_CANCELLATION.REJECTED."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orders.models import JournalEntry, Outcome

TYPE = "ORDER_CANCELLATION.REJECTED"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One announcement, and why, where it says so."""

    order_id: UUID
    at: datetime
    reason: str


def of_orders(order_ids: Collection[UUID], *, since: datetime) -> list[Rejection]:
    """Return what was announced about orders since then, the oldest first: one query."""
    if not order_ids:
        return []
    entries = JournalEntry.objects.filter(
        order_id__in=order_ids, type=TYPE, repeat_of=None, recorded_at__gt=since
    ).exclude(outcome=Outcome.QUARANTINED)
    rows = entries.order_by("pk").values_list("order_id", "recorded_at", "message")
    return [Rejection(pk, at, reason) for pk, at, reason in rows if pk is not None]
