"""Where the weather is noted: in Redis for all processes, or in this process alone."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from . import scripts
from .shared_log import connect

KEEP = 2 * 3600  # seconds that a minute is kept


@dataclass(frozen=True, slots=True)
class Found:
    """What a sheet holds, as text: the fields of each minute asked for, and what else was noted."""

    minutes: Sequence[Mapping[str, str]]
    totals: Mapping[str, str]
    tokens: Mapping[str, str]
    failure: str
    outage: str


class Sheet(Protocol):
    """What the weather needs to be noted."""

    def count(self, minute: int, what: str, took: int, failed: str, *, is_answered: bool) -> None:
        """Count one call of a ``minute``, and how long it took; keep how it ``failed``."""

    def put(self, name: str, text: str, seconds: int) -> None:
        """Keep a text under a name for so long."""

    def put_in(self, name: str, key: str, text: str) -> None:
        """Keep a text under a name and a key."""

    def read(self, minutes: Sequence[int]) -> Found:
        """Return what is noted. Raises RedisError or OSError."""
        ...


class SharedSheet:
    """A sheet in Redis; every call raises RedisError or OSError where it is away."""

    def __init__(self, url: str, name: str) -> None:
        self._prefix = f"investment-api:{name}:weather:"
        self._redis = connect(url)
        self._count = self._redis.register_script(scripts.COUNT)

    def count(self, minute: int, what: str, took: int, failed: str, *, is_answered: bool) -> None:
        """Count one call, with one round trip."""
        keys = [self._prefix + name for name in (str(minute), "totals", "failure", "outage")]
        self._count(keys, [what, took, KEEP, failed, int(is_answered)])

    def put(self, name: str, text: str, seconds: int) -> None:
        """Keep a text."""
        self._redis.set(self._prefix + name, text, ex=seconds)

    def put_in(self, name: str, key: str, text: str) -> None:
        """Keep a text under a key."""
        self._redis.hset(self._prefix + name, key, text)

    def read(self, minutes: Sequence[int]) -> Found:
        """Return what is noted, with one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in (*map(str, minutes), "totals", "tokens"):
            pipeline.hgetall(self._prefix + name)
        for name in ("failure", "outage"):
            pipeline.get(self._prefix + name)
        *found, totals, tokens, failure, outage = pipeline.execute()
        of_minutes = [_texts(fields) for fields in found]
        held = ((text or b"").decode() for text in (failure, outage))
        return Found(of_minutes, _texts(totals), _texts(tokens), *held)


@dataclass(slots=True)
class OwnSheet:
    """A sheet of this process, for where there is no Redis."""

    _minutes: dict[int, dict[str, int]] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, minute: int, what: str, took: int, failed: str, *, is_answered: bool) -> None:
        """Count one call, and forget the minutes of long ago."""
        with self._lock:
            fields = self._minutes.setdefault(minute, {"longest": 0})
            fields[what] = fields.get(what, 0) + 1
            fields["took"] = fields.get("took", 0) + took
            fields["longest"] = max(fields["longest"], took)
            self._totals[what] = self._totals.get(what, 0) + 1
            for old in [it for it in self._minutes if it < minute - KEEP // 60]:
                del self._minutes[old]
            if failed:
                self._texts["failure"] = failed
            if is_answered:
                self._texts.pop("outage", None)

    def put(self, name: str, text: str, seconds: int) -> None:
        """Keep a text, for as long as the process lives."""
        self._texts[name] = text

    def put_in(self, name: str, key: str, text: str) -> None:
        """Keep a text under a key; there is one such name."""
        self._tokens[key] = text

    def read(self, minutes: Sequence[int]) -> Found:
        """Return what is noted."""
        with self._lock:
            found = [_words(self._minutes.get(minute, {})) for minute in minutes]
            texts = (self._texts.get(name, "") for name in ("failure", "outage"))
            return Found(found, _words(self._totals), dict(self._tokens), *texts)


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): text.decode() for name, text in fields.items()}


def _words(fields: Mapping[str, int]) -> dict[str, str]:
    return {name: str(n) for name, n in fields.items()}
