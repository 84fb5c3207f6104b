"""What staff see and do: lists, pages and buttons. Doors only: each step is one call of another module."""

from orders.admin import journal, orders, portfolio_orders

__all__ = ["journal", "orders", "portfolio_orders"]
