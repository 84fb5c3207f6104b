"""The lane of the orders that have none of their own: how many were in each status, from slot to slot. Pure.

A list of thousands of orders is drawn page by page; this lane keeps the others in sight.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orders.lanes.axis import MOST_FOLDS, Scale, Stretch, scale_of

SLOTS = 16
UPWARDS = ("FILLED", "CANCELLED", "PROCESSING", "NEW")  # what has ended lies at the bottom


class Crowd(Protocol):
    """Many orders, of which only numbers are known."""

    statuses: Mapping[str, int]  # how many are in each status now

    def edges(self) -> Sequence[datetime]:
        """Return the first and the last moment at which something happened to any of them."""

    def within(self, silences: Sequence[Stretch]) -> Sequence[datetime]:
        """Return the first and the last of those moments in each silence in which there are any."""

    def at(self, moments: Sequence[datetime]) -> Sequence[Mapping[str, int]]:
        """Return how many were in each status at each of these moments."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a slot: x and width in percent of the track, y and height in percent of the lane."""

    status: str
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Others:
    """The lane: ``total`` orders, how many are in each status now, and what is drawn of them."""

    statuses: Mapping[str, int]
    layers: Sequence[Layer]

    @property
    def total(self) -> int:
        """The number of orders."""
        return sum(self.statuses.values())

    @property
    def caption(self) -> str:
        """Return "Other orders: 1,290 filled, 145 cancelled"."""
        known = sorted(self.statuses.items(), key=lambda pair: -pair[1])
        said = ", ".join(f"{n:,} {status.lower() or 'not known yet'}" for status, n in known)
        return f"Other orders: {said}"


def scale_with(moments: Iterable[datetime], crowd: Crowd) -> Scale:
    """Return the scale of these moments and those of a crowd: a silence that any of it breaks is not folded."""
    known = [*moments, *crowd.edges()]
    for _ in range(MOST_FOLDS + 1):
        scale = scale_of(known)
        inside = crowd.within(scale.folds) if scale.folds else ()
        if not inside:
            return scale
        known += inside
    return scale_of(known, folds=False)


def others(crowd: Crowd, scale: Scale) -> Others:
    """Return the lane of a crowd."""
    return Others(crowd.statuses, list(_layers(crowd, scale)))


def _layers(crowd: Crowd, scale: Scale) -> Iterator[Layer]:
    slots = [(100 * n / SLOTS, 100 / SLOTS) for n in range(SLOTS)]
    moments = [scale.moment(x + width) for x, width in slots]
    total = sum(crowd.statuses.values())
    for (x, width), counts in zip(slots, crowd.at(moments), strict=True):
        y = 100.0
        for status in UPWARDS:
            if height := 100 * counts.get(status, 0) / total:
                y -= height
                yield Layer(status, round(x, 2), round(width, 2), round(y, 2), round(height, 2))
