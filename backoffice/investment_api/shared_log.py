"""The log of granted requests in Redis, by which all processes keep to one budget."""

import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import redis

from backoffice import redis_address

from . import adaptive, scripts
from .adaptive import Share

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds, to connect and for an answer
REST = 2.0  # seconds without asking Redis after it failed

_PEER_FOR = timedelta(minutes=5)  # how long a process counts after it last asked
_LEAST_PEERS = 4  # what Redis told last may be from before the others started


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """Seconds of a pause, which is not for people, and seconds to wait before asking again; 0: let through.

    ``share`` is that of background work, as (size, seconds since it began to come back); None while
    it is whole.
    """

    paused: float
    wait: float
    share: tuple[int, float] | None = None


class SharedLog:
    """One budget in Redis. Never raises, and costs a bounded time while Redis is away.

    ``peers`` is how many processes to assume, itself included: those that asked lately, as far as
    Redis told.
    """

    def __init__(
        self, url: str, name: str, limit: int, window: timedelta, clock: Callable[[], float]
    ) -> None:
        self.peers = _LEAST_PEERS
        self._limit = limit
        self._window = window
        self._clock = clock
        self._is_lost = False
        self._asks_from = self._shares_from = float("-inf")
        self._id = uuid.uuid4().hex
        self._keys = [
            f"investment-api:{name}:{key}" for key in ("log", "pause", "peers", "rest", "share")
        ]
        connection = connect(url)
        self._ask = connection.register_script(scripts.ASK)
        self._look = connection.register_script(scripts.LOOK)
        self._pause = connection.register_script(scripts.PAUSE)
        self._throttle = connection.register_script(scripts.THROTTLE)

    def ask(
        self, part: int, full: int, *, is_background: bool, is_person: bool
    ) -> SharedAnswer | None:
        """Ask for one request, of at most ``part`` in the window; None while Redis is away.

        Where it is background work, whose share is ``full`` while it is whole, that share counts too.
        A person's is let through during a pause.
        """
        now = self._clock()
        if now < self._asks_from:
            return self._without(now)
        arguments = self._arguments(part, now)
        every, addition = _microseconds(adaptive.EVERY), adaptive.addition(full)
        pace = [int(is_background), every, addition, int(is_person)]
        try:
            count, *answer = self._ask(self._keys, [*arguments, *pace])
        except (redis.RedisError, OSError) as error:
            self._lose(error)
            return self._without(now)
        self._is_lost = False
        self.peers = max(count, _LEAST_PEERS)
        return _read(answer)

    def look(self) -> SharedAnswer | None:
        """Return how things stand, without asking for a request; None while Redis is away."""
        if self._clock() < self._asks_from:
            return None
        try:
            _, *answer = self._look(self._keys, [])
        except (redis.RedisError, OSError) as error:
            self._lose(error)
            return None
        return _read(answer)

    def pause(self, length: timedelta) -> None:
        """Let nobody but people through for ``length``, unless they wait longer already."""
        milliseconds = max(1, round(length.total_seconds() * 1000))
        self._tell(self._pause, self._keys[1:2], [milliseconds])

    def throttle(self, share: Share, wait: float) -> None:
        """Halve the share of background work, of which ``share`` says how much it is when whole."""
        moments = (_microseconds(seconds) for seconds in (wait, adaptive.REST, adaptive.EVERY))
        self._tell(self._throttle, self._keys[4:5], [share.full, *moments, share.addition])

    def _tell(self, script: Callable[..., object], keys: list[str], arguments: list[int]) -> None:
        try:
            script(keys, arguments)
        except (redis.RedisError, OSError) as error:
            self._lose(error)

    def _arguments(self, part: int, now: float) -> list[str | int]:
        window = self._window // timedelta(microseconds=1)
        settle = REST + 2 * TIMEOUT + self._window.total_seconds()
        is_back = self._is_lost and now < self._asks_from + settle
        process = f"{self._id}:{os.getpid()}"  # a forked worker counts for itself
        peer_for = _PEER_FOR // timedelta(microseconds=1)
        return [part, self._limit, window, process, peer_for, int(is_back * settle * 1000)]

    def _without(self, now: float) -> SharedAnswer | None:
        # What Redis let through before it went away has to leave the window first.
        rest = self._shares_from - now
        return SharedAnswer(0.0, rest) if rest > 0 else None

    def _lose(self, error: Exception) -> None:
        now = self._clock()
        self._asks_from = now + REST
        if not self._is_lost:
            self._is_lost = True
            self._shares_from = now + self._window.total_seconds()
            logger.warning("the shared budget is away, this process keeps to its share: %s", error)


def connect(url: str) -> redis.Redis:
    """Return a connection that costs a bounded time where nobody answers, and never tries twice."""
    return redis_address.read(url).client(TIMEOUT)


def _read(answer: list[int]) -> SharedAnswer:
    paused, wait, size, age = answer
    return SharedAnswer(paused / 1e6, wait / 1e6, (size, age / 1e6) if size >= 0 else None)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
