"""Orders -> rows of the orders CSV. Pure. Source of the columns: ux.md, section 7."""

from collections.abc import Sequence
from typing import NamedTuple

from orders.clocks import kind_of
from orders.executions import Executed, executed
from orders.export.cells import Row, boolean, optional, seconds
from orders.export.cells import number as as_number
from orders.export.columns import (
    Column,
    Kind,
    day_sql,
    ident,
    moment,
    names,
    number,
    row_of,
    seconds_sql,
    text,
)
from orders.lifecycle import expected
from orders.models import Execution, Order, PortfolioOrder
from orders.tracked import Tracked


class Condition(NamedTuple):
    """How an object stands beside what the broker says of it; ``missed`` is the number of webhooks."""

    is_stale: bool
    missed: int
    duplicates: int


class Held(NamedTuple):
    """What a row is made of: an order, its portfolio order where that is known, what its executions come to."""

    o: Order
    p: PortfolioOrder | None
    done: Executed
    s: Condition


# The executions of an order. Of several the sums are exact and rounded as Python does it: it adds up.
EXECUTIONS = """
    SELECT count(*) AS n, max(status) AS status, max(currency) AS currency, max(tax) AS tax,
        max(share_quantity) AS quantity, max(price) AS price, max(settlement_date) AS day
    FROM orders_execution WHERE order_id = o.id"""
_OF_ONE = "CASE WHEN x.n = 0 OR (x.n = 1 AND x.status = 'CANCELLED') THEN {nothing} WHEN x.n = 1 THEN {one} END"
_KNOWN_TO_BE_NOTHING = (
    "CASE WHEN o.fact <> '' AND (x.n = 1 OR o.status <> 'FILLED') THEN '0' ELSE '' END"
)
_IN_ITS_CURRENCY = "o.currency = '' OR x.currency IN ('', o.currency)"

TRACKED = (
    Column(
        "is_stale",
        lambda it: boolean(it.s.is_stale),
        "CASE WHEN s.is_stale THEN 'true' ELSE 'false' END",
    ),
    # Few miss one: Python counts.
    Column(
        "missed_webhooks",
        lambda it: str(it.s.missed),
        "CASE WHEN s.is_missed THEN NULL ELSE '0' END",
    ),
    Column("duplicate_deliveries", lambda it: str(it.s.duplicates), "s.duplicates::text"),
)


def to_fill(alias: str) -> Column:
    """Return the column of how long it took to fill an object."""

    def took(it: object) -> str:
        row: Tracked = getattr(it, alias)
        known = row.filled_at and row.created_at
        return seconds(row.filled_at - row.created_at) if known else ""

    sql = seconds_sql(f"{alias}.filled_at", f"{alias}.created_at")
    return Column("seconds_to_fill", took, sql, Kind.SUM)


def _done(name: str, value: str, nothing: str, one: str, *, is_money: bool = False) -> Column:
    """Return a column of what the executions come to; money where it is in the order's currency."""
    if is_money:
        one = f"CASE WHEN {_IN_ITS_CURRENCY} THEN {one} ELSE '' END"

    def come_to(it: Held) -> str:
        amount = getattr(it.done, value)
        return as_number(_in_its_currency(it.o, it.done, amount) if is_money else amount)

    return Column(name, come_to, _OF_ONE.format(nothing=nothing, one=one), Kind.NUMBER)


def _in_its_currency(order: Order, done: Executed, amount: str) -> str:
    """Return an amount where it is in the order's currency, which is that of the row; else unknown."""
    return amount if done.currency == order.currency or not order.currency else ""


COLUMNS = (
    Column("order_id", lambda it: str(it.o.pk), "o.id::text"),  # of none: see ``without_orders``
    ident("portfolio_order_id", "o.portfolio_order_id"),
    text("portfolio_order_status", "p.status"),
    ident("account_id", "o.account_id"),
    ident("allocation_id", "p.allocation_id"),
    text("portfolio_order_type", "p.type"),
    text("side", "o.side"),
    text("instrument_id", "o.instrument_id"),
    text("status", "o.status"),
    text("currency", "o.currency"),
    number("cash_amount", "o.cash_amount"),
    number("quantity", "o.quantity"),
    _done("executed_quantity", "quantity", _KNOWN_TO_BE_NOTHING, "x.quantity"),
    _done(
        "average_price",
        "average_price",
        "''",
        "CASE WHEN x.quantity = '' THEN '' ELSE x.price END",
        is_money=True,
    ),
    number("fee", "o.fee"),
    _done("tax", "tax", "''", "x.tax", is_money=True),
    moment("created_at", "o.created_at"),
    moment("processing_at", "o.processing_at"),
    moment("filled_at", "o.filled_at"),
    moment("cancelled_at", "o.cancelled_at"),
    Column(
        "settlement_date",
        lambda it: optional(it.done.settlement.last),
        _OF_ONE.format(nothing="''", one=day_sql("x.day")),
    ),
    text("cancellation_reason", "o.cancellation_reason"),
    to_fill("o"),
    moment("last_heard_at", "o.heard_at"),
    text("last_heard_via", "o.heard_via"),
    *TRACKED,
    text("client_reference", "o.client_reference"),
)


def row(
    order: Order,
    parent: PortfolioOrder | None,
    executions: Sequence[Execution],
    condition: Condition,
) -> Row:
    """Return one row; ``executions`` are all that we hold of the order, cancelled ones too."""
    return row_of(COLUMNS, Held(order, parent, executed(order, executions), condition))


def without_orders(row: PortfolioOrder) -> Row:
    """Return the row of a portfolio order that has no orders: what is its own, and nothing of an order."""
    own = {
        "portfolio_order_id": str(row.pk),
        "portfolio_order_status": row.status,
        "account_id": optional(row.account_id),
        "allocation_id": optional(row.allocation_id),
        "portfolio_order_type": row.type,
    }
    return tuple(own.get(column, "") for column in names(COLUMNS))


def missed(row: Tracked) -> int:
    """Return how many expected webhooks of an object never came."""
    words = expected(kind_of(row), row.status, was_processing=row.processing_at is not None)
    return len(words - set(row.announced.split()))
