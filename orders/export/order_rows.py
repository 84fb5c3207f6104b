"""Orders -> rows of the orders CSV. Pure. Source of the columns: ux.md, section 7."""

from collections.abc import Sequence

from orders.export.amounts import average_price, total
from orders.export.cells import Row, boolean, free_text, moment, optional, seconds
from orders.lifecycle import Kind, expected
from orders.models import Execution, Order, PortfolioOrder

COLUMNS = (
    "order_id", "portfolio_order_id", "portfolio_order_status", "account_id", "allocation_id",
    "portfolio_order_type", "side", "instrument_id", "status", "currency", "cash_amount",
    "quantity", "executed_quantity", "average_price", "fee", "tax", "created_at", "processing_at",
    "filled_at", "cancelled_at", "settlement_date", "cancellation_reason", "seconds_to_fill",
    "last_heard_at", "last_heard_via", "is_stale", "missed_webhooks", "duplicate_deliveries",
    "client_reference",
)  # fmt: skip


def row(
    order: Order,
    parent: PortfolioOrder | None,
    executions: Sequence[Execution],
    *,
    is_stale: bool,
    is_missed: bool,
    duplicates: int,
) -> Row:
    """Return one row; ``executions`` are all that we hold of the order, cancelled ones too."""
    traded = [execution for execution in executions if execution.status != "CANCELLED"]
    quantities = [execution.share_quantity for execution in traded]
    to_fill = order.filled_at - order.created_at if order.filled_at and order.created_at else None
    return (
        str(order.pk),
        optional(order.portfolio_order_id),
        parent.status if parent else "",
        optional(order.account_id),
        optional(parent.allocation_id) if parent else "",
        parent.type if parent else "",
        order.side,
        order.instrument_id,
        order.status,
        order.currency,
        order.cash_amount,
        order.quantity,
        total(quantities) or _nothing_executed(order, executions),
        average_price(quantities, [execution.price for execution in traded]),
        order.fee,
        total([execution.tax for execution in traded]),
        moment(order.created_at),
        moment(order.processing_at),
        moment(order.filled_at),
        moment(order.cancelled_at),
        _settlement_date(traded),
        order.cancellation_reason,
        seconds(to_fill),
        moment(order.heard_at),
        order.heard_via,
        boolean(is_stale),
        str(_missed(order)) if is_missed else "0",
        str(duplicates),
        free_text(order.client_reference),
    )


def _nothing_executed(order: Order, executions: Sequence[Execution]) -> str:
    """Return 0 where an own report of the order came without executions that count; else unknown."""
    all_cancelled = bool(executions) and all(it.status == "CANCELLED" for it in executions)
    return (
        "0"
        if order.fact and (all_cancelled or (not executions and order.status != "FILLED"))
        else ""
    )


def _settlement_date(traded: Sequence[Execution]) -> str:
    """Return the day on which the last execution settles; unknown while it is of any."""
    days = [execution.settlement_date for execution in traded]
    known = [day for day in days if day]
    return str(max(known)) if known and len(known) == len(days) else ""


def _missed(order: Order) -> int:
    words = expected(Kind.ORDER, order.status, was_processing=order.processing_at is not None)
    return len(words - set(order.announced.split()))
