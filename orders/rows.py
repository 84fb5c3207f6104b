"""Rows in memory, and what a reading makes of them. No database: a batch writes them, a rebuild compares them."""

from typing import Any
from uuid import UUID

from django.db import models

from orders.facts import Reading
from orders.fold import Fact, announce, fold, fold_listing, link, settle
from orders.lifecycle import Kind
from orders.models import Execution, Order, PortfolioOrder
from orders.tracked import Tracked


class Rows:
    """Portfolio orders, orders and executions that facts are folded into."""

    def __init__(self) -> None:
        self.portfolio_orders: dict[UUID, PortfolioOrder] = {}
        self.orders: dict[UUID, Order] = {}
        self.executions: dict[UUID, dict[UUID, Execution]] = {}  # by order
        self.touched: set[models.Model] = set()

    def fold(self, reading: Reading) -> tuple[bool, list[Tracked]]:
        """Fold one reading; return whether state or a link of any row changed, and the rows it is about."""
        changed = False
        rows: list[Tracked] = []
        for fact in reading.facts:
            row = self._row_of(fact)
            changed |= fold(row, fact)
            self.touched.add(row)
            rows.append(self.orders[row.order_id] if isinstance(row, Execution) else row)
        for listing in reading.listings:
            order = self.orders[listing.order_id]
            if fold_listing(order, listing) | link(order, listing.portfolio_order_id):
                changed = True
                rows.append(order)
        if reading.announced:
            announce(rows[0], reading.announced)
        for row in dict.fromkeys(rows):
            statuses = {execution.status for execution in self.executions.get(row.pk, {}).values()}
            changed |= settle(row, statuses if isinstance(row, Order) else set())
            if isinstance(row, Order):
                changed |= link(row)
            self.touched.add(row)
        return changed, rows

    def _row_of(self, fact: Fact) -> Any:
        if fact.kind is Kind.PORTFOLIO_ORDER:
            return self.portfolio_orders[fact.id]
        if fact.kind is Kind.ORDER or fact.order_id is None:
            return self.orders[fact.id]
        executions = self.executions.setdefault(fact.order_id, {})
        return executions.setdefault(fact.id, Execution(id=fact.id, order_id=fact.order_id))
