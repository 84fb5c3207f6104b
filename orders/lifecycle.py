"""The life of an order: ranks of statuses, what to expect, how long to wait. Pure.

Source of every rule: the model's sections 2 (ranks), 4 (expected webhooks) and 5 (pace, due).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What kind of upstream object something is about; ids are unique per kind only."""

    PORTFOLIO_ORDER = "PORTFOLIO_ORDER"
    ORDER = "ORDER"
    EXECUTION = "EXECUTION"


ORDER_RANK = {"NEW": 1, "PROCESSING": 2, "FILLED": 3, "CANCELLED": 3, "SETTLED": 4}
EXECUTION_RANK = {"FILLED": 1, "SETTLED": 2, "CANCELLED": 3}  # a mistrade is the last word
RANKS: Mapping[Kind, Mapping[str, int]] = {
    Kind.PORTFOLIO_ORDER: ORDER_RANK,
    Kind.ORDER: ORDER_RANK,
    Kind.EXECUTION: EXECUTION_RANK,
}

KNOWN_STATUSES = tuple(ORDER_RANK)
OPEN_STATUSES = ("NEW", "PROCESSING")
SETTLING = "FILLED"  # of a portfolio order: traded, not settled
MAY_SETTLE = frozenset({"FILLED", "CANCELLED"})  # what was cancelled may be filled in part

CONFLICT = 1  # filled and cancelled were both reported
UNKNOWN_STATUS = 2  # a word that this release does not know was reported
MISTRADE = 4  # an execution was cancelled after the order was filled
NOT_FOUND = 8  # upstream answered 404 to the last ask
UNREADABLE_ATTRIBUTE = 16  # of the newest report of it, or of one of its executions
CANCELLED_EXECUTED = 32  # cancelled, and yet all that was ordered was executed

DOUBT = timedelta(seconds=60)  # first wait where what we hold is known to be incomplete
RESTS = 4  # longest waits between asks about what may rest for days: 24 h with 6 h
MOST_OWED = 10  # asks in a row about an ended order whose executions have not settled


def rank(kind: Kind, status: str) -> int:
    """Return how far ``status`` counts; 0 for a word we do not know: it displaces none we do."""
    return RANKS[kind].get(status, 0)


def is_final(kind: Kind, status: str) -> bool:
    """Return whether no further status can follow: a settled or cancelled portfolio order, an ended order."""
    if kind is Kind.PORTFOLIO_ORDER:
        return status in {"SETTLED", "CANCELLED"}
    return status in {"FILLED", "CANCELLED", "SETTLED"}


def expected(kind: Kind, status: str, *, was_processing: bool) -> frozenset[str]:
    """Return the words whose webhooks must have come for an object that is in ``status``."""
    words = {
        "NEW": ("NEW",),
        "PROCESSING": ("NEW", "PROCESSING"),
        "FILLED": ("NEW", "PROCESSING", "FILLED"),
        "SETTLED": ("NEW", "PROCESSING", "FILLED", "SETTLED"),
        "CANCELLED": ("NEW", "PROCESSING", "CANCELLED") if was_processing else ("NEW", "CANCELLED"),
    }.get(status, ())
    if kind is not Kind.PORTFOLIO_ORDER:
        words = tuple(word for word in words if word != "SETTLED")
    return frozenset(words)


def jitter(pk: UUID) -> float:
    """Return a factor from 0.8 to 1.2 that is always the same for one id: spreads asks, repeats in tests."""
    return 0.8 + 0.4 * (pk.int % 1000) / 999


def next_check(
    *,
    kind: Kind,
    pk: UUID,
    status: str,
    now: datetime,
    checks: int,
    doubtful: bool,
    resting: bool,
    owed: bool = False,
    first: timedelta,
    longest: timedelta,
) -> datetime | None:
    """Return when to ask upstream next about one object; None when there is nothing left to learn.

    ``checks`` is how often it was asked since the last news; the wait doubles with each, from
    ``first`` (a minute where what we hold is ``doubtful``: a conflict, an order that is only named
    or known from its parent's list alone, an unknown parent) up to ``longest``. What may rest for
    days (settling, LIMIT and STOP orders) is asked every fourth ``longest``: once a day. So is, in
    the end, what is doubtful and rests or has ended: upstream may never tell which word counts.

    ``owed``: upstream has not told that each execution has settled. What has ended is asked for that
    too, as what settles; where the portfolio order has settled, as what is open; ``MOST_OWED`` times.
    """
    if is_final(kind, status) and not doubtful and (not owed or checks >= MOST_OWED):
        return None
    may_rest = status in MAY_SETTLE or resting
    if may_rest and not doubtful:
        return now + RESTS * longest * jitter(pk)
    wait = min(DOUBT, first) if doubtful else first
    most = RESTS * longest if doubtful and (may_rest or is_final(kind, status)) else longest
    grown: timedelta = wait * 2 ** min(checks, 20)
    return now + min(grown, most) * jitter(pk)
