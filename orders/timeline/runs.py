"""Runs: like items of a history folded into one entry of the page. Pure. Source: ux.md, section 6b."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orders.timeline.items import ASKS, Item, ItemKind
from orders.timeline.seen import Subject

NEIGHBOURS = timedelta(seconds=90)  # further apart are not one run
QUIET = timedelta(minutes=5)  # a longer silence between entries is shown
MANY_CHECKS = 3  # more entries of checks without news in a row fold


@dataclass(frozen=True, slots=True)
class Run:
    """One entry of the page: an item, or several that say the same, the oldest first.

    ``silence`` is the time without events between it and the entry above it on the page; None
    where it is not worth showing.
    """

    items: tuple[Item, ...]
    silence: timedelta | None = None

    @property
    def item(self) -> Item:
        """Return the first item: for the words that all of the run share."""
        return self.items[0]

    @property
    def is_single(self) -> bool:
        """Return whether it is one item."""
        return len(self.items) == 1

    @property
    def lead(self) -> Item:
        """Return the item that the heading is about: that of the portfolio order where there is one."""
        return next((item for item in self.items if not item.subject.is_order), self.item)

    @property
    def orders(self) -> int:
        """Return of how many orders it tells, the portfolio order among them; one may have several executions."""
        return len({item.subject for item in self.items})

    @property
    def times(self) -> int:
        """Return how often it tells of one order, of that which it tells of most."""
        return max(Counter(item.subject for item in self.items).values())

    @property
    def first_at(self) -> datetime | None:
        """Return when the first item happened; None where nobody told."""
        return self.items[0].occurred_at

    @property
    def last_at(self) -> datetime | None:
        """Return when the last item happened; None where nobody told."""
        return self.items[-1].occurred_at


def runs(items: Sequence[Item], *, newest_first: bool = False) -> list[Run]:
    """Fold like items, the oldest first, into runs, and put them in the order of the page.

    A run has items of orders that say the same within 90 s of each other, and may interleave with
    others; a portfolio order's item or a problem closes all. Webhooks that one round of asks
    recovered share a run, however far apart they were sent. More than three entries in a row that are
    checks without news are one: of the portfolio order and of its orders alike. Failures never fold.
    """
    folded = _fold_checks(_fold_orders(items))
    if newest_first:
        folded.sort(key=lambda run: run[-1][0], reverse=True)
    shown = [Run(tuple(item for _, item in run)) for run in folded]
    pairs = zip(shown, [None, *shown], strict=False)
    return [replace(run, silence=_silence(run, above)) for run, above in pairs]


_Run = list[tuple[int, Item]]  # items with their places in the history


def _fold_orders(items: Iterable[Item]) -> list[_Run]:
    found: list[_Run] = []
    growing: dict[tuple[object, ...], _Run] = {}
    for place, item in enumerate(items):
        key = _likeness(item)
        if not item.subject.is_order or _is_barrier(item):
            # What one round of asks recovered is one outage: its gaps may interleave.
            growing = {
                same: run for same, run in growing.items() if _is_gap(item) and _is_gap(run[0][1])
            }
        run = growing.get(key) if key else None
        if run and _are_near(run[-1][1], item):
            run.append((place, item))
            continue
        found.append([(place, item)])
        if key:
            growing[key] = found[-1]
    return found


def _fold_checks(found: Iterable[_Run]) -> list[_Run]:
    """Fold checks that stand in a row and brought nothing, whichever of the orders each asked about.

    One that reports another status than those before it begins a row of its own.
    """
    rows: list[list[_Run]] = []
    reported: dict[Subject, str] = {}  # by the checks of the last row; empty where it has none
    for run in found:
        reports = {item.subject: item.to_status for _, item in run if _brought_nothing(item)}
        same = all(reported.get(about, status) == status for about, status in reports.items())
        if reported and reports and same:
            rows[-1].append(run)
            reported |= reports
        else:
            rows.append([run])
            reported = reports
    folded: list[_Run] = []
    for row in rows:
        checks = sorted((pair for run in row for pair in run), key=lambda pair: pair[0])
        folded.extend([checks] if len(row) > MANY_CHECKS else row)
    return folded


def _likeness(item: Item) -> tuple[object, ...]:
    """Return what items of one run share; empty for one that stands alone."""
    stands_alone = item.remarks or item.is_failed or (item.is_ours and item.kind is ItemKind.NOTE)
    if not item.subject.is_order or stands_alone or (_is_barrier(item) and not _is_gap(item)):
        return ()
    type_ = item.entry.type if item.entry else ""
    statuses = item.from_status, item.to_status
    return item.kind, item.source, *statuses, item.expected, type_, _brought_nothing(item)


def _is_gap(item: Item) -> bool:
    return item.kind is ItemKind.MISSED_WEBHOOK


def _is_barrier(item: Item) -> bool:
    """Return whether it is a problem of its own; a repeat is not: it was ignored."""
    return item.is_problem and not (
        item.deliveries > 1 and not replace(item, deliveries=1).is_problem
    )


def _are_near(one: Item, other: Item) -> bool:
    told = [item.told.entry for item in (one, other) if item.told]
    if _is_gap(other) and len(told) == 2 and all(entry.source in ASKS for entry in told):
        return abs(told[1].recorded_at - told[0].recorded_at) <= NEIGHBOURS
    if abs(_time(other) - _time(one)) > NEIGHBOURS:
        return False
    if not _is_gap(other):
        return all(item.told is None or item.was_listed_first for item in (one, other))
    learned = [entry.recorded_at for entry in told]
    return not learned or (len(learned) == 2 and abs(learned[1] - learned[0]) <= NEIGHBOURS)


def _brought_nothing(item: Item) -> bool:
    return (
        item.kind is ItemKind.CHECK and item.entry is not None and item.entry.outcome == "NO_CHANGE"
    )


def _time(item: Item) -> datetime:
    """Return when it happened; for what nobody told, when that happened which told more."""
    told = item.told.entry.occurred_at if item.told else None
    times = (item.occurred_at, told, item.subject.created_at)
    return next(time for time in times if time)


def _silence(run: Run, above: Run | None) -> timedelta | None:
    if above is None:
        return None
    earlier, later = sorted((run, above), key=lambda it: _time(it.items[0]))
    silence = _time(later.items[0]) - max(_time(item) for item in earlier.items)
    return silence if silence > QUIET else None
