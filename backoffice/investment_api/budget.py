"""The budget of requests per second that everything that calls upstream has in common.

Exact, not on average: no second holds more requests than the limit. (A token bucket would let
twice the limit through in its first second.) Kept in Redis for all processes; without it each
process keeps to its share.
"""

import enum
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .errors import UnavailableError
from .shared_log import SharedLog

WINDOW = timedelta(seconds=1.05)  # a little over a second: requests do not arrive evenly


class Urgency(enum.Enum):
    """Who waits for the answer: people go first, then what they have submitted."""

    PERSON = "person"
    SUBMISSION = "submission"
    BACKGROUND = "background"


class Budget:
    """At most ``limit`` requests in any ``window``, over all processes with the same Redis and name.

    Background work leaves a fifth of it to people. While Redis is away each process keeps to its
    share among those seen last; a rest on the way there and back keeps the sum within the limit.
    """

    def __init__(
        self,
        limit: int,
        *,
        redis_url: str = "",
        name: str = "",
        window: timedelta = WINDOW,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limit = limit
        self._window = window.total_seconds()
        self._clock = clock
        self._sleep = sleep
        self._own_log = _OwnLog(clock)
        self._paused_until = float("-inf")
        self._shared_log = SharedLog(redis_url, name, limit, window, clock) if redis_url else None

    def take(self, urgency: Urgency, *, timeout: timedelta) -> None:
        """Wait for room for one request. Raises UnavailableError while paused, or after ``timeout``."""
        until = self._clock() + timeout.total_seconds()
        while wait := self._wait(urgency):
            if self._clock() + wait > until:
                message = f"our budget of {self._limit} requests per second is used up"
                raise UnavailableError(message, retry_after=timedelta(seconds=wait))
            self._sleep(wait)

    def pause(self, until: datetime) -> None:
        """Let nobody through before ``until``, as upstream asked; of several pauses the longest."""
        length = until - datetime.now(UTC)
        self._note_pause(length.total_seconds())
        if self._shared_log is not None and length > timedelta():
            self._shared_log.pause(length)

    def paused_until(self) -> datetime | None:
        """Return when requests are let through again; None if they are now."""
        if self._shared_log is not None:
            self._note_pause(self._shared_log.paused_for())
        length = self._paused_until - self._clock()
        return datetime.now(UTC) + timedelta(seconds=length) if length > 0 else None

    def _wait(self, urgency: Urgency) -> float:
        """Return the seconds to wait before asking again; 0 if there is room, which is then taken."""
        self._refuse_while_paused()
        if self._shared_log is None:
            return self._own_log.wait(_part_of(self._limit, urgency), self._window)
        answer = self._shared_log.ask(_part_of(self._limit, urgency))
        if answer is None:
            return self._wait_for_share(urgency, self._shared_log.peers)
        self._note_pause(answer.paused)
        self._refuse_while_paused()
        return answer.wait

    def _wait_for_share(self, urgency: Urgency, peers: int) -> float:
        share = max(1, self._limit // peers)
        window = self._window * max(1.0, peers / self._limit)
        return self._own_log.wait(_part_of(share, urgency), window)

    def _note_pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _refuse_while_paused(self) -> None:
        length = self._paused_until - self._clock()
        if length > 0:
            wait = timedelta(seconds=length)
            message = f"rate limited by upstream until {datetime.now(UTC) + wait:%H:%M:%S} UTC"
            raise UnavailableError(message, retry_after=wait)


class _OwnLog:
    """When the latest requests of this process were let through."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._moments: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self, part: int, window: float) -> float:
        """Return how long ``part`` requests fill the window; 0 if there was room for one more."""
        with self._lock:
            now = self._clock()
            while self._moments and now - self._moments[0] >= window:
                self._moments.popleft()
            if len(self._moments) < part:
                self._moments.append(now)
                return 0.0
            return self._moments[-part] + window - now


def _part_of(limit: int, urgency: Urgency) -> int:
    """Return how much of ``limit`` may be used up with this urgency."""
    return max(1, limit - max(1, limit // 5)) if urgency is Urgency.BACKGROUND else limit
