"""Portfolio orders -> rows of the portfolio orders CSV. Pure."""

from typing import NamedTuple

from orders.export.cells import Row
from orders.export.columns import Column, ident, moment, number, row_of, text
from orders.export.order_rows import TRACKED, Condition, to_fill
from orders.lifecycle import MISTRADE
from orders.models import PortfolioOrder
from orders.progress import Progress

# The orders of one, counted by the rules of ``orders.progress``.
COUNTS = f"""
    SELECT count(*) AS total, count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled, count(*) FILTER (
        WHERE status = 'SETTLED' OR (status = 'FILLED' AND problems & {MISTRADE} = 0)) AS filled
    FROM orders_order WHERE portfolio_order_id = p.id"""


class Placed(NamedTuple):
    """What a row is made of; ``g`` is the progress of its orders."""

    p: PortfolioOrder
    g: Progress
    s: Condition


COLUMNS = (
    ident("portfolio_order_id", "p.id"),
    text("portfolio_order_status", "p.status"),
    text("portfolio_order_type", "p.type"),
    ident("account_id", "p.account_id"),
    ident("allocation_id", "p.allocation_id"),
    text("currency", "p.currency"),
    number("cash_amount", "p.cash_amount"),
    Column("orders", lambda it: str(it.g.total), "g.total::text"),
    Column("orders_filled", lambda it: str(it.g.filled), "g.filled::text"),
    Column(
        "orders_cancelled", lambda it: str(it.g.counts.get("CANCELLED", 0)), "g.cancelled::text"
    ),
    moment("created_at", "p.created_at"),
    moment("processing_at", "p.processing_at"),
    moment("filled_at", "p.filled_at"),
    moment("cancelled_at", "p.cancelled_at"),
    moment("settled_at", "p.settled_at"),
    text("cancellation_reason", "p.cancellation_reason"),
    text("cancellation_details", "p.cancellation_details"),
    to_fill("p"),
    moment("last_heard_at", "p.heard_at"),
    text("last_heard_via", "p.heard_via"),
    *TRACKED,
    text("initiation_flow", "p.initiation_flow"),
    text("client_reference", "p.client_reference"),
)


def row(it: PortfolioOrder, progress: Progress | None, condition: Condition) -> Row:
    """Return one row; ``progress`` is that of its orders, None where it has none."""
    return row_of(COLUMNS, Placed(it, progress or Progress({}), condition))
