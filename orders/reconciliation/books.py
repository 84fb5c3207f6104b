"""What we hold of the objects that a reconciliation compares: read anew for each part of it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from orders import projection
from orders.lifecycle import OPEN_STATUSES, SETTLING, Kind, is_final
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.reconciliation.compare import Told, listings_of
from orders.reconciliation.models import Reconciliation
from orders.rows import Rows


def held(answers: Sequence[Told]) -> Rows:
    """Return what we hold of the objects that answers are about, and of the orders of portfolio orders."""
    named = {answer.pk for answer in answers}
    listed = {listing.order_id for listing in listings_of(answers)}
    rows = Rows()
    for portfolio_order in PortfolioOrder.objects.filter(pk__any_of=list(named)):
        rows.portfolio_orders[portfolio_order.pk] = portfolio_order
    parents = list(rows.portfolio_orders)
    rows.orders = {it.pk: it for it in Order.objects.filter(pk__any_of=list(named | listed))}
    for order in Order.objects.filter(portfolio_order__pk__any_of=parents):
        rows.orders.setdefault(order.pk, order)
    asked = [pk for pk in named if pk in rows.orders]  # of the others no executions are told
    rows.hold(Execution.objects.filter(order__pk__any_of=asked))
    return rows


def apply_waiting(answers: Sequence[Told], *, now: datetime) -> None:
    """Apply what is already in the journal about these objects: we know it, though it is not folded yet."""
    orders = {answer.pk for answer in answers} | {it.order_id for it in listings_of(answers)}
    portfolio_orders = [answer.pk for answer in answers]
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING).order_by("pk")
    if not pending.exists():
        return
    about = Q(order_id__any_of=list(orders)) | Q(portfolio_order_id__any_of=portfolio_orders)
    apply(list(pending.filter(about).values_list("pk", flat=True)), now=now)


def apply(entries: Sequence[int], *, now: datetime) -> None:
    """Apply entries at once, however many."""
    for start in range(0, len(entries), projection.BATCH):
        projection.drain(now=now, only=entries[start : start + projection.BATCH])


def by_portfolio_order(rows: Rows) -> dict[UUID, set[UUID]]:
    """Return the orders among these by portfolio order."""
    found: dict[UUID, set[UUID]] = {}
    for pk, order in rows.orders.items():
        if order.portfolio_order_id:
            found.setdefault(order.portfolio_order_id, set()).add(pk)
    return found


def unsettled(answers: Sequence[Told]) -> set[UUID]:
    """Return the orders with an execution that has not settled here, of portfolio orders that have ended there.

    A list of orders does not tell of executions, and where the portfolio order has ended nobody
    asks about its orders any more.
    """
    ids = [listing.order_id for listing in listings_of(it for it in answers if _has_ended(it))]
    open_ones = Execution.objects.unsettled().filter(order__pk__any_of=ids)
    return set(open_ones.values_list("order_id", flat=True))


def _has_ended(answer: Told) -> bool:
    return any(is_final(Kind.PORTFOLIO_ORDER, it.status) for it in answer.reading.facts[:1])


def placed(run: Reconciliation) -> QuerySet[PortfolioOrder]:
    """Return the portfolio orders here that upstream's list for this reconciliation should have."""
    rows: QuerySet[PortfolioOrder] = PortfolioOrder.objects.filter(created_at__lt=run.until)
    if run.since:
        rows = rows.filter(created_at__gte=run.since)
    return rows.filter(account_id=run.account_id) if run.account_id else rows


def orders_of_account(run: Reconciliation) -> QuerySet[Order]:
    """Return the orders here of the account of this reconciliation."""
    own = Q(account_id=run.account_id) | Q(portfolio_order__account_id=run.account_id)
    return Order.objects.filter(own).filter(Q(created_at=None) | Q(created_at__lt=run.until))


def open_portfolio_orders(run: Reconciliation) -> QuerySet[PortfolioOrder]:
    """Return the portfolio orders here that are open or unsettled; all, or those placed before ``until``.

    Whatever else there is to learn of has a next check.
    """
    is_open = Q(status__in=[*OPEN_STATUSES, SETTLING]) | Q(check_after__isnull=False)
    rows = PortfolioOrder.objects.filter(is_open)
    return rows.filter(Q(created_at=None) | Q(created_at__lt=run.until)) if run.until else rows


def open_orders() -> QuerySet[Order]:
    """Return the open orders here whose portfolio order nobody told us of: the others come with it."""
    known = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
    return Order.objects.filter(~Exists(known), check_after__isnull=False)
