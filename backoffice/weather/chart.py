"""The calls of the last hour as bars, one for each minute. Pure: widths in percent, heights in px."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from backoffice import bars
from backoffice.bars import Part
from backoffice.investment_api.weather import MINUTES, Minute

MINUTE = timedelta(minutes=1)
TOP, HEIGHT = 20, 110  # of the bars within the picture
SLOT = 96 / MINUTES  # percent: what is left at the right belongs to the scale
WIDTH = 1.2  # percent
LEAST = 2.0  # px: one call among thousands is still seen
LABELLED = 10  # minutes
# From below: what went well, what was too much, what went wrong.
PARTS = {
    "answered": ("answered",),
    "throttled": ("429",),
    "failed": ("4xx", "5xx", "gateway", "network"),
}


class Bar(bars.Bar):
    """The calls of one minute."""

    __slots__ = ()

    @property
    def told(self) -> str:
        """Result: "12 answered, 1 failed"."""
        return ", ".join(f"{n:,} {name}" for name, n in self.counts.items() if n) or "no request"


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of an hour, and the most calls that a minute had, at the height ``TOP``."""

    bars: tuple[Bar, ...]
    most: int
    top: int = TOP
    ground: int = TOP + HEIGHT
    width: float = WIDTH

    @property
    def names(self) -> list[str]:
        """The parts that occur, for the legend."""
        return [name for name in PARTS if any(bar.counts[name] for bar in self.bars)]

    @property
    def sentence(self) -> str:
        """The whole in words."""
        sums = {name: sum(bar.counts[name] for bar in self.bars) for name in self.names}
        parts = ", ".join(f"{n:,} {name}" for name, n in sums.items())
        return f"Requests of the last hour: {parts or 'none'}; at most {self.most:,} in a minute"


def chart(minutes: Iterable[Minute], *, now: datetime, zone: tzinfo) -> Chart:
    """Return a bar for each of the last 60 minutes."""
    last = now.astimezone(UTC).replace(second=0, microsecond=0)
    counted = {minute.begins: _sorted(minute.counts) for minute in minutes}
    none = dict.fromkeys(PARTS, 0)
    moments = [last - MINUTE * (MINUTES - 1 - number) for number in range(MINUTES)]
    counts = [counted.get(moment, none) for moment in moments]
    most = max(sum(each.values()) for each in counts)
    return Chart(
        tuple(
            _bar(moment.astimezone(zone), number, each, most)
            for number, (moment, each) in enumerate(zip(moments, counts, strict=True))
        ),
        most,
    )


def _sorted(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {
        name: sum(n for (_, outcome), n in counts.items() if outcome in outcomes)
        for name, outcomes in PARTS.items()
    }


def _bar(begins: datetime, number: int, counts: Mapping[str, int], most: int) -> Bar:
    parts, below = [], float(TOP + HEIGHT)
    for name, n in counts.items():
        if n:
            height = max(LEAST, round(HEIGHT * n / most, 1))
            below = round(below - height, 1)
            parts.append(Part(name, n, below, height))
    label = f"{begins:%H:%M}" if number % LABELLED == 0 else ""
    return Bar(begins, round(number * SLOT, 2), counts, tuple(parts), label)
