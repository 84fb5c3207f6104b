"""Rows in memory, and what a reading makes of them. A batch writes them, a rebuild compares them.

They are light: the columns of a model without its machinery, which costs more than all of the
folding. Where few are held, in a reconciliation, the models serve as well: both have ``kind``.
"""

from collections.abc import Collection, Iterable
from dataclasses import field, make_dataclass
from typing import Any
from uuid import UUID, uuid5

from django.db import models

from orders import fills
from orders.executions import is_cancelled_in_vain
from orders.facts import Reading
from orders.fold import (
    Fact,
    Listing,
    announce,
    fold,
    fold_listing,
    keep_list,
    link,
    settle,
    wanted,
)
from orders.lifecycle import Kind
from orders.models import Execution, Order, PortfolioOrder

SHARED = UUID(
    "6b1d2c0e-7a57-4c39-8f54-3e0c9b0a1d77"
)  # namespace of the ids of executions that are shared


def _light(model: type[models.Model]) -> Any:
    """Return a class with the columns of a model, in their order, and ``is_new``: no table has it yet."""
    columns = model._meta.concrete_fields  # noqa: SLF001
    given = {
        "kind": model.kind,  # type: ignore[attr-defined]
        "pk": property(lambda row: row.id),
        "upstream_id": property(lambda row: row.execution_id or row.id),
        "__str__": lambda row: str(row.upstream_id if row.kind is Kind.EXECUTION else row.id),
    }
    fields = [(it.attname, Any, field(default=it.get_default())) for it in columns]
    is_new = ("is_new", bool, field(default=False, kw_only=True))
    return make_dataclass(
        f"{model.__name__}Row", [*fields, is_new], namespace=given, eq=False, slots=True
    )


LIGHT: dict[type[models.Model], Any] = {it: _light(it) for it in (PortfolioOrder, Order, Execution)}


def new(model: type[models.Model], pk: UUID) -> Any:
    """Return a blank row that no table has yet."""
    return LIGHT[model](pk, is_new=True)


def new_execution(order_id: UUID, upstream_id: UUID) -> Any:
    """Return a blank row of an execution that an order has not reported before."""
    row = new(Execution, uuid5(SHARED, f"{order_id} {upstream_id}"))
    row.execution_id, row.order_id = upstream_id, order_id
    return row


def held(model: type[models.Model], rows: models.QuerySet) -> list[Any]:
    """Return the rows of a query, light."""
    names = [it.attname for it in model._meta.concrete_fields]  # noqa: SLF001
    light = LIGHT[model]
    return [light(*values) for values in rows.values_list(*names)]


class Rows:
    """Portfolio orders, orders and executions that facts are folded into."""

    def __init__(self) -> None:
        self.portfolio_orders: dict[UUID, Any] = {}
        self.orders: dict[UUID, Any] = {}
        self.executions: dict[UUID, dict[UUID, Any]] = {}  # by order, by upstream's id
        self.touched: set[Any] = set()

    def hold(self, executions: Iterable[Any]) -> None:
        """Take executions that are here."""
        for execution in executions:
            of_order = self.executions.setdefault(execution.order_id, {})
            of_order[execution.upstream_id] = execution

    def wants(
        self, kind: Kind, pk: UUID, order_id: UUID | None, key: str
    ) -> Collection[str] | None:
        """Return which attributes of a fact may change the row that it is about; None: all."""
        if order_id:
            row = self.executions.get(order_id, {}).get(pk)
        else:
            row = (self.portfolio_orders if kind is Kind.PORTFOLIO_ORDER else self.orders).get(pk)
        return wanted(kind, row, key) if row is not None else None

    def fold(self, reading: Reading) -> tuple[bool, list[Any]]:
        """Fold one reading; return whether state or a link of any row changed, and the rows it is about."""
        changed, rows = self.tell(reading)
        for row in dict.fromkeys(rows):
            changed |= self.settle(row)
        return changed, rows

    def tell(self, reading: Reading) -> tuple[bool, list[Any]]:
        """Do the first half of ``fold``: what the reading says of each row by itself."""
        changed = False
        rows: list[Any] = []
        for fact in reading.facts:
            row = self._row_of(fact)
            if fact.kind is Kind.ORDER:
                keep_list(row)
            changed |= fold(row, fact)
            self.touched.add(row)
            rows.append(self.orders[row.order_id] if fact.kind is Kind.EXECUTION else row)
        for listing in reading.listings:
            if self._list(listing):
                changed = True
                rows.append(self.orders[listing.order_id])
        if reading.announced:
            announce(rows[0], reading.announced)
        return changed, rows

    def settle(self, row: Any) -> bool:
        """Do the second half of ``fold``: what of a row follows from all of its facts together, and once from all."""
        is_order = row.kind is Kind.ORDER
        executions = [*self.executions.get(row.pk, {}).values()] if is_order else []
        changed = settle(
            row,
            {execution.status for execution in executions},
            executions_are_readable=not any(it.unreadable for it in executions),
            is_executed_in_full=is_cancelled_in_vain(row, executions) if is_order else None,
        )
        if is_order:
            changed |= link(row) | fills.derive(row, fills.of_order(row, executions))
        self.touched.add(row)
        return changed

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
            executions[fact.id] = new_execution(fact.order_id, fact.id)
        return executions[fact.id]
