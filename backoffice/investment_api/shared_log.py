"""The log of granted requests in Redis, by which all processes keep to one budget."""

import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds, to connect and for an answer
REST = 2.0  # seconds without asking Redis after it failed

_PEER_FOR = timedelta(minutes=5)  # how long a process counts after it last asked
_LEAST_PEERS = 4  # what Redis told last may be from before the others started

# One round trip with nobody in between, by Redis's clock: those of hosts differ.
_ASK = """
local log, pause, peers, rest = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local part, most, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local process, peer_for, back_for = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

redis.call('ZADD', peers, now, process)
redis.call('ZREMRANGEBYSCORE', peers, '-inf', now - peer_for)
local count = redis.call('ZCARD', peers)

local paused = redis.call('PTTL', pause)
if paused > 0 then return {count, paused * 1000, 0} end

-- Whoever is back first lets all rest until nobody can be on a share any more.
if back_for > 0 then redis.call('SET', rest, '1', 'PX', back_for, 'NX') end
local resting = redis.call('PTTL', rest)
if resting > 0 then return {count, 0, resting * 1000} end

local oldest = redis.call('LINDEX', log, part - 1)
local age = oldest and now - oldest
if age and age >= 0 and age < window then return {count, 0, window - age} end
redis.call('LPUSH', log, now)
redis.call('LTRIM', log, 0, most - 1)
redis.call('PEXPIRE', log, math.ceil(window / 1000))
return {count, 0, 0}
"""
_PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """Seconds of a pause, and seconds to wait before asking again; both 0: let through."""

    paused: float
    wait: float


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
        self._keys = [f"investment-api:{name}:{key}" for key in ("log", "pause", "peers", "rest")]
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._ask = self._redis.register_script(_ASK)
        self._pause = self._redis.register_script(_PAUSE)

    def ask(self, part: int) -> SharedAnswer | None:
        """Ask for one request, of at most ``part`` in the window; None while Redis is away."""
        now = self._clock()
        if now < self._asks_from:
            return self._without(now)
        try:
            count, paused, wait = self._ask(self._keys, self._arguments(part, now))
        except (redis.RedisError, OSError) as error:
            self._lose(error)
            return self._without(now)
        self._is_lost = False
        self.peers = max(count, _LEAST_PEERS)
        return SharedAnswer(paused / 1e6, wait / 1e6)

    def pause(self, length: timedelta) -> None:
        """Let nobody through for ``length``, unless they wait longer already."""
        milliseconds = max(1, round(length.total_seconds() * 1000))
        try:
            self._pause(self._keys[1:2], [milliseconds])
        except (redis.RedisError, OSError) as error:
            self._lose(error)

    def paused_for(self) -> float:
        """Return the seconds that nobody is let through; 0 if they are, or Redis is away."""
        if self._clock() < self._asks_from:
            return 0.0
        try:
            return max(0.0, self._redis.pttl(self._keys[1]) / 1e3)
        except (redis.RedisError, OSError) as error:
            self._lose(error)
            return 0.0

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
