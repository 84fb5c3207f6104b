"""What is on its way to one subscription: gathered, packed, sent, repeated until it is taken.

A package that is refused blocks everything behind it. Events are ascending by time inside one
package; nothing is promised across packages.
"""

import heapq
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from threading import Lock

from .objects import Event
from .subscriptions import Subscription

WAITS = tuple(timedelta(seconds=s) for s in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 600))
"""The pauses before a refused delivery is repeated; the last one for ever."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that was tried. ``outcome`` is the status of the answer, or why there was none."""

    at: datetime
    url: str
    body: bytes
    outcome: str

    @property
    def is_taken(self) -> bool:
        """Return whether the receiver has it: 200 and nothing else."""
        return self.outcome == "200"


def envelope(texts: Iterable[bytes]) -> bytes:
    """Return the body of a delivery of events, each as JSON."""
    return b'{"payload": [' + b", ".join(texts) + b"]}"


Send = Callable[[str, bytes], str]
"""Posts a body to a URL, signed; returns the outcome of the attempt."""


class Lane:
    """The queue of one subscription. ``pace`` is what delays and waits are divided by. Thread-safe."""

    def __init__(self, subscription: Subscription, *, pace: float) -> None:
        self.subscription = subscription
        self.attempts: deque[Attempt] = deque(maxlen=1000)
        self._pace = pace
        self._lock = Lock()
        self._sending = Lock()
        self._count = count()
        self._queue: list[tuple[datetime, int, datetime, bytes]] = []
        self._package: tuple[bytes, int] | None = None
        self._refusals = 0
        self._not_before: datetime | None = None
        self.failing_since: datetime | None = None

    def add(self, event: Event, *, from_: datetime) -> None:
        """Queue ``event``, to be gathered from the time ``from_`` on."""
        text = json.dumps(event.document(self.subscription.id)).encode()
        with self._lock:
            heapq.heappush(self._queue, (from_, next(self._count), event.created_at, text))

    def pending(self) -> int:
        """Return how many events are queued or under way."""
        with self._lock:
            return len(self._queue) + (self._package[1] if self._package else 0)

    def next_at(self) -> datetime | None:
        """Return when there is something to do next; None if nothing is queued or it is being sent."""
        if self._sending.locked():
            return None
        with self._lock:
            if self._package is not None:
                return self._not_before
            return self._queue[0][0] + self._delay if self._queue else None

    def deliver(self, clock: Callable[[], datetime], send: Send) -> None:
        """Send everything that is due, until something is refused. Does nothing while another does."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            while (body := self._due(clock())) is not None:
                outcome = send(self.subscription.url, body)
                attempt = Attempt(clock(), self.subscription.url, body, outcome)
                self.attempts.append(attempt)
                self._settle(attempt)
        finally:
            self._sending.release()

    @property
    def _delay(self) -> timedelta:
        return self.subscription.delay / self._pace

    def _due(self, now: datetime) -> bytes | None:
        with self._lock:
            if self._package is not None:
                is_due = self._not_before is None or self._not_before <= now
                return self._package[0] if is_due else None
            if not self._queue or not self._is_full_or_old(now):
                return None
            self._package = self._packed(now)
            return self._package[0]

    def _is_full_or_old(self, now: datetime) -> bool:
        if self._queue[0][0] + self._delay <= now:
            return True
        gathered = sum(len(text) for from_, _, _, text in self._queue if from_ <= now)
        return gathered >= self.subscription.max_package_size

    def _packed(self, now: datetime) -> tuple[bytes, int]:
        chosen: list[tuple[datetime, int, bytes]] = []
        size = 0
        while self._queue and self._queue[0][0] <= now:
            length = len(self._queue[0][3]) + 2
            if chosen and size + length > self.subscription.max_package_size:
                break
            _, place, created_at, text = heapq.heappop(self._queue)
            chosen.append((created_at, place, text))
            size += length
        texts = [text for _, _, text in sorted(chosen)]
        return envelope(texts), len(texts)

    def _settle(self, attempt: Attempt) -> None:
        with self._lock:
            if attempt.is_taken:
                self._package, self._not_before, self._refusals = None, None, 0
                self.failing_since = None
                return
            self.failing_since = self.failing_since or attempt.at
            wait = WAITS[min(self._refusals, len(WAITS) - 1)]
            self._refusals += 1
            self._not_before = attempt.at + wait / self._pace
