"""The keys upstream signs deliveries with: fetched, remembered, and fetched again with restraint.

Held in the memory of each process, so that a dead Redis does not matter, and in Django's cache, so
that several processes ask once. Source: investment-api.md, section 4.4.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.core.cache import cache

from backoffice.http_signatures import PublicKey, UnsupportedKeyError, public_key_from_jwk
from backoffice.interruptions import INTERRUPTIONS

logger = logging.getLogger(__name__)

LONGEST_AGE = 15 * 60.0  # seconds until the set is fetched anew: a key that left it ends then
SPACING = 10.0  # seconds between two fetches, on average: strangers name keys as they like
BURST = 3  # fetches that may follow each other at once: keys may rotate seconds after a fetch
PATIENCE = 2.0  # most seconds that a delivery waits for a key that is not known
LOOK = 0.05  # seconds between two looks for the set that another process is fetching
CACHED_SET = "webhooks.key_set"
CACHED_TURN = "webhooks.key_set.turn"  # held by the process that is fetching
CACHED_NEXT = "webhooks.key_set.next"  # what Spacing remembers, for all processes
RENEWALS = "key set renewal"  # name of the threads
LEASE = 5  # seconds after which a process that died while fetching holds up no other


class KeysUnavailableError(Exception):
    """The keys cannot be fetched now, so that nothing can be said about a signature."""


@dataclass(frozen=True, slots=True)
class Held:
    """A key set and when it was fetched, in Unix time."""

    keys: Mapping[str, PublicKey]
    fetched_at: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """One attempt to come by a newer set, for all that wait for it.

    ``asked_at`` is Unix time, as of the key set; ``started_at`` is the same moment, monotonic.
    """

    asked_at: float
    started_at: float
    is_done: threading.Event = field(default_factory=threading.Event)


def next_turn(earliest: float, now: float) -> float | None:
    """Return what ``earliest`` becomes by a fetch at ``now``, or None where it may not be made now.

    ``earliest`` is the moment from which BURST fetches may be made at once; it moves by SPACING with
    each. Farther ahead than it ever gets, it was written by a clock that was set back since.
    """
    if earliest > now + BURST * SPACING:
        earliest = now
    if earliest > now + (BURST - 1) * SPACING:
        return None
    return max(earliest, now) + SPACING


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
        self._renewal: Renewal | None = None
        self._earliest = float("-inf")

    def find(self, wanted: Collection[str]) -> Mapping[str, PublicKey]:
        """Return the keys there are, fetched anew where none is among ``wanted``.

        A key that is known never waits: an old set is renewed behind its back. For one that is not,
        the caller that starts a renewal waits for it, and while no key is known at all the others
        wait too, all of them until the same moment. Raises KeysUnavailableError where none of
        ``wanted`` is known and no newer set can be had now.
        """
        if self._serves(wanted):
            if self._age() >= LONGEST_AGE:
                self._renew(wanted)
            return self._held.keys
        renewal, is_mine = self._renew(wanted)
        if renewal and (is_mine or not self._held.keys):
            renewal.is_done.wait(max(0.0, renewal.started_at + PATIENCE - time.monotonic()))
        is_under_way = renewal is not None and not renewal.is_done.is_set()
        if not self._serves(wanted) and (is_under_way or self._age() > SPACING + PATIENCE):
            raise KeysUnavailableError("the keys of the Investment API cannot be fetched now")
        return self._held.keys

    def prepare(self) -> None:
        """Have keys fetched behind everybody's back, before the first delivery asks for one."""
        self._renew(())

    def forget(self) -> None:
        """Forget what this process holds, as a restart does."""
        with self._lock:
            self._held, self._earliest = Held({}, float("-inf")), float("-inf")
            self._renewal = None

    def _serves(self, wanted: Collection[str]) -> bool:
        """Return whether one of ``wanted`` is known, or any where nobody wants a certain one."""
        if not wanted:
            return bool(self._held.keys)
        return any(key_id in self._held.keys for key_id in wanted)

    def _lacks(self, wanted: Collection[str]) -> bool:
        return not self._serves(wanted) or self._age() >= LONGEST_AGE

    def _age(self) -> float:
        return self._clock() - self._held.fetched_at

    def _renew(self, wanted: Collection[str]) -> tuple[Renewal | None, bool]:
        """Start a renewal unless one is under way or several were just made; return it, and if it is new."""
        with self._lock:
            if self._renewal and not self._renewal.is_done.is_set():
                return self._renewal, False
            now = self._clock()
            earliest = next_turn(self._earliest, now)
            if earliest is None:
                return self._renewal, False
            self._earliest = earliest
            self._renewal = Renewal(now, time.monotonic())
            # A thread of its own: upstream may take longer to answer than a delivery may wait.
            threading.Thread(
                target=self._run, args=(self._renewal, wanted), name=RENEWALS, daemon=True
            ).start()
            return self._renewal, True

    def _run(self, renewal: Renewal, wanted: Collection[str]) -> None:
        shared = _Shared()
        try:
            self._adopt(shared)
            if self._lacks(wanted):
                self._ask(shared, renewal, wanted)
        except INTERRUPTIONS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys held go on serving
            logger.error("the key set cannot be fetched: %s: %s", type(error).__name__, error)  # noqa: TRY400
        finally:
            renewal.is_done.set()

    def _adopt(self, shared: "_Shared") -> None:
        """Take the set that another process fetched since, if there is one."""
        try:
            document = json.loads(shared.get(CACHED_SET) or "null")
            if document and float(document["fetched_at"]) > self._held.fetched_at:
                self._held = Held(_keys(document["keys"]), float(document["fetched_at"]))
        except (TypeError, ValueError, LookupError) as error:
            logger.warning("the key set in the cache cannot be read: %s", error)

    def _ask(self, shared: "_Shared", renewal: Renewal, wanted: Collection[str]) -> None:
        """Fetch the set, or wait for the one that another process is fetching."""
        while not shared.add(CACHED_TURN, 1, LEASE):
            if time.monotonic() > renewal.started_at + PATIENCE:
                return
            time.sleep(LOOK)
            self._adopt(shared)
            if self._serves(wanted):
                return
        try:
            self._adopt(shared)  # the other process may have ended between two looks
            # What was fetched since the delivery came holds all that it can ask for.
            is_older = self._held.fetched_at < renewal.asked_at
            if self._lacks(wanted) and is_older and self._is_turn(shared):
                self._ask_upstream(shared)
        finally:
            shared.delete(CACHED_TURN)

    def _is_turn(self, shared: "_Shared") -> bool:
        """Take one of the fetches that all processes have together; False if none is left now."""
        try:
            remembered = float(shared.get(CACHED_NEXT) or "-inf")
        except (TypeError, ValueError):
            remembered = float("-inf")
        earliest = next_turn(remembered, self._clock())
        if earliest is not None:
            shared.set(CACHED_NEXT, earliest, 2 * BURST * SPACING)
        return earliest is not None

    def _ask_upstream(self, shared: "_Shared") -> None:
        asked_at = self._clock()
        jwks = list(self._fetch())
        keys = _keys(jwks)
        if not keys:
            raise ValueError("the set has no key that can verify a delivery")
        self._held = Held(keys, asked_at)
        shared.set(CACHED_SET, json.dumps({"keys": jwks, "fetched_at": asked_at}), None)


