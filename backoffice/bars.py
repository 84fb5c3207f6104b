"""What charts of bars have in common. Pure: widths in percent, heights in px."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One colour of a bar."""

    name: str
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time. ``begins`` is in the display zone; ``label`` is "" where it would crowd."""

    begins: datetime
    x: float
    counts: Mapping[str, int]
    parts: tuple[Part, ...]
    label: str

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts.values())
