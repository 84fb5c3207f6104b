"""Executions -> rows of the executions CSV. Pure."""

from typing import NamedTuple

from orders.export.cells import Row
from orders.export.columns import Column, Kind, day, ident, moment, number, row_of, text
from orders.models import Execution, Order


class Traded(NamedTuple):
    """What a row is made of."""

    x: Execution
    o: Order


COLUMNS = (
    Column(
        "execution_id", lambda it: str(it.x.upstream_id), "COALESCE(x.execution_id, x.id)::text"
    ),
    ident("order_id", "o.id"),
    ident("portfolio_order_id", "o.portfolio_order_id"),
    ident("account_id", "o.account_id"),
    text("instrument_id", "o.instrument_id"),
    text("side", "x.side"),
    text("status", "x.status"),
    text("order_status", "o.status"),
    Column(
        "currency",
        lambda it: it.x.currency or it.o.currency,
        "COALESCE(NULLIF(x.currency, ''), o.currency)",
        Kind.TEXT,
    ),
    number("cash_amount", "x.cash_amount"),
    number("share_quantity", "x.share_quantity"),
    number("price", "x.price"),
    number("tax", "x.tax"),
    text("venue_id", "x.venue_id"),
    moment("transaction_time", "x.transaction_time"),
    day("settlement_date", "x.settlement_date"),
    text("client_reference", "o.client_reference"),
)


def row(it: Execution, order: Order) -> Row:
    """Return one row; ``client_reference`` is that of the order."""
    return row_of(COLUMNS, Traded(it, order))
