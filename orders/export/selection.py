"""Which orders a file is about, read in batches from one snapshot of the database: memory stays flat."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import groupby, islice, repeat
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet

from orders.export.table import SIZES, in_batches, walk, within
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.timeline.long import LONG, MANY

BATCH = 100  # portfolio orders, known or not, with all their orders
BATCH_OF_ORDERS = 1000
ORDERS_EACH = 5  # of a portfolio order, more or less
OF_KNOWN = "orders_portfolioorder p LEFT JOIN orders_order o ON o.portfolio_order_id = p.id"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the orders of a file, in the file's order: by portfolio order, then by id.

    ``portfolio_orders`` by id, each with all its orders; ``others`` are those of single orders,
    there for their columns alone. ``is_long`` is one whose orders are too many, or which has too
    many entries: they are read in parts.
    """

    portfolio_orders: dict[UUID, PortfolioOrder]
    orders: list[Order]
    others: dict[UUID, PortfolioOrder] = field(default_factory=dict)
    is_long: bool = False

    @property
    def parents(self) -> dict[UUID, PortfolioOrder]:
        """Return the portfolio orders of the orders, by id; those that are known here."""
        return self.portfolio_orders | self.others

    def parts(self) -> Iterator["Batch"]:
        """Yield it with its orders, of a long one so many at once."""
        if not self.is_long:
            yield self
            return
        of = Order.objects.filter(portfolio_order__in=list(self.portfolio_orders))
        for orders in in_batches(of, BATCH_OF_ORDERS):
            yield Batch(self.portfolio_orders, orders)


