"""The lifecycle chart of an order: one lane for each object, its parts in percent of the track. Pure.

Source: ux.md, section 6a.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

from orders.lanes.axis import Scale, scale_of
from orders.lanes.lives import End, Life, life_of
from orders.lanes.others import Crowd, others, scale_with
from orders.lanes.parts import Bar, Chart, Lane, Mark
from orders.lanes.ticks import day_labels, ticks
from orders.lifecycle import Kind, is_final
from orders.timeline.items import Item
from orders.timeline.seen import Subject

LEAST_WIDTH = 0.5  # of a bar: so short a stage must still be seen
MANY = 60  # of more, only those worth a look are shown at once
SLOWEST = 20
OPEN_FIRST = ("PROCESSING", "NEW")
NEVER = datetime.max.replace(tzinfo=UTC)


def chart(
    subjects: Sequence[Subject],
    items: Iterable[Item],
    *,
    now: datetime,
    zone: tzinfo,
    late_after: timedelta,
    quiet_since: datetime | None = None,
    crowd: Crowd | None = None,
) -> Chart | None:
    """Return the chart of ``subjects``, the first of which the page is about; None if nobody told any time.

    ``items`` are their history in time's order. ``quiet_since`` is the last news of a stale order,
    ``crowd`` the orders that are not among the subjects.
    """
    head, *lives = _lives(subjects, items, now, late_after)
    moments = [moment for life in (head, *lives) for moment in life.moments]
    if not moments:
        return None
    shows_now = quiet_since is not None or any(life.is_open for life in (head, *lives))
    shows_now = shows_now or bool(
        crowd and any(not is_final(Kind.ORDER, it) for it in crowd.statuses)
    )
    shown_now = now if shows_now else None
    news = [] if quiet_since is None else [max(quiet_since, min(moments))]
    marked = [*moments, *news, now] if shows_now else moments
    scale = scale_with(marked, crowd) if crowd else scale_of(marked)
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
        others=others(crowd, scale) if crowd else None,
    )


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