class _Shared:
    """The cache during one renewal: where it fails once it is left alone, for each try costs a delivery time."""

    def __init__(self) -> None:
        self._is_dead = False

    def get(self, key: str) -> Any:
        return self._ask(lambda: cache.get(key))

    def set(self, key: str, value: Any, timeout: float | None) -> None:
        self._ask(lambda: cache.set(key, value, timeout))

    def add(self, key: str, value: Any, timeout: float) -> bool:
        """Return whether ``key`` was free; without a cache it is."""
        return bool(self._ask(lambda: cache.add(key, value, timeout), default=True))

    def delete(self, key: str) -> None:
        self._ask(lambda: cache.delete(key))

    def _ask(self, ask: Callable[[], Any], *, default: Any = None) -> Any:
        if self._is_dead:
            return default
        try:
            return ask()
        except INTERRUPTIONS:
            raise
        except Exception as error:  # noqa: BLE001 - a dead cache may cost us an optimisation, no delivery
            logger.warning("the cache does not answer: %s: %s", type(error).__name__, error)
            self._is_dead = True
            return default


def _keys(jwks: Sequence[Mapping[str, Any]]) -> Mapping[str, PublicKey]:
    """Read the usable keys; an unusable one is logged, the others go on."""
    keys: dict[str, PublicKey] = {}
    for jwk in jwks:
        try:
            keys[str(jwk["kid"])] = public_key_from_jwk(jwk)
        except (KeyError, UnsupportedKeyError) as error:
            logger.warning("a key of the key set is left out: %s", error)
    return MappingProxyType(keys)
