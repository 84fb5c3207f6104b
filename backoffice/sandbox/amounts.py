"""Money and shares in whole numbers, so that no digit is lost and parts add up exactly."""

from random import Random


def cents(amount: str) -> int:
    """Return how many whole cents the decimal text ``amount`` holds; digits beyond are not traded."""
    whole, _, fraction = amount.partition(".")
    return int(whole or "0") * 100 + int((fraction + "00")[:2])


def money(amount: int) -> str:
    """Return ``amount`` cents as upstream writes money: two decimals."""
    return f"{amount // 100}.{amount % 100:02d}"


def shares(amount: int, price: int) -> int:
    """Return what ``amount`` cents buy at ``price`` cents, in units of ten decimal places."""
    return (amount * 10**10 + price // 2) // price


def quantity(units: int) -> str:
    """Return a number of shares (in units of ten decimal places) without idle zeros."""
    whole, fraction = divmod(units, 10**10)
    return f"{whole}.{fraction:010d}".rstrip("0").rstrip(".")


def split(amount: int, parts: int, rng: Random) -> tuple[int, ...]:
    """Return ``parts`` amounts of at least one cent that add up to ``amount`` cents."""
    weights = [rng.randint(50, 150) for _ in range(parts)]
    spare = amount - parts
    shared = [1 + spare * weight // sum(weights) for weight in weights]
    shared[-1] += amount - sum(shared)
    return tuple(shared)
