"""What is going to happen, and when."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

Step = Callable[[datetime], None]

_GRAINS = (1, 10, 1000)
"""Milliseconds that steps are rounded up to, so that their times have 3, 2 and 0 digits."""


class Agenda:
    """Steps in the order of their time. Time is what the caller says it is; nothing runs by itself."""

    def __init__(self) -> None:
        self._steps: list[tuple[datetime, int, Step]] = []
        self._count = 0

    def after(self, moment: datetime, wait: timedelta, step: Step) -> None:
        """Have ``step`` called with its time, ``wait`` after ``moment``, rounded up."""
        milliseconds = wait // timedelta(milliseconds=1)
        at = _rounded_up(moment + wait, _GRAINS[milliseconds % len(_GRAINS)])
        self._count += 1
        heapq.heappush(self._steps, (at, self._count, step))

    def advance(self, now: datetime) -> None:
        """Take every step up to ``now``, also those that these steps lead to, each at its own time."""
        while self._steps and self._steps[0][0] <= now:
            at, _, step = heapq.heappop(self._steps)
            step(at)

    def next_at(self) -> datetime | None:
        """Return the time of the next step; None if nothing is going to happen."""
        return self._steps[0][0] if self._steps else None


def _rounded_up(moment: datetime, milliseconds: int) -> datetime:
    grain = milliseconds * 1000
    over = moment.microsecond % grain
    return moment + timedelta(microseconds=grain - over) if over else moment
