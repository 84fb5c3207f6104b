"""What somebody should know who is about to place: the same was placed lately, or the account is new here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from orders.models import Order, Placement, PlacementState, PortfolioOrder
from orders.placing.wish import Wish

LATELY = timedelta(hours=24)
MOST = 500  # rows of one account that are compared: amounts are text, so no index finds the same
NOTHING_PLACED = (PlacementState.REFUSED, PlacementState.DECLINED, PlacementState.NOT_PLACED)


@dataclass(frozen=True, slots=True)
class Precedent:
    """The same account, side and amount within a day; ``placement`` or ``portfolio_order`` says what it is."""

    at: datetime
    state: str  # of the placement, or the status of the portfolio order
    by: str = ""  # who submitted the placement
    placement_id: UUID | None = None
    portfolio_order_id: UUID | None = None


def precedents(wish: Wish | Placement, *, key: UUID, now: datetime) -> Sequence[Precedent]:
    """Return what is like ``wish`` and was placed within a day, the newest first: two queries.

    By the desk, except the placement ``key`` itself, or by anybody else. What the broker refused
    or nobody placed does not count.
    """
    ours = list(_of_desk(wish, key, now - LATELY))
    known = {it.portfolio_order_id for it in ours}
    others = [it for it in _of_others(wish, now - LATELY) if it.portfolio_order_id not in known]
    return sorted([*ours, *others], key=lambda it: it.at, reverse=True)


def newest_of(found: Sequence[Precedent]) -> str:
    """Return what tells whether another has been added since; "" where there is none."""
    return found[0].at.isoformat() if found else ""


def is_known(account_id: UUID) -> bool:
    """Whether the desk has an order of this account, or has placed one for it."""
    return (
        PortfolioOrder.objects.filter(account_id=account_id).exists()
        or Order.objects.filter(account_id=account_id).exists()
        or Placement.objects.filter(account_id=account_id, state=PlacementState.ACCEPTED).exists()
    )


def _of_desk(wish: Wish | Placement, key: UUID, since: datetime) -> Iterator[Precedent]:
    rows = Placement.objects.filter(
        account_id=wish.account_id,
        side=wish.side,
        currency=wish.currency,
        submitted_at__gte=since,
    )
    rows = rows.exclude(pk=key).exclude(state__in=NOTHING_PLACED).defer("body", "problem")
    for row in rows[:MOST]:
        if _same(row.cash_amount, wish.cash_amount):
            yield Precedent(
                at=row.submitted_at,
                state=row.state,
                by=row.submitted_by,
                placement_id=row.pk,
                portfolio_order_id=row.portfolio_order_id,
            )


def _of_others(wish: Wish | Placement, since: datetime) -> Iterator[Precedent]:
    rows = PortfolioOrder.objects.filter(
        account_id=wish.account_id, type=wish.side, currency=wish.currency, created_at__gte=since
    )
    for pk, amount, status, at in rows.values_list("pk", "cash_amount", "status", "created_at")[
        :MOST
    ]:
        if _same(amount, wish.cash_amount):
            yield Precedent(at=at, state=status, portfolio_order_id=pk)


def _same(amount: str, other: str) -> bool:
    try:
        return Decimal(amount) == Decimal(other)
    except InvalidOperation:  # upstream may write what is no number
        return False
