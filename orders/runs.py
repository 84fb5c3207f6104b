"""Runs: like items of a history folded into one entry of the page. Pure. Source: ux.md, section 6b."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orders.timeline import Item

NEIGHBOURS = timedelta(seconds=90)  # further apart are not one run
QUIET = timedelta(minutes=5)  # a longer silence between entries is shown
MANY_CHECKS = 3  # more equal ones in a row fold


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
    def first_at(self) -> datetime | None:
        """Return when the first item happened."""
        return self.items[0].occurred_at

    @property
    def last_at(self) -> datetime | None:
        """Return when the last item happened."""
        return self.items[-1].occurred_at


def runs(items: Sequence[Item], *, newest_first: bool = False) -> list[Run]:
    """Fold like items into runs and put them in the order of the page."""
    raise NotImplementedError
