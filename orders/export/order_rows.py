"""Orders -> rows of the orders CSV. Pure. Source of the columns: ux.md, section 7."""

from collections.abc import Sequence

from orders.executions import Executed, executed
from orders.export.cells import Row, boolean, moment, number, optional, seconds
from orders.lifecycle import Kind, expected
from orders.models import Execution, Order, PortfolioOrder
from orders.tracked import Tracked

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
    done = executed(order, executions)
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
        number(order.cash_amount),
        number(order.quantity),
        number(done.quantity),
        number(_in_its_currency(order, done, done.average_price)),
        number(done.fee),
        number(_in_its_currency(order, done, done.tax)),
        moment(order.created_at),
        moment(order.processing_at),
        moment(order.filled_at),
        moment(order.cancelled_at),
        optional(done.settlement.last),
        order.cancellation_reason,
        seconds(to_fill),
        moment(order.heard_at),
        order.heard_via,
        boolean(is_stale),
        str(missed(Kind.ORDER, order)) if is_missed else "0",
        str(duplicates),
        order.client_reference,
    )


def _in_its_currency(order: Order, done: Executed, amount: str) -> str:
    """Return an amount where it is in the order's currency, which is that of the row; else unknown."""
    return amount if done.currency == order.currency or not order.currency else ""


def without_orders(row: PortfolioOrder) -> Row:
    """Return the row of a portfolio order that has no orders: what is its own, and nothing of an order."""
    own = {
        "portfolio_order_id": str(row.pk),
        "portfolio_order_status": row.status,
        "account_id": optional(row.account_id),
        "allocation_id": optional(row.allocation_id),
        "portfolio_order_type": row.type,
    }
    return tuple(own.get(column, "") for column in COLUMNS)


def missed(kind: Kind, row: Tracked) -> int:
    """Return how many expected webhooks of an object never came."""
    words = expected(kind, row.status, was_processing=row.processing_at is not None)
    return len(words - set(row.announced.split()))
