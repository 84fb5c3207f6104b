"""The keys upstream signs deliveries with: fetched, remembered, and fetched again with restraint.

Held in the memory of each process, so that a dead Redis does not matter, and in Django's cache, so
that several processes ask once. Source: investment-api.md, section 4.4.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.core.cache import cache

from backoffice.http_signatures import PublicKey, UnsupportedKeyError, public_key_from_jwk

logger = logging.getLogger(__name__)

LONGEST_AGE = 15 * 60.0  # seconds until the set is fetched anew: a key that left it ends then
SPACING = 10.0  # least seconds between two fetches: strangers name keys as they like
PATIENCE = 2.0  # most seconds that a delivery waits for a key that is not known
COURTESY = 0.5  # most seconds that it waits where its key is known and the set merely old
CACHED_SET = "webhooks.key_set"
CACHED_TURN = "webhooks.key_set.turn"  # taken by the process that may fetch now


class KeysUnavailableError(Exception):
    """The keys cannot be fetched now, so that nothing can be said about a signature."""


@dataclass(frozen=True, slots=True)
class Held:
    """A key set and when it was fetched, in Unix time."""

    keys: Mapping[str, PublicKey]
    fetched_at: float


class KeySet:
    """The key set of one process. ``fetch`` asks upstream for the JWKs and may raise anything."""

    def __init__(
        self,
        fetch: Callable[[], Sequence[Mapping[str, Any]]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._held = Held({}, float("-inf"))
        self._renewal: Future[None] | None = None
        self._renewed_at = float("-inf")

    def find(self, wanted: Collection[str]) -> Mapping[str, PublicKey]:
        """Return the keys there are, fetched anew when old or when none is among ``wanted``.

        Raises KeysUnavailableError when none of them is known and the set cannot be fetched.
        """
        if self._serves(wanted) and self._age() < LONGEST_AGE:
            return self._held.keys
        renewal, is_mine = self._renew(wanted)
        if not self._serves(wanted):
            _wait(renewal, PATIENCE)
        elif is_mine:  # one delivery waits for mere freshness, the others go on
            _wait(renewal, COURTESY)
        if not self._serves(wanted) and self._age() > SPACING + PATIENCE:
            raise KeysUnavailableError("the keys of the Investment API cannot be fetched now")
        return self._held.keys

    def forget(self) -> None:
        """Forget what this process holds, as a restart does."""
        with self._lock:
            self._held, self._renewed_at = Held({}, float("-inf")), float("-inf")

    def _serves(self, wanted: Collection[str]) -> bool:
        return any(key_id in self._held.keys for key_id in wanted)

    def _age(self) -> float:
        return self._clock() - self._held.fetched_at

    def _renew(self, wanted: Collection[str]) -> tuple["Future[None] | None", bool]:
        """Start a renewal unless one is under way or was just done; return it, and if it is new."""
        with self._lock:
            under_way = self._renewal is not None and not self._renewal.done()
            # Below 0 the machine's clock was set back: that must not keep us from asking.
            if under_way or 0 <= self._clock() - self._renewed_at < SPACING:
                return self._renewal, False
            self._renewed_at = self._clock()
            self._renewal = Future()
            # A thread of its own: upstream may take longer to answer than a delivery may wait.
            threading.Thread(target=self._run, args=(self._renewal, wanted), daemon=True).start()
            return self._renewal, True

    def _run(self, renewal: "Future[None]", wanted: Collection[str]) -> None:
        try:
            _cached(self._adopt)
            if not self._serves(wanted) or self._age() >= LONGEST_AGE:
                self._ask_upstream()
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys held go on serving
            logger.error("the key set cannot be fetched: %s: %s", type(error).__name__, error)  # noqa: TRY400
        finally:
            renewal.set_result(None)

    def _adopt(self) -> None:
        """Take the set that another process fetched since, if there is one."""
        cached = cache.get(CACHED_SET)
        if cached is not None:
            document = json.loads(cached)
            held = Held(_keys(document["keys"]), float(document["fetched_at"]))
            if held.fetched_at > self._held.fetched_at:
                self._held = held

    def _ask_upstream(self) -> None:
        if not _cached(lambda: cache.add(CACHED_TURN, 1, SPACING), default=True):
            return  # another process asks now, or has just asked
        asked_at = self._clock()
        jwks = list(self._fetch())
        keys = _keys(jwks)
        if not keys:
            raise ValueError("the set has no key that can verify a delivery")
        self._held = Held(keys, asked_at)
        document = json.dumps({"keys": jwks, "fetched_at": asked_at})
        _cached(lambda: cache.set(CACHED_SET, document, None))


def _wait(renewal: "Future[None] | None", most: float) -> None:
    if renewal is not None:
        try:
            renewal.result(timeout=most)
        except TimeoutError:
            logger.warning("the key set was not fetched within %.1f s", most)


def _keys(jwks: Sequence[Mapping[str, Any]]) -> Mapping[str, PublicKey]:
    """Read the usable keys; an unusable one is logged, the others go on."""
    keys: dict[str, PublicKey] = {}
    for jwk in jwks:
        try:
            keys[str(jwk["kid"])] = public_key_from_jwk(jwk)
        except (KeyError, UnsupportedKeyError) as error:
            logger.warning("a key of the key set is left out: %s", error)
    return MappingProxyType(keys)


def _cached(ask: Callable[[], Any], *, default: Any = None) -> Any:
    """Ask the cache; ``default`` where it does not answer."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a dead cache may cost us an optimisation, no delivery
        logger.warning("the cache does not answer: %s: %s", type(error).__name__, error)
        return default
