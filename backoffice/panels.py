"""Panels of the dashboard: numbers that may be a few seconds old, and no trouble that spreads.

A database that does not answer costs a panel, never the page. A cache that does not answer costs
a fraction of a second once in a while: the numbers are then read anew.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.cache import cache
from django.db import Error as DatabaseTrouble

from backoffice.doorbell import Breaker
from backoffice.interruptions import INTERRUPTIONS

logger = logging.getLogger(__name__)

T = TypeVar("T")

FRESH = 15  # seconds
breaker = Breaker()


def panel(read: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a panel shows; ``is_available`` is False where the database did not answer."""
    try:
        return {"is_available": True, **read()}
    except DatabaseTrouble as error:
        logger.warning("A panel is left out: %s: %s", type(error).__name__, error)
        return {"is_available": False}


def recent(name: str, read: Callable[[], T]) -> T:
    """Return what ``read`` returned ``FRESH`` seconds ago at most, in any process."""
    key = f"panel/{name}"
    held = _with_cache(lambda: cache.get(key))
    if held is None:
        held = read()
        _with_cache(lambda: cache.set(key, held, FRESH))
    return held


def forget(name: str) -> None:
    """Have what is remembered read anew, in any process."""
    _with_cache(lambda: cache.delete(f"panel/{name}"))


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