class Part(NamedTuple):
    """Some of the orders of a file, in its order, as conditions of SQL; or one portfolio order that is ``long``.

    ``known``: on portfolio order ``p``, with all its orders; ``single``: on order ``o``, which may have none.
    """

    known: str = ""
    single: str = ""
    is_alone: bool = False
    long: UUID | None = None

    def tables(self, joins: str) -> str:
        """Return "FROM ... ORDER BY ..." with an order ``o`` and its portfolio order ``p`` where it is known."""
        if not self.single:
            return f"FROM {OF_KNOWN} {joins} WHERE {self.known} ORDER BY p.id, o.id"
        keys = f"SELECT o.portfolio_order_id AS story, o.id FROM orders_order o WHERE {self.single}"
        if self.known:
            keys += f" UNION ALL SELECT p.id, o.id FROM {OF_KNOWN} WHERE {self.known}"
        return (
            f"FROM ({keys}) k LEFT JOIN orders_order o ON o.id = k.id "
            f"LEFT JOIN orders_portfolioorder p ON p.id = k.story {joins} ORDER BY k.story, k.id"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Portfolio orders with all their orders, and single orders."""

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
        """Yield all batches by the id of the portfolio order, known or not; at the end orders without one."""
        known = ((row.pk, row) for rows in in_batches(self.portfolio_orders, BATCH) for row in rows)
        single = ((pk, None) for pk in self._parents_of_single_orders())
        both = merge(known, single, key=lambda pair: pair[0])
        while chunk := list(islice(both, BATCH)):
            long = _long([pk for pk, row in chunk if row])
            for is_long, group in groupby(chunk, key=lambda pair: pair[0] in long):
                if is_long:
                    yield from (Batch({pk: row}, [], is_long=True) for pk, row in group if row)
                else:
                    yield self._batch(dict(group))
        for orders in in_batches(self.orders.filter(portfolio_order=None), BATCH_OF_ORDERS):
            yield Batch({}, orders)

    def parts(self, sizes: Sequence[int] = SIZES, *, long_apart: bool = False) -> Iterator[Part]:
        """Yield the same rows in the same order as conditions of SQL; ``long_apart``: what is long by itself."""
        keys = self._keys(sizes)
        number = 0
        while chunk := list(islice(keys, sizes[min(number, len(sizes) - 1)])):
            number += 1
            long = _long([pk for pk, is_known in chunk if is_known]) if long_apart else set()
            for is_long, group in groupby(chunk, key=lambda pair: pair[0] in long):
                pairs = list(group)
                if is_long:
                    yield from (Part(long=pk) for pk, _ in pairs)
                else:
                    yield self._part(pairs)
        alone = self.orders.filter(portfolio_order=None)
        for ids in walk(alone, "id", [it * ORDERS_EACH for it in sizes]):
            yield Part(single=within("o", alone, ids[0], ids[-1]), is_alone=True)

    def _keys(self, sizes: Sequence[int]) -> Iterator[tuple[UUID, bool]]:
        """Yield the ids of portfolio orders in their order, and whether all of their orders are selected.

        Single orders are looked for range by range: among all it would take long to find that there is none.
        """
        last: UUID | None = None
        for ids in walk(self.portfolio_orders, "id", sizes):
            single = self._parents_of_single_orders(after=last, upto=ids[-1])
            yield from merge(zip(ids, repeat(True)), zip(single, repeat(False)))
            last = ids[-1]
        yield from zip(self._parents_of_single_orders(after=last), repeat(False))

    def _part(self, pairs: Sequence[tuple[UUID, bool]]) -> Part:
        first, last = pairs[0][0], pairs[-1][0]
        has_known = any(is_known for _, is_known in pairs)
        has_single = not all(is_known for _, is_known in pairs)
        by_parent = "portfolio_order_id"
        return Part(
            known=within("p", self.portfolio_orders, first, last) if has_known else "",
            single=within("o", self.orders, first, last, by_parent) if has_single else "",
        )

    def batch_of(self, parents: Collection[UUID]) -> Batch:
        """Return these of its portfolio orders, with the single orders of those that are not selected."""
        known = self.portfolio_orders.in_bulk(list(parents))
        return self._batch({pk: known.get(pk) for pk in parents})

    def _batch(self, parents: dict[UUID, PortfolioOrder | None]) -> Batch:
        """Return portfolio orders with all their orders; with the single ones where there is None."""
        whole = {pk: row for pk, row in parents.items() if row}
        rest = list(parents.keys() - whole.keys())
        orders = [*Order.objects.filter(portfolio_order__in=list(whole))]
        if rest:
            orders += self.orders.filter(portfolio_order__in=rest)
        orders.sort(key=lambda order: (order.portfolio_order_id, order.pk))
        return Batch(whole, orders, PortfolioOrder.objects.in_bulk(rest) if rest else {})

    def _parents_of_single_orders(
        self, *, after: UUID | None = None, upto: UUID | None = None
    ) -> Iterator[UUID]:
        """Yield the ids of the portfolio orders of single orders, each once."""
        rows = self.orders.order_by("portfolio_order_id").values_list(
            "portfolio_order_id", flat=True
        )
        rows, last = rows.exclude(portfolio_order=None).distinct(), after
        if upto:
            rows = rows.filter(portfolio_order__lte=upto)
        while ids := list((rows.filter(portfolio_order__gt=last) if last else rows)[:BATCH]):
            yield from ids
            last = ids[-1]


def _long(ids: Sequence[UUID]) -> set[UUID]:
    """Return the portfolio orders of too many orders, or of too many entries of their own; ``ids`` are sorted."""
    if not ids:
        return set()
    between = {"portfolio_order_id__gte": ids[0], "portfolio_order_id__lte": ids[-1]}
    orders = Order.objects.filter(**between).order_by()
    entries = JournalEntry.objects.filter(**between).order_by()
    found: set[UUID] = set()
    for rows_of, most in ((orders, MANY), (entries, LONG)):
        of: QuerySet[Any] = rows_of
        counted = of.values("portfolio_order_id").annotate(n=Count("pk")).filter(n__gt=most)
        found |= set(counted.values_list("portfolio_order_id", flat=True))
    return found.intersection(ids)
