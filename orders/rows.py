"""Rows in memory, and what a reading makes of them. No database: a batch writes them, a rebuild compares them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import models

from orders import execution_rows, fills
from orders.executions import is_cancelled_in_vain
from orders.facts import Reading
from orders.fold import Fact, Listing, announce, fold, fold_listing, keep_list, link, settle
from orders.lifecycle import Kind
from orders.models import Execution, Order, PortfolioOrder
from orders.tracked import Tracked


class Rows:
    """Portfolio orders, orders and executions that facts are folded into."""

    def __init__(self) -> None:
        self.portfolio_orders: dict[UUID, PortfolioOrder] = {}
        self.orders: dict[UUID, Order] = {}
        self.executions: dict[UUID, dict[UUID, Execution]] = {}  # by order, by upstream's id
        self.touched: set[models.Model] = set()

    def hold(self, executions: Iterable[Execution]) -> None:
        """Take executions that are here."""
        for execution in executions:
            of_order = self.executions.setdefault(execution.order_id, {})
            of_order[execution.upstream_id] = execution

    def fold(self, reading: Reading) -> tuple[bool, list[Tracked]]:
        """Fold one reading; return whether state or a link of any row changed, and the rows it is about."""
        changed = False
        rows: list[Tracked] = []
        for fact in reading.facts:
            row = self._row_of(fact)
            if isinstance(row, Order):
                keep_list(row)
            changed |= fold(row, fact)
            self.touched.add(row)
            rows.append(self.orders[row.order_id] if isinstance(row, Execution) else row)
        for listing in reading.listings:
            if self._list(listing):
                changed = True
                rows.append(self.orders[listing.order_id])
        if reading.announced:
            announce(rows[0], reading.announced)
        for row in dict.fromkeys(rows):
            is_order = isinstance(row, Order)
            executions = [*self.executions.get(row.pk, {}).values()] if is_order else []
            changed |= settle(
                row,
                {execution.status for execution in executions},
                executions_are_readable=not any(it.unreadable for it in executions),
                is_executed_in_full=is_cancelled_in_vain(row, executions)
                if isinstance(row, Order)
                else None,
            )
            if isinstance(row, Order):
                changed |= link(row) | fills.derive(row, fills.of_order(row, executions))
            self.touched.add(row)
        return changed, rows

    def _list(self, listing: Listing) -> bool:
        """Fold a line of a list; return whether state or the link of its order changed."""
        order = self.orders[listing.order_id]
        keep_list(order)
        remembered = order.attribute_facts, order.listed_in
        changed = fold_listing(order, listing) | link(order, listing.portfolio_order_id)
        if remembered != (order.attribute_facts, order.listed_in):
            self.touched.add(order)
        return changed

    def _row_of(self, fact: Fact) -> Any:
        if fact.kind is Kind.PORTFOLIO_ORDER:
            return self.portfolio_orders[fact.id]
        if fact.kind is Kind.ORDER or fact.order_id is None:
            return self.orders[fact.id]
        executions = self.executions.setdefault(fact.order_id, {})
        if fact.id not in executions:
            executions[fact.id] = execution_rows.new(fact.order_id, fact.id)
        return executions[fact.id]
