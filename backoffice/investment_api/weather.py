"""The weather upstream: what its calls came to in each minute of the last hour, by all processes together.

In Redis where there is one, else in this process. Never raises and costs a bounded time: numbers for
people are not worth a call.
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from . import sheets
from .breaker import Outage
from .budget import Urgency
from .errors import InvestmentAPIError, NotFoundError

logger = logging.getLogger(__name__)

MINUTES = 60
OUTCOMES = ("answered", "429", "4xx", "5xx", "gateway", "network")
REST = 5.0  # seconds without writing after it failed
_OUTAGE_FOR = 3600  # seconds: who noted it may have ended meanwhile
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Minute:
    """The calls of one minute: how many by (urgency, outcome), and how long they took."""

    begins: datetime
    counts: Mapping[tuple[str, str], int]
    took: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Failure:
    """The last call that was not answered well: which, with which status, and why."""

    at: datetime
    call: str
    status: int | None
    words: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TokenLife:
    """When the token of a scope was fetched, and when it ends. Never the token."""

    issued: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of the weather; minutes without a call are left out."""

    minutes: tuple[Minute, ...] = ()
    totals: Mapping[tuple[str, str], int] | None = None
    failure: Failure | None = None
    outage: Outage | None = None
    tokens: Mapping[str, TokenLife] | None = None


class Weather:
    """Notes what calls came to, and tells of it."""

    def __init__(self, redis_url: str = "", name: str = "") -> None:
        self._sheet: sheets.Sheet = (
            sheets.SharedSheet(redis_url, name) if redis_url else sheets.OwnSheet()
        )
        self._writes_from = float("-inf")

    def note(
        self, call: str, urgency: Urgency, took: float, error: InvestmentAPIError | None
    ) -> None:
        """Note one call: how many seconds it took, and the error it ended with."""
        outcome, now = outcome_of(error), time.time()
        failed = ""
        if error is not None and not isinstance(error, NotFoundError):
            failed = json.dumps(
                {
                    "at": now,
                    "call": call,
                    "status": error.status,
                    "words": error.message[:_LONGEST_WORDS],
                    "request_id": error.request_id,
                }
            )
        self._write(
            lambda: self._sheet.count(
                int(now) // 60,
                f"{urgency.value} {outcome}",
                round(took * 1000),
                failed,
                is_answered=error is None or error.is_answer,
            )
        )

    def note_outage(self, outage: Outage) -> None:
        """Note that upstream does not answer; the next call of any process that it answers ends that."""
        text = f"{outage.since.timestamp()} {outage.next_try.timestamp()}"
        self._write(lambda: self._sheet.put("outage", text, _OUTAGE_FOR))

    def note_token(self, scope: str, *, issued: float, expires: float) -> None:
        """Note that a token was fetched, by its scope and its times (Unix)."""
        self._write(lambda: self._sheet.put_in("tokens", scope, f"{issued} {expires}"))

    def report(self, *, now: datetime) -> Report | None:
        """Return the weather of the last hour; None where it cannot be read."""
        last = int(now.timestamp()) // 60
        wanted = range(last - MINUTES + 1, last + 1)
        try:
            found = self._sheet.read(wanted)
        except (redis.RedisError, OSError) as error:
            logger.warning("The weather cannot be read: %s", error)
            return None
        minutes = zip(wanted, found.minutes, strict=True)
        return Report(
            tuple(_minute(minute, fields) for minute, fields in minutes if fields),
            _counts(found.totals),
            _failure(found.failure),
            _outage(found.outage),
            {scope: TokenLife(*_moments(text)) for scope, text in found.tokens.items()},
        )

    def _write(self, write: Any) -> None:
        if time.monotonic() < self._writes_from:
            return
        try:
            write()
        except (redis.RedisError, OSError) as error:
            self._writes_from = time.monotonic() + REST
            logger.warning("The weather is not noted for %.0f s: %s", REST, error)


def outcome_of(error: InvestmentAPIError | None) -> str:
    """Return which of ``OUTCOMES`` a call came to."""
    if error is None:
        return "answered"
    if error.status is None:
        return "network"
    if error.status == 429:
        return "429"
    if error.status >= 500:
        return "5xx"
    return "gateway" if error.is_foreign else "4xx"


def _minute(minute: int, fields: Mapping[str, str]) -> Minute:
    return Minute(
        datetime.fromtimestamp(minute * 60, UTC),
        _counts(fields),
        timedelta(milliseconds=int(fields.get("took", 0))),
        timedelta(milliseconds=int(fields.get("longest", 0))),
    )


def _counts(fields: Mapping[str, str]) -> dict[tuple[str, str], int]:
    counts = {}
    for name, n in fields.items():
        urgency, is_count, outcome = name.partition(" ")
        if is_count:
            counts[urgency, outcome] = int(n)
    return counts


def _failure(text: str) -> Failure | None:
    with suppress(ValueError, KeyError, TypeError):
        document = json.loads(text)
        return Failure(**{**document, "at": datetime.fromtimestamp(document["at"], UTC)})
    return None


def _outage(text: str) -> Outage | None:
    return Outage(*_moments(text)) if text else None


def _moments(text: str) -> list[datetime]:
    return [datetime.fromtimestamp(float(part), UTC) for part in text.split()]
