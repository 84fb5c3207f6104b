"""The orders of a portfolio order that have no lane of their own, as numbers from the database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Q, QuerySet

from orders.lanes.axis import Stretch
from orders.models import Order

MOMENTS = ("created_at", "processing_at", "filled_at", "cancelled_at")


class OtherOrders:
    """All orders of a portfolio order but those that are shown; ``statuses`` are those of the others now."""

    def __init__(
        self, portfolio_order_id: UUID, shown: Collection[UUID], statuses: Mapping[str, int]
    ) -> None:
        self.statuses = statuses
        self._rows: QuerySet[Order] = Order.objects.filter(
            portfolio_order_id=portfolio_order_id
        ).exclude(pk__in=shown)

    def edges(self) -> Sequence[datetime]:
        """Return the first and the last moment at which something happened to any of them."""
        asked = {f"{of.name}_{name}": of(name) for name in MOMENTS for of in (Min, Max)}
        return [moment for moment in self._rows.aggregate(**asked).values() if moment]

    def within(self, silences: Sequence[Stretch]) -> Sequence[datetime]:
        """Return the first and the last of those moments in each silence in which there are any."""
        asked: dict[str, Any] = {}
        for number, it in enumerate(silences):
            for name in MOMENTS:
                inside = Q(**{f"{name}__gt": it.start, f"{name}__lt": it.end})
                asked |= {
                    f"{of.name}_{name}_{number}": of(name, filter=inside) for of in (Min, Max)
                }
        return [moment for moment in self._rows.aggregate(**asked).values() if moment]

    def at(self, moments: Sequence[datetime]) -> Sequence[Mapping[str, int]]:
        """Return how many were in each status at each of these moments."""
        asked: dict[str, Any] = {}
        for number, moment in enumerate(moments):
            for status, condition in _in_status(moment).items():
                asked[f"{status}_{number}"] = Count("pk", filter=condition)
        found = self._rows.aggregate(**asked)
        return [
            {status: found[f"{status}_{number}"] for status in _in_status(moment)}
            for number, moment in enumerate(moments)
        ]


def _in_status(moment: datetime) -> dict[str, Q]:
    """Return the condition that an order was in each status at a moment."""
    created, processing, filled, cancelled = (Q(**{f"{name}__lte": moment}) for name in MOMENTS)
    not_yet = {name: Q(**{f"{name}__gt": moment}) | Q(**{name: None}) for name in MOMENTS}
    open_ = not_yet["filled_at"] & not_yet["cancelled_at"]
    return {
        "FILLED": filled,
        "CANCELLED": cancelled & not_yet["filled_at"],
        "PROCESSING": processing & open_,
        "NEW": created & not_yet["processing_at"] & open_,
    }
