"""Arithmetic on upstream's amounts: texts in, texts out, exact, never a float or an exponent. Pure.

An amount that is not known makes the result unknown (""), never a guess.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

# Amounts have up to 90 digits: their products, added up, stay far below this many.
EXACT = Context(prec=1000, rounding=ROUND_HALF_EVEN)
FINER = 4  # decimals of an average beyond those of the prices


def total(amounts: Sequence[str]) -> str:
    """Return the exact sum, with as many decimals as the finest amount; a single one as it was written."""
    if not amounts or not all(amounts):
        return ""
    if len(amounts) == 1:
        return amounts[0]
    with localcontext(EXACT):
        return f"{sum(map(Decimal, amounts)):f}"


def less(amount: str, other: str) -> str:
    """Return what is left of ``amount`` after ``other``; "" where more was taken than there was."""
    if not (amount and other):
        return ""
    with localcontext(EXACT):
        left = Decimal(amount) - Decimal(other)
        return "" if left < 0 else f"{left:f}"


def is_above_zero(amount: str) -> bool:
    """Return whether an amount is known, and more than nothing."""
    return bool(amount) and Decimal(amount) > 0


def is_less(amount: str, other: str) -> bool:
    """Return whether ``amount`` is known to be less than ``other``: as numbers, so that 2.50 equals 2.5."""
    return bool(amount and other) and Decimal(amount) < Decimal(other)


def is_equal(amount: str, other: str) -> bool:
    """Return whether two amounts are known and the same number: 2.50 equals 2.5."""
    return bool(amount and other) and Decimal(amount) == Decimal(other)


def average_price(quantities: Sequence[str], prices: Sequence[str]) -> str:
    """Return the average of ``prices`` weighted by ``quantities``.

    Executions at one price have that price, as it was written with the most digits. Others are averaged exactly, then
    rounded half to even, to four decimals more than the finest price has.
    """
    if not prices or not all(prices) or not all(quantities):
        return ""
    if len({Decimal(price) for price in prices}) == 1:
        return max(prices, key=lambda price: (len(price), price))
    with localcontext(EXACT):
        shares = [Decimal(quantity) for quantity in quantities]
        if not (whole := sum(shares)):
            return ""
        value = sum(share * Decimal(price) for share, price in zip(shares, prices, strict=True))
        decimals = FINER + max(len(price.partition(".")[2]) for price in prices)
        return f"{(value / whole).quantize(Decimal(1).scaleb(-decimals)):f}"
