"""How much may be placed, and from which amount on a second person is needed. Pure.

Portfolio orders are placed by amount alone, so an amount in its currency is all there is to limit.
"""

from collections.abc import Mapping
from decimal import Decimal

from orders.placing.wish import InvalidWishError


class OverLimitError(InvalidWishError):
    """More than the desk places at once; ``problems`` names the amount, ``limit`` says what the limit is."""

    def __init__(self, limit: str) -> None:
        self.limit = f"The limit for one portfolio order is {limit}."
        super().__init__(self.told("ask an administrator to raise the limit"))

    def told(self, other_way: str) -> dict[str, str]:
        """Return the problem with what can be done other than to enter less."""
        return {"cash_amount": f"{self.limit} Enter a smaller amount, or {other_way}."}


def check_limit(cash_amount: str, currency: str, limits: Mapping[str, Decimal]) -> None:
    """Raise OverLimitError for more than the limit of its currency. The limit itself may be placed."""
    limit = limits.get(currency)
    if limit is not None and Decimal(cash_amount) > limit:
        raise OverLimitError(f"{limit:,f} {currency}")


def needs_approval(
    cash_amount: str, currency: str, *, always: bool, above: Mapping[str, Decimal]
) -> bool:
    """Return whether a second person has to approve it: everything, or what is above a threshold."""
    threshold = above.get(currency)
    return always or (threshold is not None and Decimal(cash_amount) > threshold)
