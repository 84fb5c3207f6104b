"""Typed readers of the environment that collect what is wrong instead of stopping at the first.

A variable that is set but empty counts as unset. Messages never hold the value of a secret.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

from backoffice import redis_address
from backoffice.client_address import TrustedProxies
from backoffice.database_url import database, sqlite
from backoffice.market_hours import MarketHours

T = TypeVar("T")

LONGEST = 10 * 365 * 24 * 3600  # seconds; a moment so far ahead can still be reckoned with
AMOUNT = re.compile(r"([A-Z]{3})\s*=\s*([0-9]{1,20}(?:\.[0-9]{1,3})?)")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Environment:
    """The variables of one process; ``finish`` raises once for everything that was wrong."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []
        self.missing: list[str] = []  # what a web, worker or beat process cannot go without

    def text(self, name: str, default: str = "", *, needed: bool = False) -> str:
        """Return ``$NAME`` without surrounding blanks."""
        text = self._variables.get(name, "").strip()
        if needed and not text:
            self.missing.append(name)
        return text or default

    def secret(self, name: str, *, needed: bool = False) -> str:
        """Return ``$NAME``, or what stands in the file ``$NAME_FILE``."""
        path = self.text(f"{name}_FILE")
        if not path:
            return self.text(name, needed=needed)
        if self.text(name):
            self.problems.append(f"{name} and {name}_FILE are both set: which one counts?")
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            self.problems.append(f"{name}_FILE={path!r} cannot be read: {reason}")
            return ""
        if not text:
            self.problems.append(f"{name}_FILE={path!r} is empty")
        return text

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return ``$NAME`` as yes or no."""
        text = self.text(name).lower()
        if text and text not in YES + NO:
            self.problems.append(f"{name}={text!r} is neither 1 nor 0")
        return text in YES if text in YES + NO else default

    def integer(self, name: str, default: int, *, least: int = 0, most: int = sys.maxsize) -> int:
        """Return ``$NAME``, a whole number from ``least`` to ``most``."""
        return self._read(name, default, lambda text: _whole(text, least, most))

    def seconds(self, name: str, default: int) -> timedelta:
        """Return ``$NAME``, a whole number of seconds, ten years at the most."""
        return timedelta(seconds=self.integer(name, default, most=LONGEST))

    def optional_seconds(self, name: str) -> timedelta | None:
        """Return ``$NAME``, a whole number of seconds, or None where it is not set."""
        return self.seconds(name, 0) if self.text(name) else None

    def list(self, name: str, *, needed: bool = False) -> list[str]:
        """Return the items of ``$NAME``, which are separated by commas."""
        items = self.text(name, needed=needed).split(",")
        return [item.strip() for item in items if item.strip()]

    def amounts(self, name: str, default: str = "") -> dict[str, Decimal]:
        """Return ``$NAME``, an amount for each currency: ``EUR=1000000, GBP=800000``."""
        return self._read(name, _amounts(default) if default else {}, _amounts)

    def url(self, name: str, *, needed: bool = False) -> str:
        """Return ``$NAME``, an https address without the last slash; http on loopback only."""
        self.text(name, needed=needed)
        return self._read(name, "", _web_address)

    def pem(self, name: str, *, needed: bool = False) -> str:
        r"""Return the secret ``NAME``, a PEM; a literal ``\n`` in it is a line end."""
        text = self.secret(name, needed=needed).replace("\\n", "\n")
        if text and not text.startswith("-----BEGIN "):
            self.problems.append(f"{name} is not a PEM: it does not start with -----BEGIN")
        return text

    def hours(self, name: str) -> MarketHours:
        """Return ``$NAME`` as opening hours; unset is always open."""
        return self._read(name, MarketHours(), MarketHours.parse)

    def time_of_day(self, name: str) -> time | None:
        """Return ``$NAME``, a time of day like 02:30; None where it is not set."""
        return self._read(name, None, _time_of_day)

    def choice(self, name: str, choices: Collection[str]) -> str:
        """Return ``$NAME``, one of these words; "" where it is not set."""
        return self._read(name, "", lambda text: _one_of(text, choices))

    def zone(self, name: str, default: str) -> str:
        """Return ``$NAME``, the name of a time zone."""
        return self._read(name, default, _zone_name)

    def proxies(self, name: str) -> TrustedProxies:
        """Return ``$NAME``, a number of proxies or their addresses; unset is none."""
        return self._read(name, TrustedProxies(), TrustedProxies.parse)

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Return Django's description of the database at ``NAME``; unset: SQLite at ``default``."""
        text = self.secret(name)
        try:
            return database(text, base=default.parent) if text else sqlite(str(default))
        except ValueError as error:  # its text is ours, the address may hold a password
            self.problems.append(f"{name} {error}")
            return sqlite(str(default))

    def redis(self, name: str, *, needed: bool = False) -> str:
        """Return the secret ``NAME``, the address of a Redis."""
        text = self.secret(name, needed=needed)
        try:
            return text if text and redis_address.read(text) else ""
        except ValueError as error:  # its text is ours, the address may hold a password
            self.problems.append(f"{name} {error}")
            return ""

    def finish(self) -> None:
        """Raise one ImproperlyConfigured that names everything that is wrong."""
        if not self.problems:
            return
        lines = ["The environment cannot be used:", *(f"- {problem}" for problem in self.problems)]
        if self.missing:
            lines.append(f"A web, worker or beat process also needs: {', '.join(self.missing)}")
        raise ImproperlyConfigured("\n".join(lines))

    def _read(self, name: str, default: T, read: Callable[[str], T]) -> T:
        text = self.text(name)
        if not text:
            return default
        try:
            return read(text)
        except ValueError as error:
            self.problems.append(f"{name}={text!r}: {error}")
            return default


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    is_more = bool(parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not parts.hostname or is_more:
        raise ValueError("it is not like https://host")
    if not _has_sound_port(text):
        raise ValueError("its port is no number that a port can have")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("http is accepted on loopback only, use https")
    return text.rstrip("/")


def _has_sound_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _whole(text: str, least: int, most: int) -> int:
    # Cut, for Python makes no number of thousands of digits.
    if not text.isdecimal() or int(text[:40]) < least:
        raise ValueError(f"it is not a whole number of at least {least}")
    if int(text[:40]) > most:
        raise ValueError(f"it is more than {most}")
    return int(text)


def _amounts(text: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for item in text.split(","):
        match = AMOUNT.fullmatch(item.strip())
        if not match:
            raise ValueError(
                "it is not like EUR=1000000, GBP=800000: a currency, =, and an amount in digits "
                "without separators"
            )
        if match[1] in found:
            raise ValueError(f"{match[1]} is named twice")
        found[match[1]] = Decimal(match[2])
    return found


def _time_of_day(text: str) -> time | None:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 -- only its time counts
    except ValueError:
        raise ValueError("it is not a time of day like 02:30") from None


def _one_of(text: str, choices: Collection[str]) -> str:
    if text.lower() not in choices:
        raise ValueError(f"it is none of {', '.join(choices)}")
    return text.lower()


def _zone_name(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise ValueError("it is not a time zone like Europe/Berlin") from None
