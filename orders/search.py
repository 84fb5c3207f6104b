"""Find anything by a pasted id, the first characters of one, an ISIN or a client reference.

The term is classified first, so that each question is answered from an index; there is no search
for parts of words. Several questions are joined as a UNION of ids: with OR the database would read
the whole table.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from orders.models import Execution, JournalEntry, Order, Placement, PortfolioOrder

ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
HEX = re.compile(r"[0-9a-f]{6,32}")


@dataclass(frozen=True, slots=True)
class Id:
    """A whole id, of whatever it may be."""

    id: UUID
    text: str  # as typed, for a client reference may be any text


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """The first characters of an id: all ids from ``first`` to ``last``."""

    first: UUID
    last: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Isin:
    """An instrument."""

    isin: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The first characters of a client reference."""

    text: str


Term = Id | IdPrefix | Isin | Reference


def classify(text: str) -> Term | None:
    """Return what was pasted into the search box; None where it holds nothing."""
    text = text.strip().replace("\x00", "")
    digits = text.lower().replace("-", "")
    if not text:
        return None
    if ISIN.fullmatch(text.upper()):
        return Isin(text.upper())
    if not HEX.fullmatch(digits):
        return Reference(text)
    if len(digits) == 32:
        return Id(UUID(digits), text)
    return IdPrefix(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")), text)


def portfolio_orders(rows: QuerySet[PortfolioOrder], text: str) -> QuerySet[PortfolioOrder]:
    """Return those of ``rows`` that have what was pasted, or whose orders or events have it."""
    ids = PortfolioOrder.objects
    match classify(text):
        case Id(id=pk, text=typed):
            of_event = JournalEntry.objects.filter(event_id=pk)
            order_ids = of_event.filter(order_id__isnull=False).values("order_id")
            return _any(
                rows,
                [
                    ids.filter(Q(pk=pk)),
                    ids.filter(account_id=pk),
                    _referring(typed),
                    Order.objects.filter(pk=pk),
                    Order.objects.filter(pk__in=order_ids),
                    of_event,
                ],
            )
        case IdPrefix(first=first, last=last, text=typed):
            return _any(
                rows,
                [
                    ids.filter(pk__range=(first, last)),
                    ids.filter(account_id__range=(first, last)),
                    _referring(typed),
                    Order.objects.filter(pk__range=(first, last)),
                ],
            )
        case Isin(isin=isin):
            holding = Order.objects.filter(instrument_id=isin).order_by()
            return rows.filter(pk__in=holding.values("portfolio_order_id"))
        case Reference(text=typed):
            return _any(rows, [_referring(typed)])
    return rows


def orders(rows: QuerySet[Order], text: str) -> QuerySet[Order]:
    """Return those of ``rows`` that have what was pasted, or whose portfolio order or events have it."""
    ids = Order.objects
    match classify(text):
        case Id(id=pk, text=typed):
            return _any(
                rows,
                [
                    ids.filter(pk=pk),
                    ids.filter(account_id=pk),
                    ids.filter(portfolio_order_id=pk),
                    ids.filter(portfolio_order_id__in=_referring(typed).values("pk")),
                    Execution.objects.filter(pk=pk),
                    JournalEntry.objects.filter(event_id=pk),
                ],
            )
        case IdPrefix(first=first, last=last, text=typed):
            return _any(
                rows,
                [
                    ids.filter(pk__range=(first, last)),
                    ids.filter(account_id__range=(first, last)),
                    ids.filter(portfolio_order__gte=first, portfolio_order__lte=last),
                    ids.filter(portfolio_order_id__in=_referring(typed).values("pk")),
                ],
            )
        case Isin(isin=isin):
            return rows.filter(instrument_id=isin)
        case Reference(text=typed):
            return rows.filter(portfolio_order_id__in=_referring(typed).values("pk"))
    return rows


def entries(rows: QuerySet[JournalEntry], text: str) -> QuerySet[JournalEntry]:
    """Return those of ``rows`` that are the event pasted, repeat it, or are about what was pasted."""
    match classify(text):
        case Id() | IdPrefix() as term:
            columns = ("event_id", "repeat_of", "portfolio_order_id", "order_id")
            return _having(rows, columns, term)
        case Isin(isin=isin):
            holding = Order.objects.filter(instrument_id=isin).order_by()
            return rows.filter(order_id__in=holding.values("pk"))
        case Reference(text=typed):
            return rows.filter(portfolio_order_id__in=_referring(typed).values("pk"))
    return rows


def placements(rows: QuerySet[Placement], text: str) -> QuerySet[Placement]:
    """Return those of ``rows`` that have, or whose account or portfolio order has, the id pasted."""
    match classify(text):
        case Id() | IdPrefix() as term:
            return _having(rows, ("pk", "account_id", "portfolio_order_id"), term)
        case None:
            return rows
    return rows.none()  # a placement has no ISIN and no reference


def _referring(text: str) -> QuerySet[PortfolioOrder]:
    """Return the portfolio orders whose client reference starts with ``text``."""
    # The index leaves out rows without one; saying so here lets it serve.
    given = PortfolioOrder.objects.exclude(client_reference="")
    return given.filter(client_reference__startswith=text).order_by()


def _having(rows: QuerySet, columns: Sequence[str], term: Id | IdPrefix) -> QuerySet:
    """Return the rows that have an id, or one with these first characters, in one of these columns."""
    if isinstance(term, Id):
        wanted = [Q((column, term.id)) for column in columns]
    else:
        wanted = [Q((f"{column}__range", (term.first, term.last))) for column in columns]
    model: Any = rows.model
    return _any(rows, [model.objects.filter(question) for question in wanted])


def _any(rows: QuerySet, questions: Sequence[QuerySet]) -> QuerySet:
    """Return the rows that answer at least one question."""
    columns = {
        (PortfolioOrder, PortfolioOrder): "pk",
        (PortfolioOrder, Order): "portfolio_order_id",
        (PortfolioOrder, JournalEntry): "portfolio_order_id",
        (Order, Order): "pk",
        (Order, Execution): "order_id",
        (Order, JournalEntry): "order_id",
        (JournalEntry, JournalEntry): "pk",
        (Placement, Placement): "pk",
    }
    first, *rest = [
        question.order_by().values_list(columns[rows.model, question.model])
        for question in questions
    ]
    return rows.filter(pk__in=first.union(*rest))
