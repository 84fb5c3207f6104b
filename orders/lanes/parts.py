"""What a lifecycle chart is made of, with positions in percent of the track. Pure.

Source: ux.md, section 6a.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from orders.lanes.axis import Scale, Stretch
from orders.lanes.lives import Life
from orders.lanes.others import Others
from orders.lanes.ticks import DayLabel, FoldLabel, Tick, fold_labels, zone_in_words
from orders.lifecycle import KNOWN_STATUSES, OPEN_STATUSES

DENSE = 16  # more lanes are drawn lower


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of a lane, or the tail after its end in the colour of that end."""

    status: str
    x: float
    width: float

    @property
    def end(self) -> float:
        """Its right edge."""
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a lane; ``learned_x`` is where we learned it, None where that was in time."""

    status: str
    x: float
    learned_x: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One object's row of the chart; ``quiet`` is the time without news in a stale order."""

    life: Life
    bars: tuple[Bar, ...]
    tails: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    quiet: Bar | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """What occurs in a chart: statuses of bars and of ends, and where we learned late."""

    stages: Sequence[str]
    ends: Sequence[str]
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart of a page: ``head`` is what the page is about, ``lanes`` its orders.

    ``more`` are the orders of a long list that went well; ``now_x`` is None where nothing is open.
    ``others`` are the orders of a list so long that it is shown page by page.
    """

    scale: Scale
    zone: tzinfo
    ticks: Sequence[Tick]
    days: Sequence[DayLabel]
    head: Lane
    lanes: Sequence[Lane]
    more: Sequence[Lane]
    now_x: float | None
    quiet_since: datetime | None
    others: Others | None = None

    @property
    def is_dense(self) -> bool:
        """Whether there are so many lanes that they are drawn lower."""
        return len(self.lanes) + len(self.more) > DENSE

    @property
    def folds(self) -> tuple[Stretch, ...]:
        """The silences that are folded."""
        return self.scale.folds

    @property
    def fold_labels(self) -> Sequence[FoldLabel]:
        """What stands above the folds."""
        return fold_labels(self.scale)

    @property
    def legend(self) -> Legend:
        """What is to be explained beside the chart."""
        lanes = list(self.all_lanes)
        in_crowd = {layer.status for layer in (self.others.layers if self.others else ())}
        return Legend(
            stages=_in_order(
                [bar.status for lane in lanes for bar in lane.bars]
                + [status for status in in_crowd if status in OPEN_STATUSES]
            ),
            ends=_in_order(
                [mark.status for lane in lanes for mark in lane.marks]
                + [tail.status for lane in lanes for tail in lane.tails]
                + [status for status in in_crowd if status not in OPEN_STATUSES]
            ),
            sources=sorted({mark.source for lane in lanes for mark in lane.marks} - {""}),
        )

    @property
    def zone_in_words(self) -> str:
        """The display zone with its offset."""
        return zone_in_words(self.zone, self.scale)

    @property
    def all_lanes(self) -> Iterator[Lane]:
        """Every lane, from top to bottom."""
        yield self.head
        yield from self.lanes
        yield from self.more


def _in_order(statuses: Iterable[str]) -> Sequence[str]:
    """Return each status once, in the order of a life, those we do not know last."""
    found = set(statuses)
    known = [status for status in KNOWN_STATUSES if status in found]
    return known + sorted(found.difference(known))
