"""How much of the budget background work may use: throttling halves it, quiet time gives it back bit by bit. Pure.

Halving at once and coming back by additions is how several clients of one limit, none of which
knows the others or the limit, come to share it.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

REST = (
    5.0  # seconds without background work after a 429; another 429 meanwhile is of the same burst
)
EVERY = 5.0  # seconds without a 429 until the next addition
_ADDITIONS = 60  # from nothing to everything at most: five minutes, however large the budget


@dataclass(frozen=True, slots=True)
class Share:
    """``size`` of ``full`` requests in a window from ``since`` on, none before, and more later.

    Moments are seconds of one clock, which one is left to the caller.
    """

    full: int
    size: int
    since: float

    @classmethod
    def whole(cls, full: int) -> Self:
        """Return the share while nobody was throttled."""
        return cls(full, full, -math.inf)

    @property
    def addition(self) -> int:
        """How much comes back at a time."""
        return addition(self.full)

    def at(self, now: float) -> int:
        """Return how many requests in a window may be used up; 0 during the rest after a 429."""
        if now < self.since:
            return 0
        if self.size >= self.full:
            return self.full
        return min(self.full, self.size + int((now - self.since) // EVERY) * self.addition)

    def throttled(self, now: float, wait: float) -> Self:
        """Return the share after a 429 that asked for ``wait`` seconds: half of it, at least one.

        Halved once for a burst: the answers that were under way say nothing new.
        """
        if now < self.since:
            return replace(self, since=max(self.since, now + wait))
        return replace(self, size=max(1, self.at(now) // 2), since=now + max(wait, REST))


def addition(full: int) -> int:
    """Return how much of ``full`` comes back at a time."""
    return -(-full // _ADDITIONS)
