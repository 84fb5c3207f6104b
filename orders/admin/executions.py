"""Orders with their executions, and what they come to, for the pages and the list: one query, however many."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from orders.executions import executed
from orders.models import Execution, Order


def with_executions(rows: Iterable[Order]) -> list[Any]:
    """Return orders with ``trades``, their executions in the order of time, and ``done``, what these come to."""
    orders: list[Any] = list(rows)
    trades: dict[UUID, list[Execution]] = defaultdict(list)
    traded = Execution.objects.filter(order__in=[order.pk for order in orders])
    for execution in traded.order_by("transaction_time", "pk"):
        trades[execution.order_id].append(execution)
    for order in orders:
        order.trades = trades[order.pk]
        order.done = executed(order, order.trades)
    return orders
