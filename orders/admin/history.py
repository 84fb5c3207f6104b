"""The history on a page: runs by day, under the chip, in the order and from the place that the URL names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.http import HttpRequest
from django.utils import timezone

from backoffice.asked import quoted
from orders.timeline.items import Filter, Timeline
from orders.timeline.long import LongHistory
from orders.timeline.runs import Run, runs

PAGE = 500  # items
PAGE_OF_LONG = 200  # the same, of a history that is too long to be read whole

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
    misread: str = ""  # what is not understood of the address: then nothing is shown

    @property
    def singles(self) -> list[Run]:
        """The runs that are one journal entry each."""
        found = (run for _, runs in self.days for run in runs)
        return [run for run in found if run.is_single and run.item.entry]


def show(history: Timeline | LongHistory, request: HttpRequest, filters: Sequence[Filter]) -> Shown:
    """Return the history as ``?show=``, ``?order=`` and ``?at=`` or ``?entry=`` ask for it.

    The newest first unless told otherwise; ``at`` is the place of the item with which the page
    begins, so a page keeps its items when newer ones come. ``entry`` is the id of a journal entry:
    of the pages that have it, whole or filtered, that which begins where it should. Nothing under a
    filter that is not one of ``filters``.
    """
    asked = request.GET.get("show", "")
    is_misread = bool(asked) and asked not in filters
    chosen = Filter(asked) if asked in filters else Filter.ALL
    newest_first = request.GET.get("order") != "oldest"
    place, entry_id = (_number(request.GET.get(name, "")) for name in ("at", "entry"))
    size = PAGE_OF_LONG if isinstance(history, LongHistory) else PAGE
    found = history.place_of(entry_id, chosen) if entry_id else None
    if isinstance(history, LongHistory):
        history.turn_to(chosen, 0 if found else place, size, newest_first=newest_first)
    total = history.counts[chosen]
    if found:
        place = _beginning(found, total, size, newest_first=newest_first)
        if isinstance(history, LongHistory):
            history.turn_to(chosen, place, size, newest_first=newest_first)
    part = part_of(total, place, size, newest_first=newest_first)
    items = (
        history.items
        if isinstance(history, LongHistory)
        else history.shown(chosen)[part.first - 1 : part.last]
    )
    chips = [
        Chip(
            "" if chip is Filter.ALL else chip,
            WORDS[chip],
            history.counts[chip],
            chip is chosen and not is_misread,
        )
        for chip in filters
    ]
    if is_misread:
        misread = f"Filter {quoted(asked)} is not understood."
        return Shown(chips, newest_first, Part(0, 0, 0, None, None), [], misread)
    entries = runs(items, newest_first=newest_first)
    days = [
        (day, [run for _, run in pairs])
        for day, pairs in groupby(_dated(entries, newest_first=newest_first), lambda pair: pair[0])
    ]
    return Shown(chips, newest_first, part, days)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else 0


def _beginning(place: int, total: int, size: int, *, newest_first: bool) -> int:
    """Return the place with which the page begins that has this place, counted from the first page."""
    if newest_first:
        return total - (total - place) // size * size
    return (place - 1) // size * size + 1


def part_of(total: int, place: int, size: int, *, newest_first: bool) -> Part:
    """Return what the page of so many items that begins at ``place`` shows; no such place is the beginning."""
    if newest_first:
        last = place if 0 < place < total else total
        first = max(1, last - size + 1)
        before = min(last + size, total) if last < total else None
        return Part(first, last, total, before, first - 1 if first > 1 else None)
    first = place if 0 < place <= total else 1
    last = min(total, first + size - 1)
    before = max(1, first - size) if first > 1 else None
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
