"""The budget of requests per second that everything that calls upstream has in common.

Exact, not on average: no second holds more requests than the limit. (A token bucket would let
twice the limit through in its first second.) Kept in Redis for all processes; without it each
process keeps to its share. What upstream throttles is taken from background work (``adaptive``).
"""

import enum
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .adaptive import Share
from .errors import UnavailableError
from .shared_log import SharedAnswer, SharedLog
from .waits import LONGEST_WAIT

WINDOW = timedelta(seconds=1.05)  # a little over a second: requests do not arrive evenly


class Urgency(enum.Enum):
    """Who waits for the answer: people go first, then what they have submitted."""

    PERSON = "person"
    SUBMISSION = "submission"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the budget stands: of ``limit`` background work may use ``background`` now, ``whole`` in good times.

    Nobody but people is let through before ``paused_until``, and no background work before
    ``resting_until``.
    """

    limit: int
    whole: int
    background: int
    paused_until: datetime | None
    resting_until: datetime | None


class Budget:
    """At most ``limit`` requests in any ``window``, over all processes with the same Redis and name.

    What people have submitted leaves a tenth of it to people, background work a fifth to both, and
    more after it was throttled. While Redis is away each process keeps to its share among those seen
    last; a rest on the way there and back keeps the sum within the limit.
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
        self._share = Share.whole(_part_of(limit, Urgency.BACKGROUND))
        self._shared_log = SharedLog(redis_url, name, limit, window, clock) if redis_url else None

    @property
    def background(self) -> int:
        """Return how many requests in a second background work may make in good times."""
        return self._share.full

    def take(self, urgency: Urgency, *, timeout: timedelta) -> None:
        """Wait for room for one request.

        Raises UnavailableError after ``timeout``, or while paused: but people may always try, for
        one request of theirs costs upstream little, and a cancel that waits costs them much.
        """
        until = self._clock() + timeout.total_seconds()
        while wait := self._wait(urgency):
            if self._clock() + wait > until:
                message = f"our budget of {self._limit} requests per second is used up"
                raise UnavailableError(message, retry_after=timedelta(seconds=wait))
            self._sleep(wait)

    def pause(self, until: datetime) -> None:
        """Let only people through before ``until``, as upstream asked; of several pauses the longest.

        At most for LONGEST_WAIT: then one of those that waited finds out whether it goes on.
        """
        length = min(until - datetime.now(UTC), LONGEST_WAIT)
        self._note_pause(length.total_seconds())
        if self._shared_log is not None and length > timedelta():
            self._shared_log.pause(length)

    def throttled(self, wait: timedelta | None) -> None:
        """Take from background work what upstream does not want, for it said 429 and to ``wait``, or not how long.

        Halved once for a burst of 429s, and given back bit by bit. People go on, and so does what
        they have submitted unless upstream said how long to wait.
        """
        seconds = wait.total_seconds() if wait else 0.0
        whole = Share.whole(self._share.full)
        self._share = self._share.throttled(self._clock(), seconds)
        if self._shared_log is not None:
            self._shared_log.throttle(whole, seconds)

    def paused_until(self, urgency: Urgency = Urgency.BACKGROUND) -> datetime | None:
        """Return when requests are let through again; None if they are now."""
        if urgency is Urgency.PERSON:
            return None
        outlook = self.outlook()
        if urgency is Urgency.SUBMISSION:
            return outlook.paused_until
        return max(filter(None, (outlook.paused_until, outlook.resting_until)), default=None)

    def outlook(self) -> Outlook:
        """Return how the budget stands now, as far as this process can learn."""
        if self._shared_log is not None and (answer := self._shared_log.look()):
            self._note(answer)
        now = self._clock()
        return Outlook(
            self._limit,
            self._share.full,
            self._share.at(now),
            _moment(self._paused_until - now),
            _moment(self._share.since - now),
        )

    def _wait(self, urgency: Urgency) -> float:
        """Return the seconds to wait before asking again; 0 if there is room, which is then taken."""
        self._refuse_while_paused(urgency)
        part = self._part(self._limit, urgency)
        if self._shared_log is None:
            return self._own_log.wait(part, self._window)
        answer = self._shared_log.ask(
            part,
            self._share.full,
            is_background=urgency is Urgency.BACKGROUND,
            is_person=urgency is Urgency.PERSON,
        )
        if answer is None:
            return self._wait_for_share(urgency, self._shared_log.peers)
        self._note(answer)
        self._refuse_while_paused(urgency)
        return answer.wait

    def _wait_for_share(self, urgency: Urgency, peers: int) -> float:
        share = max(1, self._limit // peers)
        window = self._window * max(1.0, peers / self._limit)
        return self._own_log.wait(self._part(share, urgency), window)

    def _part(self, limit: int, urgency: Urgency) -> int:
        """Return how much of ``limit``, ours or a share of it, may be used up with this urgency now."""
        part = _part_of(limit, urgency)
        if urgency is not Urgency.BACKGROUND:
            return part
        return max(1, min(part, self._share.at(self._clock()) * limit // self._limit))

    def _note(self, answer: SharedAnswer) -> None:
        self._note_pause(answer.paused)
        if answer.share is not None:
            now, (size, age) = self._clock(), answer.share
            told = Share(self._share.full, size, now - age)
            # Ours may be the more careful one: of a 429 that Redis did not hear of.
            self._share = min(told, self._share, key=lambda share: share.at(now))

    def _note_pause(self, seconds: float) -> None:
        seconds = min(seconds, LONGEST_WAIT.total_seconds())  # Redis may hold an older release's
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _refuse_while_paused(self, urgency: Urgency) -> None:
        if urgency is Urgency.PERSON:
            return
        until = self._paused_until
        if urgency is Urgency.BACKGROUND:
            until = max(until, self._share.since)
        length = until - self._clock()
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
    """Return how much of ``limit`` may be used up with this urgency, at least one."""
    kept = {Urgency.PERSON: 0, Urgency.SUBMISSION: limit // 10, Urgency.BACKGROUND: limit // 5}
    least = {Urgency.PERSON: 0, Urgency.SUBMISSION: 1, Urgency.BACKGROUND: 2}
    return max(1, limit - max(least[urgency], kept[urgency]))


def _moment(seconds: float) -> datetime | None:
    return datetime.now(UTC) + timedelta(seconds=seconds) if seconds > 0 else None
