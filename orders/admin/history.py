"""The history on a page: runs by day, under the chip, in the order and from the place that the URL names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.http import HttpRequest
from django.utils import timezone

from orders.timeline.items import Filter, Timeline
from orders.timeline.runs import Run, runs

PAGE = 500  # items

WORDS = {
    Filter.ALL: "All",
    Filter.PORTFOLIO_ORDER: "Portfolio order",
    Filter.ORDERS: "Orders",
    Filter.PROBLEMS: "Problems",
    Filter.CHECKS: "Checks & staff",
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter of the history with its count."""

    value: str
    label: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The items that one page shows, by their places in the history: the oldest is 1.

    ``before`` and ``after`` are the places with which the pages before and after it begin, in the
    order of the page; None where there is none.
    """

    first: int
    last: int
    total: int
    before: int | None
    after: int | None

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.before is None and self.after is None


@dataclass(frozen=True, slots=True)
class Shown:
    """A history as one page shows it."""

    chips: Sequence[Chip]
    newest_first: bool
    part: Part
    days: Sequence[tuple[date, Sequence[Run]]]

    @property
    def singles(self) -> list[Run]:
        """The runs that are one journal entry each."""
        found = (run for _, runs in self.days for run in runs)
        return [run for run in found if run.is_single and run.item.entry]


def show(timeline: Timeline, request: HttpRequest, filters: Sequence[Filter]) -> Shown:
    """Return the history as ``?show=``, ``?order=`` and ``?at=`` ask for it.

    The newest first unless told otherwise; ``at`` is the place of the item with which the page
    begins, so a page keeps its items when newer ones come.
    """
    asked = request.GET.get("show", "")
    chosen = Filter(asked) if asked in filters else Filter.ALL
    newest_first = request.GET.get("order") != "oldest"
    counts = timeline.counts
    chips = [
        Chip("" if chip is Filter.ALL else chip, WORDS[chip], counts[chip], chip is chosen)
        for chip in filters
    ]
    items = timeline.shown(chosen)
    part = part_of(len(items), request.GET.get("at", ""), newest_first=newest_first)
    entries = runs(items[part.first - 1 : part.last], newest_first=newest_first)
    days = [
        (day, [run for _, run in pairs])
        for day, pairs in groupby(_dated(entries, newest_first=newest_first), lambda pair: pair[0])
    ]
    return Shown(chips, newest_first, part, days)


def part_of(total: int, at: str, *, newest_first: bool) -> Part:
    """Return what the page that begins at the place ``at`` shows; any other text is the beginning."""
    place = int(at) if at.isdecimal() and at.isascii() and len(at) < 10 else 0
    if newest_first:
        last = place if 0 < place < total else total
        first = max(1, last - PAGE + 1)
        before = min(last + PAGE, total) if last < total else None
        return Part(first, last, total, before, first - 1 if first > 1 else None)
    first = place if 0 < place <= total else 1
    last = min(total, first + PAGE - 1)
    before = max(1, first - PAGE) if first > 1 else None
    return Part(first, last, total, before, last + 1 if last < total else None)


def _dated(entries: Sequence[Run], *, newest_first: bool) -> Iterator[tuple[date, Run]]:
    """Yield each run with its day; what nobody timed stands under the day of its neighbour."""
    day = timezone.localdate()
    moments = [run.last_at if newest_first else run.first_at for run in entries]
    known = next((moment for moment in moments if moment), None)
    day = timezone.localdate(known) if known else day
    for run, moment in zip(entries, moments, strict=True):
        day = timezone.localdate(moment) if moment else day
        yield day, run
