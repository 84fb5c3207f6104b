"""Ticks and day labels of a time axis, in the display zone, also over a change of its clocks. Pure.

Source: ux.md, section 6a.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from orders.lanes.axis import Scale, Stretch

SECOND = timedelta(seconds=1)
STEPS = (
    *(n * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * 60 * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * 3600 * SECOND for n in (1, 2, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 2, 7, 14, 28, 91, 364)),
)
APART = 100 * 84 / 640  # percent: 84 px on a track of 640 px
APART_NARROW = 100 * 84 / 450
NEAR_NOW = 9.0  # percent: no tick so close to "now"
NEAR_NOW_NARROW = 100 * 60 / 450
APART_PHONE = 100 * 64 / 140
NEAR_NOW_PHONE = 100 * 50 / 140
SCREENS = ("wide", "narrow", "phone")
FOLD_LABEL = 26.0  # percent: two labels of folds that are closer stand one above the other


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment marked on the axis.

    A narrow screen has no room for it where it ``is_wide``, and a phone where it ``is_roomy``, too.
    """

    x: float
    moment: datetime
    label: str
    is_wide: bool = False
    is_roomy: bool = False

    @property
    def screens(self) -> str:
        """Which screens have room for it; "" where all have."""
        if self.is_wide:
            return "wide"
        return "wide narrow" if self.is_roomy else ""


@dataclass(frozen=True, slots=True)
class DayLabel:
    """A day above its first tick; ``screens`` are those that show it there, "" if all do."""

    x: float
    label: str
    screens: str = ""


@dataclass(frozen=True, slots=True)
class FoldLabel:
    """What a folded silence was; ``is_raised`` where the label before leaves no room beside it."""

    x: float
    silence: timedelta
    is_raised: bool


def ticks(
    scale: Scale, events: Iterable[datetime], *, zone: tzinfo, now: datetime | None
) -> list[Tick]:
    """Return the ticks of an axis; ``now`` is None where the axis does not show it.

    They stand at nice moments of the zone's own clock. A stretch without one, between folds, has the
    first of ``events`` in it instead.
    """
    step = _step(scale)
    times = sorted(events)
    found: list[Tick] = []
    for stretch in scale.unfolded:
        found += _nice(scale, stretch, step, zone) or _first(scale, stretch, times, zone)
    now_x = None if now is None else scale.x(now)
    kept = _apart(found, APART, near_now=NEAR_NOW, now_x=now_x)
    narrow = _apart(kept, APART_NARROW, near_now=NEAR_NOW_NARROW, now_x=now_x)
    phone = _apart(narrow, APART_PHONE, near_now=NEAR_NOW_PHONE, now_x=now_x)
    return [replace(tick, is_wide=tick not in narrow, is_roomy=tick not in phone) for tick in kept]


def day_labels(
    shown: Sequence[Tick], scale: Scale, *, zone: tzinfo, now: datetime | None
) -> list[DayLabel]:
    """Return the days above the first tick of each, with the weekday where there is one day only."""
    last = [] if now is None else [(scale.x(now), now)]
    places: dict[tuple[float, str], list[str]] = {}
    for screen in SCREENS:
        on = [(it.x, it.moment) for it in shown if not it.screens or screen in it.screens.split()]
        for label in _first_of_days(on + last, zone):
            places.setdefault(label, []).append(screen)
    return [
        DayLabel(*label, "" if len(screens) == len(SCREENS) else " ".join(screens))
        for label, screens in places.items()
    ]


def fold_labels(scale: Scale) -> list[FoldLabel]:
    """Return a label for each folded silence."""
    found: list[FoldLabel] = []
    for fold in scale.folds:
        before = found[-1] if found else None
        is_near = before is not None and fold.centre - before.x < FOLD_LABEL
        is_raised = is_near and before is not None and not before.is_raised
        found.append(FoldLabel(fold.centre, fold.length, is_raised))
    return found


def zone_in_words(zone: tzinfo, scale: Scale) -> str:
    """Return "Times in Europe/Berlin (UTC+1)"; both offsets where the clocks change on the way."""
    if str(zone) == "UTC":
        return "Times in UTC"
    offsets = dict.fromkeys(_offset(edge.astimezone(zone)) for edge in (scale.start, scale.end))
    return f"Times in {zone} ({', then '.join(offsets)})"


def _offset(local: datetime) -> str:
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"


def _step(scale: Scale) -> timedelta:
    rate = min(stretch.rate for stretch in scale.unfolded)  # others are drawn wider than to scale
    return next((step for step in STEPS if step.total_seconds() * rate >= APART), STEPS[-1])


def _nice(scale: Scale, stretch: Stretch, step: timedelta, zone: tzinfo) -> list[Tick]:
    shape = "%H:%M:%S" if step < 60 * SECOND else "%H:%M"
    return [
        Tick(scale.x(moment), moment, moment.astimezone(zone).strftime(shape))
        for moment in _moments(stretch, step, zone)
    ]


def _first(scale: Scale, stretch: Stretch, times: Sequence[datetime], zone: tzinfo) -> list[Tick]:
    within = [moment for moment in times if stretch.start <= moment <= stretch.end]
    return [
        Tick(scale.x(moment), moment, moment.astimezone(zone).strftime("%H:%M:%S"))
        for moment in within[:1]
    ]


def _moments(stretch: Stretch, step: timedelta, zone: tzinfo) -> list[datetime]:
    """Return when the zone's clock shows a multiple of ``step``, counted from midnight."""
    edges = [edge.astimezone(zone) for edge in (stretch.start, stretch.end)]
    walls = [edge.replace(tzinfo=None) for edge in edges]
    # Where the clocks change on the way, the wall clock jumps past one edge or goes back before it.
    jump = abs((edges[1].utcoffset() or timedelta()) - (edges[0].utcoffset() or timedelta()))
    midnight = datetime.combine(min(walls).date(), time())
    wall = midnight + (min(walls) - jump - midnight) // step * step
    found: set[datetime] = set()
    while wall <= max(walls) + jump:
        found.update(_when(wall, zone))
        wall += step
    return sorted(moment for moment in found if stretch.start <= moment <= stretch.end)


def _when(wall: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield when a clock of the zone shows ``wall``: once, twice in autumn, or never in spring."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            yield moment


def _apart(
    found: Iterable[Tick], least: float, *, near_now: float, now_x: float | None
) -> list[Tick]:
    kept: list[Tick] = []
    for tick in found:
        if now_x is not None and abs(tick.x - now_x) < near_now:
            continue
        if not kept or tick.x - kept[-1].x >= least:
            kept.append(tick)
    return kept


def _first_of_days(
    marked: Sequence[tuple[float, datetime]], zone: tzinfo
) -> list[tuple[float, str]]:
    first: dict[datetime, tuple[float, datetime]] = {}
    for x, moment in marked:
        local = moment.astimezone(zone)
        first.setdefault(datetime.combine(local, time()), (x, local))
    weekday = len(first) == 1
    return [
        (x, f"{local:%a} {local.day} {local:%b}" if weekday else f"{local.day} {local:%b}")
        for x, local in first.values()
    ]
