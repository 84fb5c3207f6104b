"""Whether an amount is far above what is usual for an account: a slip of the keyboard adds zeros."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from django.db.models import QuerySet

from backoffice.moments import newest_first
from orders.models import Placement, PortfolioOrder
from orders.placing.wish import Wish

TIMES = 10  # the largest of the last orders
MOST = 50  # orders that are looked at


@dataclass(frozen=True, slots=True)
class Unusual:
    """An amount at least ``TIMES`` the ``largest`` of the last ``count`` orders."""

    largest: str
    count: int
    is_of_account: bool  # else of all accounts: this one has none like it


def unusual(wish: Wish | Placement) -> Unusual | None:
    """Return what makes an amount stand out from the account's last orders of its side and currency.

    An account that has none is compared with the newest orders of all. Two queries at most, each
    of ``MOST`` rows.
    """
    rows = PortfolioOrder.objects.order_by(newest_first("created_at"), "-id")
    account = _amounts(rows.filter(account_id=wish.account_id), wish)
    amounts = account or _amounts(rows, wish)
    if not is_far_above(wish.cash_amount, amounts):
        return None
    return Unusual(f"{max(amounts):f}", len(amounts), bool(account))


def is_far_above(cash_amount: str, amounts: Iterable[Decimal]) -> bool:
    """Return whether an amount is ``TIMES`` the largest of others or more; never without others."""
    largest = max(amounts, default=None)
    return largest is not None and largest > 0 and Decimal(cash_amount) >= TIMES * largest


def _amounts(rows: QuerySet[PortfolioOrder], wish: Wish | Placement) -> list[Decimal]:
    """Return the amounts of the newest of these that are like the wish and were not cancelled."""
    columns = ("cash_amount", "currency", "type", "status")
    found = []
    for text, currency, side, status in rows.values_list(*columns)[:MOST]:
        if (currency, side) == (wish.currency, wish.side) and status != "CANCELLED":
            try:
                found.append(Decimal(text))
            except InvalidOperation:  # upstream may write what is no number
                continue
    return [amount for amount in found if amount.is_finite()]
