"""Panels of the dashboard: numbers that may be a few seconds old, and no trouble that spreads.

A database that does not answer costs a panel, never the page. A cache that does not answer costs
a fraction of a second once in a while: the numbers are then read anew.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from uuid import uuid4

from django.core.cache import cache
from django.db import Error as DatabaseTrouble

from backoffice.doorbell import Breaker
from backoffice.interruptions import INTERRUPTIONS

logger = logging.getLogger(__name__)

T = TypeVar("T")

FRESH = 15  # seconds
LAST = 60  # seconds for which the last is shown while somebody reads anew
LEASE = 10  # seconds after which another may read: who did has died
PATIENCE = 2.0  # seconds to wait for another
PAUSE = 0.05  # seconds between two looks
breaker = Breaker()
_locks: dict[str, threading.Lock] = {}
_read: dict[str, tuple[float, object]] = {}  # when it began, and what was read


def panel(read: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a panel shows; ``is_available`` is False where the database did not answer."""
    try:
        return {"is_available": True, **read()}
    except DatabaseTrouble as error:
        logger.warning("A panel is left out: %s: %s", type(error).__name__, error)
        return {"is_available": False}


def recent(name: str, read: Callable[[], T]) -> T:
    """Return what ``read`` returned ``FRESH`` seconds ago at most, in any process.

    Of many that find nothing fresh one reads; the others show the last, where there is one, else
    they wait for it, though not for long.
    """
    held = recall(name)
    if held is not None:
        return cast("T", held)
    mine = uuid4().hex
    may_read = _with_cache(lambda: cache.add(_reading(name), mine, LEASE))
    if may_read is None:  # no cache: each process by itself
        return _once(name, read)
    if not may_read and (held := recall(_last(name)) or _awaited(name)) is not None:
        return cast("T", held)
    try:
        value = read()
        # Not where it was forgotten meanwhile: what was read is older than the reason for that.
        if not may_read or _with_cache(lambda: cache.get(_reading(name))) == mine:
            remember(name, value, FRESH)
            remember(_last(name), value, LAST)
        return value
    finally:
        if may_read:
            _with_cache(lambda: cache.delete(_reading(name)))


def recall(name: str) -> Any:
    """Return what is remembered; None where nothing is, or the cache does not answer."""
    return _with_cache(lambda: cache.get(f"panel/{name}"))


def remember(name: str, value: object, seconds: int) -> None:
    """Remember something for so long, for all processes."""
    _with_cache(lambda: cache.set(f"panel/{name}", value, seconds))


def forget(name: str) -> None:
    """Have what is remembered read anew, in any process."""
    keys = [f"panel/{name}", f"panel/{_last(name)}", _reading(name)]
    _with_cache(lambda: cache.delete_many(keys))


def _last(name: str) -> str:
    return f"{name}/last"


def _reading(name: str) -> str:
    return f"panel/{name}/reading"


def _awaited(name: str) -> Any:
    """Return what another is reading; None where it takes too long."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(PAUSE)
        if (held := recall(name)) is not None:
            return held
    return None


def _once(name: str, read: Callable[[], T]) -> T:
    """Read; of the threads of this process that wait meanwhile one reads for all of them."""
    arrived = time.monotonic()
    lock = _locks.setdefault(name, threading.Lock())
    is_locked = lock.acquire(timeout=PATIENCE)  # a database that hangs holds up nobody for longer
    try:
        began, value = _read.get(name, (0.0, None))
        if is_locked and began >= arrived:
            return cast("T", value)
        began, fresh = time.monotonic(), read()
        _read[name] = began, fresh
        return fresh
    finally:
        if is_locked:
            lock.release()


def _with_cache(use: Callable[[], T]) -> T | None:
    if breaker.is_open():
        return None
    try:
        return use()
    except INTERRUPTIONS:
        raise
    except Exception as error:  # noqa: BLE001 -- each cache has errors of its own
        if breaker.trip():
            logger.warning("The cache does not answer: %s: %s", type(error).__name__, error)
        return None
