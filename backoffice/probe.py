"""A question that may hang, asked on a thread of its own: those who wait for the answer share it."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST = 2.0  # seconds that one of those who ask waits


class NoAnswerError(Exception):
    """Nothing was answered so far; the message says for how long."""


class Probe(Generic[T]):
    """Asks the same question for all who want to know at the moment, one at a time.

    However long it takes, it holds a single thread, and one more of those who wait for it: the
    others wait no longer than ``patience``, and not at all once it was in vain.
    """

    def __init__(self, ask: Callable[[], T], *, patience: float) -> None:
        self._ask, self._patience = ask, patience
        self._lock = Lock()
        self._place = Lock()  # of the one who waits long
        self._pool: ThreadPoolExecutor | None = None  # made when it is needed: after a fork
        self._answer: Future[T] | None = None
        self._began = 0.0
        self._is_slow = False

    def answer(self) -> T:
        """Return a fresh answer. Raises NoAnswerError, or what asking raised."""
        answer = self._asked()
        has_place = self._place.acquire(blocking=False)
        patience = LONGEST if has_place else 0.0 if self._is_slow else self._patience
        try:
            return answer.result(max(0.0, self._began + patience - time.monotonic()))
        except TimeoutError:
            self._is_slow = True
            waited = time.monotonic() - self._began
            raise NoAnswerError(f"did not answer within {waited:.1f} s") from None
        finally:
            if has_place:
                self._place.release()

    def _asked(self) -> Future[T]:
        with self._lock:
            if self._answer is None or self._answer.done():
                self._pool = self._pool or ThreadPoolExecutor(1, "probe")
                self._began = time.monotonic()
                self._answer = self._pool.submit(self._asked_in_time)
            return self._answer

    def _asked_in_time(self) -> T:
        try:
            return self._ask()
        finally:
            self._is_slow = time.monotonic() - self._began > self._patience
