"""The lifecycle chart of an order: one lane for each object, its parts in percent of the track. Pure.

Source: ux.md, section 6a.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

from orders.axis import Scale, Stretch, scale_of
from orders.lifecycle import KNOWN_STATUSES, Kind
from orders.lives import End, Life, life_of
from orders.seen import Subject
from orders.ticks import DayLabel, FoldLabel, Tick, day_labels, fold_labels, ticks, zone_in_words
from orders.timeline import Item

LEAST_WIDTH = 0.5  # of a bar: so short a stage must still be seen
DENSE = 16  # more lanes are drawn lower
MANY = 60  # of more, only those worth a look are shown at once
SLOWEST = 20
OPEN_FIRST = ("PROCESSING", "NEW")
NEVER = datetime.max.replace(tzinfo=UTC)


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
        return Legend(
            stages=_in_order(bar.status for lane in lanes for bar in lane.bars),
            ends=_in_order(
                [mark.status for lane in lanes for mark in lane.marks]
                + [tail.status for lane in lanes for tail in lane.tails]
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


def chart(
    subjects: Sequence[Subject],
    items: Iterable[Item],
    *,
    now: datetime,
    zone: tzinfo,
    late_after: timedelta,
    quiet_since: datetime | None = None,
) -> Chart | None:
    """Return the chart of ``subjects``, the first of which the page is about; None if nobody told any time.

    ``items`` are their history in time's order. ``quiet_since`` is the last news of a stale order.
    """
    head, *lives = _lives(subjects, items, now, late_after)
    moments = [moment for life in (head, *lives) for moment in life.moments]
    if not moments:
        return None
    shows_now = quiet_since is not None or any(life.is_open for life in (head, *lives))
    shown_now = now if shows_now else None
    news = [] if quiet_since is None else [max(quiet_since, min(moments))]
    scale = scale_of([*moments, *news, now] if shows_now else moments)
    found = ticks(scale, moments, zone=zone, now=shown_now)
    first, more = (
        [_lane(life, scale, quiet_since) for life in part]
        for part in split(sorted(lives, key=_waterfall))
    )
    return Chart(
        scale=scale,
        zone=zone,
        ticks=found,
        days=day_labels(found, scale, zone=zone, now=shown_now),
        head=_lane(head, scale, quiet_since),
        lanes=first,
        more=more,
        now_x=scale.x(now) if shows_now else None,
        quiet_since=quiet_since,
    )


def _in_order(statuses: Iterable[str]) -> Sequence[str]:
    """Return each status once, in the order of a life, those we do not know last."""
    found = set(statuses)
    known = [status for status in KNOWN_STATUSES if status in found]
    return known + sorted(found.difference(known))


def split(lives: Sequence[Life]) -> tuple[Sequence[Life], Sequence[Life]]:
    """Part a long list into what is worth a look (open, with a problem, slowest) and the rest."""
    if len(lives) <= MANY:
        return lives, ()
    ended = [life for life in lives if not (life.is_open or life.is_problem)]
    by_time = sorted(ended, key=lambda life: life.took or timedelta(), reverse=True)
    rest = {life.subject.id for life in by_time[SLOWEST:]}
    return (
        [life for life in lives if life.subject.id not in rest],
        [life for life in lives if life.subject.id in rest],
    )


def _lives(
    subjects: Sequence[Subject], items: Iterable[Item], now: datetime, late_after: timedelta
) -> list[Life]:
    about: dict[tuple[Kind, UUID], list[Item]] = defaultdict(list)
    for item in items:
        about[item.subject.kind, item.subject.id].append(item)
    return [
        life_of(subject, about[subject.kind, subject.id], now=now, late_after=late_after)
        for subject in subjects
    ]


def _waterfall(life: Life) -> tuple[object, ...]:
    """Return what lanes are sorted by: open ones first, then by their end."""
    placed = life.started_at or NEVER
    if life.is_open:
        known = life.subject.status in OPEN_FIRST
        place = OPEN_FIRST.index(life.subject.status) if known else len(OPEN_FIRST)
        return 0, place, placed, life.subject.id
    return 1, life.ended_at or NEVER, placed, life.subject.id


def _lane(life: Life, scale: Scale, quiet_since: datetime | None) -> Lane:
    return Lane(
        life=life,
        bars=tuple(
            _bar(stage.status, scale.x(stage.start), scale.x(stage.end)) for stage in life.stages
        ),
        tails=tuple(_tails(life, scale)),
        marks=tuple(_mark(end, scale) for end in life.ends),
        quiet=_quiet(life, scale, quiet_since),
    )


def _bar(status: str, start: float, end: float) -> Bar:
    width = max(end - start, LEAST_WIDTH)
    return Bar(status, round(min(start, 100 - width), 2), round(width, 2))


def _tails(life: Life, scale: Scale) -> Iterator[Bar]:
    starts = [(end.status, scale.x(end.at)) for end in life.ends]
    if life.is_final and not starts and life.stages:  # nobody told when it ended
        starts = [(life.subject.status, scale.x(life.stages[-1].end) + LEAST_WIDTH)]
    nexts = [x for _, x in starts[1:]] + [100.0]
    for (status, x), end in zip(starts, nexts, strict=False):  # without starts there is no tail
        if end - x >= LEAST_WIDTH:
            yield _bar(status, x, end)


def _mark(end: End, scale: Scale) -> Mark:
    learned_x = round(scale.x(end.learned_at), 2) if end.learned_at else None
    return Mark(end.status, round(scale.x(end.at), 2), learned_x, end.source)


def _quiet(life: Life, scale: Scale, quiet_since: datetime | None) -> Bar | None:
    if quiet_since is None or life.is_final or life.started_at is None:
        return None
    return _bar("", scale.x(max(quiet_since, life.started_at)), scale.x(life.now))
