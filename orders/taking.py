"""What portfolio orders take from their orders, held against what they should take: the last step of a rebuild."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Q

from orders import from_orders, rows
from orders.executions import CANCELLED, FILLED
from orders.lifecycle import CANCELLED_EXECUTED
from orders.models import Order, PortfolioOrder
from orders.refold import Pair, Part, Spoilt
from orders.scratch import Corrected, Corrections

MAY_TAKE = Q(status=CANCELLED) | Q(is_fill_derived=True) | Q(status__in=FILLED, filled_at=None)


class Taking:
    """Compares what follows from orders: those of the tables, with what the journal corrects of them."""

    def __init__(self, corrections: Sequence[Corrections]) -> None:
        self._corrections = corrections

    def pairs(self, part: Part, spoilt: Spoilt) -> list[Pair]:
        """Return the portfolio orders of a part that take otherwise than they should."""
        corrected = {
            pk: it
            for file in self._corrections
            for pk, it in file.portfolio_orders(part.after, part.upto).items()
        }
        flagged = Q(problems__gt=0)  # and among them those with the bit: few either way
        query = PortfolioOrder.objects.filter(
            part.on("id"), MAY_TAKE | flagged | Q(pk__any_of=list(corrected))
        )
        takers = []
        for before in rows.held(PortfolioOrder, query):
            row = _alone(before, corrected.get(before.pk))
            if from_orders.takes(row) and not spoilt.has(before):
                takers.append((row, before))
        orders = self._orders_of([row.pk for row, _ in takers])
        for row, _ in takers:
            from_orders.take(row, orders[row.pk])
        return [
            (_with_taken(before, row), before)
            for row, before in takers
            if _taken(row) != _taken(before)
        ]

    def _orders_of(self, parents: Collection[UUID]) -> dict[UUID, list[Any]]:
        """Return the orders of portfolio orders, as they should be."""
        held = orders_of(parents)
        for file in self._corrections if parents else ():
            for pk, it in file.orders(held, parents).items():
                held[pk] = it
        found = defaultdict[UUID, list[Any]](list)
        for order in held.values():
            if order.portfolio_order_id:
                found[order.portfolio_order_id].append(order)
        return found


def orders_of(parents: Collection[UUID]) -> dict[UUID, Any]:
    """Return the orders of portfolio orders that are held, by id."""
    query = Order.objects.filter(portfolio_order__pk__any_of=list(parents))
    columns = "pk", "portfolio_order_id", "status", "problems", "filled_at"
    return {
        pk: Corrected(status, problems, filled_at, portfolio_order_id=parent)
        for pk, parent, status, problems, filled_at in query.values_list(*columns)
    }


def _alone(before: Any, corrected: Corrected | None) -> Any:
    """Return a portfolio order with what the journal says of it, and nothing else changed."""
    if corrected is None:
        return replace(before)
    problems = corrected.problems & ~CANCELLED_EXECUTED | before.problems & CANCELLED_EXECUTED
    row = replace(before, status=corrected.status, unreadable=corrected.unreadable)
    row.problems = problems
    row.filled_at, row.is_fill_derived = corrected.filled_at, False
    return row


def _taken(row: Any) -> tuple[Any, ...]:
    return row.filled_at, row.is_fill_derived, row.problems & CANCELLED_EXECUTED


def _with_taken(before: Any, row: Any) -> Any:
    problems = before.problems & ~CANCELLED_EXECUTED | row.problems & CANCELLED_EXECUTED
    told = {"filled_at": row.filled_at, "is_fill_derived": row.is_fill_derived}
    return replace(before, problems=problems, **told)
