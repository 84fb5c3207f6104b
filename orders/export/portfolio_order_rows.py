"""Portfolio orders -> rows of the portfolio orders CSV. Pure."""

from orders.export.cells import Row, boolean, moment, number, optional, seconds
from orders.export.order_rows import missed
from orders.lifecycle import Kind
from orders.models import PortfolioOrder
from orders.progress import Progress

COLUMNS = (
    "portfolio_order_id", "portfolio_order_status", "portfolio_order_type", "account_id",
    "allocation_id", "currency", "cash_amount", "orders", "orders_filled", "orders_cancelled",
    "created_at", "processing_at", "filled_at", "cancelled_at", "settled_at",
    "cancellation_reason", "cancellation_details", "seconds_to_fill", "last_heard_at",
    "last_heard_via", "is_stale", "missed_webhooks", "duplicate_deliveries", "initiation_flow",
    "client_reference",
)  # fmt: skip


def row(
    it: PortfolioOrder,
    progress: Progress | None,
    *,
    is_stale: bool,
    is_missed: bool,
    duplicates: int,
) -> Row:
    """Return one row; ``progress`` is that of its orders, None where it has none."""
    to_fill = it.filled_at - it.created_at if it.filled_at and it.created_at else None
    orders = progress or Progress({})
    return (
        str(it.pk),
        it.status,
        it.type,
        optional(it.account_id),
        optional(it.allocation_id),
        it.currency,
        number(it.cash_amount),
        str(orders.total),
        str(orders.filled),
        str(orders.counts.get("CANCELLED", 0)),
        moment(it.created_at),
        moment(it.processing_at),
        moment(it.filled_at),
        moment(it.cancelled_at),
        moment(it.settled_at),
        it.cancellation_reason,
        it.cancellation_details,
        seconds(to_fill),
        moment(it.heard_at),
        it.heard_via,
        boolean(is_stale),
        str(missed(Kind.PORTFOLIO_ORDER, it)) if is_missed else "0",
        str(duplicates),
        it.initiation_flow,
        it.client_reference,
    )
