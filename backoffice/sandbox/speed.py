"""How long things take in the sandbox."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self


def now_utc() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Speed:
    """The longest time each step of an order takes; the shortest is half of it."""

    accept: timedelta
    """From placed to the first orders at the venue."""
    fill: timedelta
    """From an order at the venue to its end."""
    settle: timedelta
    """From filled to settled."""
    waits: float = 1.0
    """What the delays and repeat waits of deliveries are divided by."""

    @classmethod
    def demo(cls) -> Self:
        """Return a life of about half a minute, slow enough to watch."""
        return cls(timedelta(seconds=3), timedelta(seconds=8), timedelta(seconds=30), waits=4)

    @classmethod
    def fast(cls) -> Self:
        """Return a life of about two seconds, for runs under load."""
        return cls(
            timedelta(milliseconds=300), timedelta(seconds=1), timedelta(seconds=1), waits=10
        )

    @classmethod
    def live(cls) -> Self:
        """Return the pace of the live environment with an open venue: settled after a day or two."""
        return cls(timedelta(seconds=10), timedelta(minutes=5), timedelta(days=2))
