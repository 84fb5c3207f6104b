"""How many calls a second the API takes; those beyond are answered 429."""

import threading
import time
from collections import deque
from collections.abc import Callable

from .answers import ProblemError

SECOND = 1.0


class Limit:
    """At most ``per_second`` calls in any second, all of them counted that were answered. Thread-safe.

    ``retry_after`` goes with a 429 as it is, where there is one. Goes by the machine's clock, as callers do.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.refused = 0
        self.clock = clock
        self._per_second = 0
        self._retry_after = ""
        self._answered: deque[float] = deque()
        self._lock = threading.Lock()

    def set(self, per_second: int, *, retry_after: str = "") -> None:
        """Take so many calls a second from now on; 0: as many as come. Raises ValueError below 0."""
        if per_second < 0:
            raise ValueError("per_second is a number of calls, or 0 for no limit.")
        with self._lock:
            self._per_second, self._retry_after = per_second, retry_after
            self.refused = 0

    def check(self) -> None:
        """Count a call. Raises ProblemError (429) if it is one too many."""
        with self._lock:
            if not self._per_second:
                return
            now = self.clock()
            while self._answered and now - self._answered[0] >= SECOND:
                self._answered.popleft()
            if len(self._answered) < self._per_second:
                self._answered.append(now)
                return
            self.refused += 1
            headers = {"retry-after": self._retry_after} if self._retry_after else {}
        raise ProblemError(429, headers=headers)
