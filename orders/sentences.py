"""Words for durations and for the items of a history: the page and the CSV say the same. Pure.

Source: ux.md, sections 4 (durations) and 6b. Times of day are those of the ``zone`` that is given.
"""

from datetime import timedelta, tzinfo

from orders.runs import Run
from orders.timeline import Item


def duration(time: timedelta) -> str:
    """Return a duration as people read it: 850 ms, 2.1 s, 42 s, 9 min 27 s, 17 min, 14 h 02 min, 4 d 6 h."""
    raise NotImplementedError


def sentence(item: Item, zone: tzinfo) -> str:
    """Return all that is to be said about an item beside its statuses and times; "" for a clean step."""
    raise NotImplementedError


def title(item: Item) -> str:
    """Return the heading of an item that is no step: "Polled, no change", "Manual refetch by mira"."""
    raise NotImplementedError


def arrival(run: Run, zone: tzinfo) -> str:
    """Return how fast it came: "arrived after 1.6 s", "arrived after 1.3 s median, 2.4 s worst"."""
    raise NotImplementedError


def copies(run: Run) -> str:
    """Return how often it came: "delivered 3x, applied once"; "" where once."""
    raise NotImplementedError
