"""The history on a page: runs by day, under the chip and in the order that the URL names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.http import HttpRequest
from django.utils import timezone

from orders.runs import Run, runs
from orders.timeline import Filter, Timeline

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
class Shown:
    """A history as one page shows it."""

    chips: Sequence[Chip]
    newest_first: bool
    days: Sequence[tuple[date, Sequence[Run]]]


def show(timeline: Timeline, request: HttpRequest, filters: Sequence[Filter]) -> Shown:
    """Return the history as ``?show=`` and ``?order=`` ask for it; the newest first unless told otherwise."""
    asked = request.GET.get("show", "")
    chosen = Filter(asked) if asked in filters else Filter.ALL
    newest_first = request.GET.get("order") != "oldest"
    counts = timeline.counts
    chips = [
        Chip("" if chip is Filter.ALL else chip, WORDS[chip], counts[chip], chip is chosen)
        for chip in filters
    ]
    entries = runs(timeline.shown(chosen), newest_first=newest_first)
    days = [
        (day, [run for _, run in pairs])
        for day, pairs in groupby(_dated(entries, newest_first=newest_first), lambda pair: pair[0])
    ]
    return Shown(chips, newest_first, days)


def _dated(entries: Sequence[Run], *, newest_first: bool) -> Iterator[tuple[date, Run]]:
    """Yield each run with its day; what nobody timed stands under the day of its neighbour."""
    day = timezone.localdate()
    moments = [run.last_at if newest_first else run.first_at for run in entries]
    known = next((moment for moment in moments if moment), None)
    day = timezone.localdate(known) if known else day
    for run, moment in zip(entries, moments, strict=True):
        day = timezone.localdate(moment) if moment else day
        yield day, run
