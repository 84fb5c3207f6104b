"""What waits to be read into the journal before it can be applied: apps register how theirs is read.

The drain belongs to the orders; the deliveries that it reads belong to the webhooks.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db.models import QuerySet

from backoffice.together import Rows, first


@dataclass(frozen=True, slots=True)
class Drained:
    """How many entries were dealt with, and how; ``is_cut_short``: there may be more.

    ``read`` is how many deliveries they came with, where they were applied as they were read.
    """

    applied: int = 0
    no_change: int = 0
    quarantined: int = 0
    read: int = 0
    is_cut_short: bool = False

    @property
    def total(self) -> int:
        """Return the number of entries dealt with."""
        return self.applied + self.no_change + self.quarantined

    def __add__(self, other: "Drained") -> "Drained":
        return Drained(
            self.applied + other.applied,
            self.no_change + other.no_change,
            self.quarantined + other.quarantined,
            self.read + other.read,
            self.is_cut_short or other.is_cut_short,
        )


class Intake(Protocol):
    """Something that was stored as it came, and is read into the journal in portions."""

    def read_next(self, *, now: datetime) -> Drained:
        """Read and apply a portion in one transaction; nothing is ``read`` where nothing waits."""

    def waiting(self) -> QuerySet:
        """Return the rows that wait."""

    def new(self) -> QuerySet:
        """Return those that have not been read before, which have ``received_at``, the oldest first."""


_intakes: list[Intake] = []


def register(intake: Intake) -> None:
    """Have drains read ``intake``: called in AppConfig.ready."""
    _intakes.append(intake)


def read_next(*, now: datetime) -> Drained:
    """Read and apply the next portion of each; return what became of it."""
    return sum((intake.read_next(now=now) for intake in _intakes), Drained())


def is_waiting() -> bool:
    """Return whether anything waits to be read."""
    return any(intake.waiting().exists() for intake in _intakes)


def questions(most: int | None = None) -> dict[str, Any]:
    """Return the questions how many wait, ``unread``, and since when, ``unread_since``, for ``together.ask``.

    What is read again has waited for nothing: only what is new is late.
    """
    found: dict[str, Any] = {}
    for intake in _intakes:
        since = first(intake.new(), "received_at")
        found |= {"unread": Rows(intake.waiting(), most), "unread_since": since}
    return found
