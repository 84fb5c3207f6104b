"""Portfolio orders placed per hour, as the geometry of bars. Pure: widths in percent, heights in px."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from backoffice import bars
from backoffice.bars import Part

HOUR = timedelta(hours=1)
HOURS = 24
TOP, HEIGHT = 20, 180  # of the bars within the picture, in px
SLOT = 96 / HOURS  # percent: what is left at the right belongs to the scale
WIDTH = 3.2  # percent
GAP = 2  # px between the parts of a bar
LEAST = 2  # px: one order among thousands is still seen
LABELLED = 4  # hours
# From below: what has ended well, what has ended, what is under way.
PARTS = {"filled": ("FILLED", "SETTLED"), "cancelled": ("CANCELLED",)}
WORDS = {"filled": "filled", "cancelled": "cancelled", "open": "open"}


class Bar(bars.Bar):
    """The orders placed in one hour."""

    __slots__ = ()

    @property
    def ends(self) -> datetime:
        """When the hour is over."""
        return (self.begins.astimezone(UTC) + HOUR).astimezone(self.begins.tzinfo)

    @property
    def title(self) -> str:
        """The whole in words: "09:00 to 10:00: 12 placed, 11 filled, 1 open"."""
        parts = "".join(f", {n} {WORDS[name]}" for name, n in self.counts.items() if n)
        hours = f"{self.begins:%H:%M} to {self.ends:%H:%M}"
        return f"{hours}: {self.total or 'none'} placed{parts}"


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of a day, with the lines of the scale as (y, number)."""

    bars: tuple[Bar, ...]
    scale: tuple[tuple[float, int], ...]
    top: int = TOP
    ground: int = TOP + HEIGHT

    @property
    def total(self) -> int:
        """The number of orders."""
        return sum(bar.total for bar in self.bars)

    @property
    def begins(self) -> datetime:
        """The beginning of the first hour."""
        return self.bars[0].begins

    @property
    def ends(self) -> datetime:
        """The end of the last hour."""
        return self.bars[-1].ends

    @property
    def sums(self) -> dict[str, int]:
        """The number of orders of each part that occurs."""
        return {name: sum(bar.counts[name] for bar in self.bars) for name in self.names}

    @property
    def names(self) -> list[str]:
        """The parts that occur, for the legend."""
        return [name for name in WORDS if any(bar.counts[name] for bar in self.bars)]

    @property
    def sentence(self) -> str:
        """The whole in words."""
        parts = "".join(f", {n} {WORDS[name]}" for name, n in self.sums.items())
        return f"{self.total or 'None'} placed in 24 hours{parts}"


def chart(placed: Mapping[tuple[datetime, str], int], *, now: datetime, zone: tzinfo) -> Chart:
    """Return a bar for each of the last 24 hours; ``placed`` counts by the hour, in UTC, and status."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - HOUR * (HOURS - 1 - number) for number in range(HOURS)]
    counts = [_counts(placed, hour) for hour in hours]
    most = max(sum(each.values()) for each in counts)
    bars = tuple(
        _bar(hour.astimezone(zone), number, each, most)
        for number, (hour, each) in enumerate(zip(hours, counts, strict=True))
    )
    lines = [most, most // 2] if most > 1 else [most] if most else []
    return Chart(bars, tuple((TOP + HEIGHT - _height(n, most), n) for n in lines))


def _counts(placed: Mapping[tuple[datetime, str], int], hour: datetime) -> dict[str, int]:
    of_hour = {status: n for (begins, status), n in placed.items() if begins == hour}
    ended = {name: sum(of_hour.get(status, 0) for status in words) for name, words in PARTS.items()}
    return {**ended, "open": sum(of_hour.values()) - sum(ended.values())}


def _bar(begins: datetime, number: int, counts: Mapping[str, int], most: int) -> Bar:
    parts, below = [], float(TOP + HEIGHT)
    for name, n in counts.items():
        if n:
            full = _height(n, most)
            drawn = max(full - GAP, LEAST)
            parts.append(Part(name, n, round(below - drawn, 1), round(drawn, 1)))
            below -= max(full, LEAST + GAP)
    label = f"{begins:%H:%M}" if number % LABELLED == 0 else ""
    return Bar(begins, round(number * SLOT, 2), counts, tuple(parts), label)


def _height(n: int, most: int) -> float:
    return round(HEIGHT * n / most, 1)
