"""The orders of a portfolio order on its page: all of them, or of a long list a page and the numbers of the whole."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from orders.admin.executions import with_executions
from orders.admin.others import OtherOrders
from orders.admin.sorting import by, by_life, by_number
from orders.executions import (
    Executed,
    Extent,
    Totals,
    cancelled_but_executed_together,
    executed,
    totals,
)
from orders.lifecycle import KNOWN_STATUSES
from orders.models import Execution, Order, PortfolioOrder
from orders.problems import OF_ORDERS
from orders.progress import Progress, progress, progress_of
from orders.timeline.long import MANY
from orders.timeline.notices import NAMED, Children

PAGE = 50  # orders
SORTS = {
    "status": by_life(),
    "instrument": by("instrument_id"),
    "side": by("side"),
    "amount": by_number("cash_amount"),
    "updated": by("updated_at"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The orders that a page shows, with the numbers of all; ``number`` is that of the page, from 1."""

    orders: Sequence[Any]
    progress: Progress | None
    totals: Totals
    children: Children
    extent: Extent = Extent.NOTHING  # of a cancelled one: how much was executed all the same
    number: int = 1
    others: OtherOrders | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all are shown."""
        return self.others is None

    @property
    def total(self) -> int:
        """The number of all orders."""
        return self.progress.total if self.progress else 0

    @property
    def first(self) -> int:
        """The place of the first that is shown."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """The place of the last that is shown."""
        return self.first + len(self.orders) - 1

    @property
    def previous(self) -> str:
        """The page before; "" where there is none."""
        return str(self.number - 1) if self.number > 1 else ""

    @property
    def next(self) -> str:
        """The page after; "" where there is none."""
        return str(self.number + 1) if self.last < self.total else ""


def shown(portfolio_order: PortfolioOrder, asked: str, sorted_by: str = "") -> Shown:
    """Return the orders to show; ``asked`` is the number of the page of a long list.

    ``sorted_by`` is one of ``SORTS``, with a minus the other way round; else the open ones come first.
    """
    of = Order.objects.filter(portfolio_order_id=portfolio_order.pk)
    rows = list(_in_order(of, sorted_by)[: MANY + 1])
    if len(rows) > MANY:
        return _page(portfolio_order, of, asked, sorted_by)
    return _all(portfolio_order, rows)


def _all(portfolio_order: PortfolioOrder, rows: list[Order]) -> Shown:
    orders = with_executions(rows)
    statuses = Counter(order.status for order in orders)
    doubtful = [order for order in orders if order.problems]
    return Shown(
        orders,
        progress((order.status, order.problems, 1, 0) for order in orders) if orders else None,
        totals(done := [(order, order.done) for order in orders]),
        Children(statuses, Counter(order.problems for order in doubtful), doubtful),
        cancelled_but_executed_together(portfolio_order.status, portfolio_order.problems, done),
    )


def _page(
    portfolio_order: PortfolioOrder, of: QuerySet[Order], asked: str, sorted_by: str
) -> Shown:
    portfolio_order_id, done = portfolio_order.pk, list(_done(portfolio_order.pk))
    found = progress_of([portfolio_order_id])[portfolio_order_id]
    pages = -(-found.total // PAGE)
    number = int(asked) if asked.isdecimal() and asked.isascii() and len(asked) < 10 else 1
    number = min(max(number, 1), pages)
    orders = with_executions(_in_order(of, sorted_by)[(number - 1) * PAGE : number * PAGE])
    rest = Counter(found.counts)
    rest.subtract(order.status for order in orders)
    return Shown(
        orders,
        found,
        totals(done),
        Children(found.counts, *_problems(of)),
        cancelled_but_executed_together(portfolio_order.status, portfolio_order.problems, done),
        number,
        OtherOrders(portfolio_order_id, [order.pk for order in orders], +rest),
    )


def _in_order(of: QuerySet[Order], sorted_by: str) -> QuerySet[Order]:
    """Return them as asked for; else the open ones, those with a problem, the others, the last that ended first."""
    name = sorted_by.removeprefix("-")
    if name in SORTS:
        return of.order_by(*SORTS[name].ordering(descending=name != sorted_by), "created_at", "pk")
    missed = Q(missing_since__lt=timezone.now() - settings.GAP_GRACE)
    ended = Q(status__in=[word for word in KNOWN_STATUSES if word not in {"NEW", "PROCESSING"}])
    place = Case(
        When(status="PROCESSING", then=Value(0)),
        When(status="NEW", then=Value(1)),
        When(~ended, then=Value(2)),
        When(missed | Q(problems__gt=0), then=Value(3)),
        When(status="CANCELLED", then=Value(4)),
        default=Value(5),
        output_field=IntegerField(),
    )
    end = Coalesce("filled_at", "cancelled_at")
    return of.order_by(place, end.desc(nulls_last=True), F("created_at").asc(nulls_last=True), "pk")


def _problems(of: QuerySet[Order]) -> tuple[dict[int, int], list[Order]]:
    """Return how many orders have each combination of problems, and some orders with each problem."""
    doubtful = of.filter(problems__gt=0)
    rows = doubtful.order_by().values_list("problems").annotate(Count("pk"))
    counts: dict[int, int] = dict(rows)
    named: dict[UUID, Order] = {}
    for problem in OF_ORDERS:
        if alike := [bits for bits in counts if bits & problem.bit]:
            few = doubtful.filter(problems__in=alike).order_by("created_at", "pk")
            named |= {order.pk: order for order in few[:NAMED]}
    return counts, list(named.values())


@dataclass(slots=True)
class _Order:
    pk: UUID
    status: str
    fact: str
    side: str
    currency: str
    cash_amount: str
    quantity: str
    fee: str


@dataclass(slots=True)
class _Trade:
    order_id: UUID
    status: str
    currency: str
    cash_amount: str
    share_quantity: str
    price: str
    tax: str
    settlement_date: date | None


def _done(portfolio_order_id: UUID) -> Iterator[tuple[_Order, Executed]]:
    """Yield every order with what its executions come to: sums are exact, so no database adds them up."""
    trades: dict[UUID, list[_Trade]] = defaultdict(list)
    traded = Execution.objects.filter(order__portfolio_order_id=portfolio_order_id).order_by()
    for row in traded.values_list(*_Trade.__slots__):
        trades[row[0]].append(_Trade(*row))
    rows = Order.objects.filter(portfolio_order_id=portfolio_order_id).order_by()
    for row in rows.values_list(*_Order.__slots__):
        order = _Order(*row)
        yield order, executed(order, trades[order.pk])
