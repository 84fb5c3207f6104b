"""Executions -> rows of the executions CSV. Pure."""

from orders.export.cells import Row, moment, number, optional
from orders.models import Execution, Order

COLUMNS = (
    "execution_id", "order_id", "portfolio_order_id", "account_id", "instrument_id", "side",
    "status", "order_status", "currency", "cash_amount", "share_quantity", "price", "tax",
    "venue_id", "transaction_time", "settlement_date", "client_reference",
)  # fmt: skip


def row(it: Execution, order: Order) -> Row:
    """Return one row; ``client_reference`` is that of the order."""
    return (
        str(it.upstream_id),
        str(order.pk),
        optional(order.portfolio_order_id),
        optional(order.account_id),
        order.instrument_id,
        it.side,
        it.status,
        order.status,
        it.currency or order.currency,
        number(it.cash_amount),
        number(it.share_quantity),
        number(it.price),
        number(it.tax),
        it.venue_id,
        moment(it.transaction_time),
        optional(it.settlement_date),
        order.client_reference,
    )
