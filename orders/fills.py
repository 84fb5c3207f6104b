"""When an order was filled where the broker did not say: from its executions, or from its orders. Pure.

A time that was told always stands. One that is derived is replaced as soon as the broker tells its
own, and follows the executions until then: ``is_fill_derived`` tells the two apart.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from orders.amounts import is_above_zero, is_less, total
from orders.fold import told_filled_at
from orders.lifecycle import Kind, is_final

FILLED = frozenset({"FILLED", "SETTLED"})


class Trade(Protocol):
    """What is needed of an execution; the columns of ``orders.models.Execution``."""

    status: str
    share_quantity: str
    transaction_time: datetime | None


class FilledRow(Protocol):
    """What is needed of an order or a portfolio order; the columns of ``orders.tracked.Tracked``."""

    status: str
    unreadable: str
    filled_at: datetime | None
    is_fill_derived: bool


class EndedRow(Protocol):
    """What is needed to tell how long it took."""

    status: str
    created_at: datetime | None
    filled_at: datetime | None
    cancelled_at: datetime | None


class OrderRow(FilledRow, Protocol):
    """What is needed of an order beside that."""

    quantity: str


def of_order(order: OrderRow, executions: Iterable[Trade]) -> datetime | None:
    """Return the time of the last execution that counts; None if unknown, or if the order is not filled.

    Unknown as well while the executions that are known come to less than was ordered: one is missing.
    """
    counting = [it for it in executions if it.status != "CANCELLED"]
    quantity = total([it.share_quantity for it in counting])
    is_incomplete = is_above_zero(order.quantity) and is_less(quantity, order.quantity)
    if order.status not in FILLED or is_incomplete:
        return None
    return _last([it.transaction_time for it in counting])


def of_portfolio_order(portfolio_order: FilledRow, orders: Sequence[FilledRow]) -> datetime | None:
    """Return when the last of its orders was filled; None if unknown, or if it is not filled itself.

    Unknown while one of them is open or filled at an unknown time, or its list could not be read.
    """
    is_whole = "orders" not in portfolio_order.unreadable.split()
    have_ended = all(is_final(Kind.ORDER, order.status) for order in orders)
    if portfolio_order.status not in FILLED or not (is_whole and have_ended):
        return None
    return _last([order.filled_at for order in orders if order.status in FILLED])


def ended_at(row: EndedRow) -> datetime | None:
    """Return when an order ended: filled or cancelled, whichever was first; None if unknown."""
    return min((moment for moment in (row.filled_at, row.cancelled_at) if moment), default=None)


def took(kind: Kind, row: EndedRow, *, now: datetime) -> timedelta | None:
    """Return how long an order took from its placement to its end, or has been open; None if unknown."""
    has_ended = is_final(kind, row.status) or row.status in FILLED
    until = ended_at(row) if has_ended else now
    return until - row.created_at if until and row.created_at else None


def wants_fill(row: FilledRow) -> bool:
    """Return whether its fill time is derived, or could be: it is filled, and nobody told when."""
    return row.is_fill_derived or (row.status in FILLED and row.filled_at is None)


def derive(row: FilledRow, derived: datetime | None) -> bool:
    """Set a derived fill time, or clear the one that no longer follows; return whether it changed.

    A time that was told stays as it is.
    """
    if told_filled_at(row):
        return False
    changed = row.filled_at != derived
    row.filled_at, row.is_fill_derived = derived, derived is not None
    return changed


def _last(moments: Sequence[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment]
    return max(known) if known and len(known) == len(moments) else None
