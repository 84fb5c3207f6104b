"""Which orders a file is about, read in batches from one snapshot of the database: memory stays flat."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from orders.models import Order, PortfolioOrder

BATCH = 100  # portfolio orders, with all their orders
BATCH_OF_ORDERS = 1000


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the orders of a file, in the file's order.

    ``portfolio_orders`` by id; where ``is_whole`` is False they are there for their columns alone.
    """

    portfolio_orders: dict[UUID, PortfolioOrder]
    orders: list[Order]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Portfolio orders with all their orders, then single orders."""

    portfolio_orders: QuerySet[PortfolioOrder]
    orders: QuerySet[Order]

    @classmethod
    def everything(
        cls, *, since: datetime | None = None, until: datetime | None = None
    ) -> "Selection":
        """Return all that was placed from ``since`` until before ``until``, with the whole of its history.

        The moment that counts is ``created_at`` of the portfolio order; of an order whose portfolio
        order is not known, its own. So files of adjoining times share and miss nothing.
        """
        known = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
        placed: dict[str, datetime] = {}
        if since:
            placed["created_at__gte"] = since
        if until:
            placed["created_at__lt"] = until
        return cls(
            PortfolioOrder.objects.filter(**placed),
            Order.objects.filter(~Exists(known), **placed),
        )

    @classmethod
    def of(cls, portfolio_orders: QuerySet[PortfolioOrder]) -> "Selection":
        """Return portfolio orders with all their orders."""
        return cls(portfolio_orders, Order.objects.none())

    @classmethod
    def of_orders(cls, orders: QuerySet[Order]) -> "Selection":
        """Return single orders, whether or not their portfolio orders are known."""
        return cls(PortfolioOrder.objects.none(), orders)

    def batches(self) -> Iterator[Batch]:
        """Yield all batches, the portfolio orders by id, then the single orders by id."""
        for rows in _in_batches(self.portfolio_orders, BATCH):
            known = {row.pk: row for row in rows}
            orders = Order.objects.filter(portfolio_order__in=list(known))
            yield Batch(known, list(orders.order_by("portfolio_order_id", "pk")), is_whole=True)
        for single in _in_batches(self.orders, BATCH_OF_ORDERS):
            parents = {order.portfolio_order_id for order in single}
            yield Batch(PortfolioOrder.objects.in_bulk(parents - {None}), single, is_whole=False)


def _in_batches(rows: QuerySet[Any], size: int) -> Iterator[list[Any]]:
    """Yield rows by id, each batch starting after the last: no cursor is held, nothing is counted."""
    rows, last = rows.order_by("pk"), None
    while batch := list((rows.filter(pk__gt=last) if last else rows)[:size]):
        yield batch
        last = batch[-1].pk
