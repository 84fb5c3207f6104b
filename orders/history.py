"""The history of stored orders: the queries behind ``orders.timeline``, always the same number of them."""

from orders.models import Order, PortfolioOrder
from orders.timeline import Timeline


def history_of(portfolio_order: PortfolioOrder) -> Timeline:
    """Return the history of a portfolio order and of its orders."""
    raise NotImplementedError


def history_of_order(order: Order) -> Timeline:
    """Return the history of one order."""
    raise NotImplementedError
