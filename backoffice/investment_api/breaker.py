"""Leaves alone an upstream that does not answer, so that a queue of background work does not wait for it call by call.

Open after ``FAILURES`` calls in a row without an answer, for ``FIRST`` seconds, twice as long each
time up to ``LONGEST``. People may always try, and any answer closes it; after the wait one call of
background work is let through to try.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from .budget import Urgency
from .errors import UnavailableError

FAILURES = 5
FIRST, LONGEST = 5.0, 60.0  # seconds
TRY = 30.0  # seconds: a try that has told nothing by then is lost, the next one may go


@dataclass(frozen=True, slots=True)
class State:
    """What is known of an upstream: failures in a row, and since when. Open while ``wait`` is not 0. Pure."""

    failures: int = 0
    since: float = 0.0
    wait: float = 0.0
    retry_at: float = 0.0
    is_trying: bool = False

    @property
    def is_open(self) -> bool:
        """Whether upstream is left alone."""
        return self.wait > 0

    def failed(self, now: float, jitter: float) -> "State":
        """Return the state after a call without an answer; ``jitter``, about 1, keeps processes apart."""
        failures, since = self.failures + 1, self.since if self.failures else now
        is_under_way = self.is_open and now < self.retry_at and not self.is_trying
        if failures < FAILURES or is_under_way:
            return replace(self, failures=failures, since=since)
        wait = min(LONGEST, 2 * self.wait or FIRST)
        return State(failures, since, wait, now + wait * jitter)

    def tried(self, now: float) -> "State":
        """Return the state while one call tries whether upstream answers again."""
        return replace(self, retry_at=now + TRY, is_trying=True)

    def untried(self, now: float) -> "State":
        """Return the state after a try that was never sent: the next one may go."""
        return replace(self, retry_at=now, is_trying=False) if self.is_trying else self


@dataclass(frozen=True, slots=True)
class Outage:
    """Since when upstream has not answered, and when background work tries again."""

    since: datetime
    next_try: datetime

    def __str__(self) -> str:
        since, then = self.since.astimezone(UTC), self.next_try.astimezone(UTC)
        return (
            f"the broker has not answered since {since:%H:%M:%S} UTC; next try {then:%H:%M:%S} UTC"
        )


class Breaker:
    """The state of one upstream as this process knows it, for any number of threads."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311 -- no secret
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._state = State()
        self._lock = threading.Lock()

    def admit(self, urgency: Urgency) -> None:
        """Let a call through, or raise UnavailableError. What was let through is reported, or called off."""
        if not self._state.is_open or urgency is Urgency.PERSON:
            return
        with self._lock:
            now = self._clock()
            if now >= self._state.retry_at:
                self._state = self._state.tried(now)
                return
            outage, wait = self._outage(now), self._state.retry_at - now
        raise UnavailableError(str(outage), retry_after=timedelta(seconds=wait))

    def report(self, *, is_answered: bool) -> Outage | None:
        """Note what became of a call; return the outage that it began or made longer, if it did."""
        if is_answered and not self._state.failures:
            return None
        with self._lock:
            now, before = self._clock(), self._state
            self._state = State() if is_answered else before.failed(now, self._jitter())
            is_news = self._state.is_open and self._state.retry_at != before.retry_at
            return self._outage(now) if is_news else None

    def call_off(self) -> None:
        """Note that a call that was let through was not sent after all."""
        with self._lock:
            self._state = self._state.untried(self._clock())

    def open_until(self) -> datetime | None:
        """Return when background work may try again; None if it may now."""
        with self._lock:
            now = self._clock()
            is_shut = self._state.is_open and now < self._state.retry_at
            return self._outage(now).next_try if is_shut else None

    def _outage(self, now: float) -> Outage:
        today = datetime.now(UTC)
        return Outage(
            today - timedelta(seconds=now - self._state.since),
            today + timedelta(seconds=self._state.retry_at - now),
        )
