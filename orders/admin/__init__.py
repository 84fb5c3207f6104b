"""What staff see and do: lists, pages and buttons. Doors only: each step is one call of another module."""

from orders.admin import (
    cancellations,
    journal,
    orders,
    placements,
    portfolio_orders,
    reconciliations,
    staff_actions,
)

__all__ = [
    "cancellations",
    "journal",
    "orders",
    "placements",
    "portfolio_orders",
    "reconciliations",
    "staff_actions",
]
