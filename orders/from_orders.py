"""What a portfolio order takes from its orders: when it was filled, and whether it was cancelled in vain. Pure.

No fact of its own tells these; they follow from all of its orders, however these came to be known.
"""

from collections.abc import Sequence
from typing import Protocol

from orders import fills
from orders.executions import CANCELLED, is_executed
from orders.lifecycle import CANCELLED_EXECUTED


class OrderRow(fills.FilledRow, Protocol):
    """What is needed of an order; the columns of ``orders.models.Order``."""

    problems: int


class PortfolioOrderRow(fills.FilledRow, Protocol):
    """What is needed of a portfolio order; the columns of ``orders.models.PortfolioOrder``."""

    problems: int


def takes(row: PortfolioOrderRow) -> bool:
    """Return whether anything of a portfolio order follows from its orders, or did before."""
    may_be_flagged = row.status == CANCELLED or bool(row.problems & CANCELLED_EXECUTED)
    return may_be_flagged or fills.wants_fill(row)


def take(row: PortfolioOrderRow, orders: Sequence[OrderRow]) -> bool:
    """Set what follows from ``orders``, which are all that are known; return whether it changed."""
    changed = fills.derive(row, fills.of_portfolio_order(row, orders))
    bit = CANCELLED_EXECUTED if is_cancelled_in_vain(row, orders) else 0
    problems = row.problems & ~CANCELLED_EXECUTED | bit
    changed |= problems != row.problems
    row.problems = problems
    return changed


def is_cancelled_in_vain(row: PortfolioOrderRow, orders: Sequence[OrderRow]) -> bool:
    """Return whether a portfolio order is cancelled, and all of its orders were executed in full all the same.

    Unknown, and so no problem, while it has no orders here or its list of them could not be read.
    """
    is_whole = bool(orders) and "orders" not in row.unreadable.split()
    return (
        row.status == CANCELLED
        and is_whole
        and all(is_executed(it.status, it.problems) for it in orders)
    )
