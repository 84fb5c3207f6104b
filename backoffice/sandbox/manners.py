"""How the stand-in takes cancellations: what the contract leaves open, as switches."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

LATE = (202, 204, 404, 409, 422)


@dataclass(slots=True)
class Manners:
    """Switches, to be turned at any time. Raises ValueError for values that make no sense.

    ``taken`` is the status of a cancellation that is taken: 202, or 204 as an older guide has it.
    ``late`` is that of one that comes after the end of a portfolio order, ``late_order`` the same
    for an order: a 2xx is taken and then announced as rejected. ``takes`` is how long it takes until
    one is carried out, in which a fill may win; None is a moment. ``heeds`` False has no trading
    partner honour one once it has the order, True all; None leaves it to each order's fate.
    ``mixed`` has orders that do not honour it go on though their portfolio order is cancelled, which
    then ends as they do.
    """

    taken: int = 202
    late: int = 409
    late_order: int = 202
    takes: timedelta | None = None
    heeds: bool | None = None
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.taken not in (202, 204):
            raise ValueError(f"taken is 202 or 204, not {self.taken}")
        for status in (self.late, self.late_order):
            if status not in LATE:
                raise ValueError(f"{status} is no answer to a late one; those are {LATE}")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read them from JSON; a duration is seconds. Raises ValueError, TypeError."""
        values = dict(document)
        if values.get("takes") is not None:
            values["takes"] = timedelta(seconds=float(values["takes"]))
        return cls(**values)
