"""What will become of an order, drawn from a seed before its life begins.

Everything random is decided here, at placement: the same seed and the same placements give the
same objects, amounts and steps, however the clock is moved and whoever asks in between.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from itertools import cycle
from random import Random
from uuid import UUID

from .amounts import split
from .speed import Speed

PRICES = {
    "IE00B3XXRP09": 11505,
    "DE0005933931": 16822,
    "IE00B5M1WJ87": 10000,
    "IE00B4L5Y983": 9874,
    "IE00BKM4GZ66": 3341,
    "LU0274208692": 10219,
    "IE00B1XNHC34": 722,
    "DE0007164600": 21480,
    "US0378331005": 19655,
    "US5949181045": 41203,
    "IE00B0M62Q58": 6517,
    "LU1681043599": 51236,
    "IE00B4L5YC18": 3988,
    "DE0008404005": 29730,
}
"""Instruments of the market and what one share costs, in cents."""

PARTLY_FILLED = "IE00BF2GFH28"
"""Upstream's mock instrument whose orders are filled in part and then cancelled."""

PARTLY_FILLED_PRICE = 5013

FEES = ("0.0", "0.0", "0.5")
"""What an order costs, as upstream writes it."""

CAPITAL_GAINS_TAX = Fraction(26375, 100_000)

_REFUSALS = {"SELL": "SELL_LIMIT_EXCEEDED", "BUY": "ACCOUNT_IS_EMPTY"}


def seeded(*parts: object) -> Random:
    """Return the random numbers that ``parts`` decide, the same in every process."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - repeatable on purpose, guards nothing


def identifier(rng: Random) -> str:
    """Return a random UUID (version 4) that the seed decides."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def drawn(rng: Random, longest: timedelta) -> timedelta:
    """Return between half of ``longest`` and ``longest``, in whole milliseconds."""
    milliseconds = longest // timedelta(milliseconds=1)
    return timedelta(milliseconds=rng.randint(milliseconds // 2, max(milliseconds, 1)))


def tax_on(cents: int, gain: int) -> int:
    """Return the tax in cents on the proceeds of a sale of which ``gain`` percent are profit."""
    return int(cents * Fraction(gain, 100) * CAPITAL_GAINS_TAX)


@dataclass(frozen=True, slots=True)
class Part:
    """An execution to come: so many cents, taxed with ``tax`` cents, so long after the step before it."""

    id: str
    cents: int
    after: timedelta
    tax: int


@dataclass(frozen=True, slots=True)
class OrderFate:
    """What becomes of one order. ``cancelled`` is the reason, or "" if it fills."""

    id: str
    instrument_id: str
    price: int
    side: str
    cents: int
    starts: timedelta
    parts: tuple[Part, ...]
    ends: timedelta
    cancelled: str
    settles: timedelta
    heeds_cancel: bool
    """Whether the trading partner still honours a cancellation once it has the order."""
    fee: str
    """What upstream takes for an order that fills."""
    mistrade: bool
    """Whether its executions are cancelled where others settle."""


@dataclass(frozen=True, slots=True)
class PortfolioOrderFate:
    """What becomes of a portfolio order. ``cancelled`` is the reason of a refusal, or ""."""

    accepts: timedelta
    cancelled: str
    orders: tuple[OrderFate, ...]
    settles: timedelta


def order_fate(
    rng: Random, speed: Speed, *, side: str, cents: int, instrument_id: str, oddities: float
) -> OrderFate:
    """Draw the life of one order; one in thirty or so is cancelled, times ``oddities``."""
    cancelled = ""
    if instrument_id == PARTLY_FILLED:
        cancelled = "CANCELLED_BY_TRADING_PARTNER"
    elif rng.random() < 0.03 * oddities:
        cancelled = "CANCELLED_BY_UPVEST_PLATFORM"
    amounts = split(cents, 2, rng) if cents > 1 and rng.random() < 0.4 else (cents,)
    if instrument_id == PARTLY_FILLED:
        amounts = split(cents, 2, rng)[:1] if cents > 1 else ()
    elif cancelled:
        amounts = ()
    price = PRICES.get(instrument_id, PARTLY_FILLED_PRICE)
    own_id = identifier(rng)
    # Drawn apart: what an order costs changes nothing else of the lives that a seed gives.
    aside = seeded(own_id, "fee, taxes and mistrade")
    gain = aside.randint(0, 30) if side == "SELL" else 0
    return OrderFate(
        id=own_id,
        instrument_id=instrument_id,
        price=max(1, price * rng.randint(97, 103) // 100),
        side=side,
        cents=cents,
        starts=drawn(rng, speed.accept / 3),
        parts=tuple(
            Part(identifier(rng), part, drawn(rng, speed.fill / 3), tax_on(part, gain))
            for part in amounts
        ),
        ends=drawn(rng, speed.fill / 3),
        cancelled=cancelled,
        settles=drawn(rng, speed.settle),
        heeds_cancel=rng.random() < 0.5,
        fee=aside.choice(FEES),
        mistrade=aside.random() < 0.01 * oddities,
    )


def portfolio_order_fate(
    rng: Random,
    speed: Speed,
    *,
    own_id: str,
    kind: str,
    cents: int,
    oddities: float,
    at_least: int = 1,
) -> PortfolioOrderFate:
    """Draw the life of one portfolio order with up to 12 orders.

    ``oddities`` multiplies the odds of what seldom happens (refusals, cancelled orders, partial
    fills, mistrades, equal ids); 0 gives the ordinary life only.
    """
    refused = rng.random() < 0.07 * oddities
    count = min(cents, rng.randint(at_least, 12))
    orders = _order_fates(rng, speed, kind=kind, cents=cents, count=count, oddities=oddities)
    if rng.random() < 0.05 * oddities:
        # Ids are unique within a kind only: upstream's own guide has an order with its parent's id.
        orders[0] = replace(orders[0], id=own_id)
    return PortfolioOrderFate(
        accepts=drawn(rng, speed.accept * 2 / 3),
        cancelled=_REFUSALS.get(kind, "PORTFOLIO_IS_BALANCED") if refused else "",
        orders=tuple(orders),
        settles=drawn(rng, speed.settle),
    )


def _order_fates(
    rng: Random, speed: Speed, *, kind: str, cents: int, count: int, oddities: float
) -> list[OrderFate]:
    instruments = rng.sample(sorted(PRICES), count)
    if rng.random() < 0.06 * oddities:
        instruments[-1] = PARTLY_FILLED
    sides = ["SELL", "BUY"] if kind == "REBALANCING" else [kind]
    return [
        order_fate(rng, speed, side=side, cents=share, instrument_id=isin, oddities=oddities)
        for isin, share, side in zip(
            instruments, split(cents, count, rng), cycle(sides), strict=False
        )
    ]
