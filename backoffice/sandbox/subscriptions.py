"""Who wants to be told what, and where: the webhook subscriptions."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from .answers import ProblemError
from .objects import Event, Json, timestamp

_DELAY = re.compile(r"[1-9][0-9]?[sm]")
_KINDS = {
    "title": str,
    "url": str,
    "type": list,
    "exclude_type": list,
    "config": dict,
    "enabled": bool,
}
_FIELDS = set(_KINDS) - {"enabled"}
_LOOPBACK = {"127.0.0.1", "localhost"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription as it is now; a change makes a new one."""

    id: str
    created_at: datetime
    updated_at: datetime
    title: str
    url: str
    type: tuple[str, ...] = ("ALL",)
    exclude_type: tuple[str, ...] = ()
    config: Json = field(default_factory=lambda: {"delay": "1s", "max_package_size": 51200})
    enabled: bool = False

    @property
    def delay(self) -> timedelta:
        """Return how long events are gathered before they are sent."""
        number, unit = int(self.config["delay"][:-1]), self.config["delay"][-1]
        return timedelta(seconds=number) if unit == "s" else timedelta(minutes=number)

    @property
    def max_package_size(self) -> int:
        """Return the most bytes of one delivery; one event alone may be larger."""
        return int(self.config["max_package_size"])

    def wants(self, event: Event) -> bool:
        """Return whether ``event`` is to be delivered."""
        if not self.enabled or event.topic in self.exclude_type:
            return False
        return "ALL" in self.type or event.topic in self.type

    def document(self) -> Json:
        """Return the subscription as the API shows it."""
        document: Json = {
            "id": self.id,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "title": self.title,
            "url": self.url,
            "type": list(self.type),
            "enabled": self.enabled,
            "config": self.config,
        }
        return document | ({"exclude_type": list(self.exclude_type)} if self.exclude_type else {})


class Subscriptions:
    """All subscriptions. Thread-safe. Raises ProblemError for what the contract forbids."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: dict[str, Subscription] = {}

    def create(self, document: Json, *, now: datetime) -> Subscription:
        """Create a subscription; it is disabled until it is changed."""
        if missing := {"title", "url"} - set(document):
            raise ProblemError(400, f"{', '.join(sorted(missing))} is required.")
        made = Subscription(str(uuid4()), now, now, "", "")
        made = replace(made, **_values(document, allowed=_FIELDS, held=made))
        with self._lock:
            self._all[made.id] = made
        return made

    def update(self, webhook_id: str, document: Json, *, now: datetime) -> Subscription:
        """Change what ``document`` names."""
        with self._lock:
            held = self._found(webhook_id)
            values = _values(document, allowed=_FIELDS | {"enabled"}, held=held)
            self._all[webhook_id] = replace(held, **values, updated_at=now)
            return self._all[webhook_id]

    def get(self, webhook_id: str) -> Subscription:
        """Return one subscription."""
        with self._lock:
            return self._found(webhook_id)

    def delete(self, webhook_id: str) -> None:
        """Remove a subscription."""
        with self._lock:
            del self._all[self._found(webhook_id).id]

    def all(self) -> list[Subscription]:
        """Return all subscriptions, the oldest first."""
        with self._lock:
            return list(self._all.values())

    def _found(self, webhook_id: str) -> Subscription:
        if webhook_id not in self._all:
            raise ProblemError(404)
        return self._all[webhook_id]


def _values(document: Json, *, allowed: set[str], held: Subscription) -> dict[str, Any]:
    """Return what to change in ``held``; what the document does not name stays as it is."""
    _check_names_and_kinds(document, allowed)
    values = dict(document)
    for name in {"type", "exclude_type"} & set(values):
        values[name] = tuple(values[name])
    if "config" in values:
        values["config"] = held.config | values["config"]
        _check_config(values["config"])
    if "url" in values:
        _check_url(values["url"])
    if not 0 < len(values.get("title", held.title or "-")) <= 100:
        raise ProblemError(400, "title must have 1 to 100 characters.")
    if values.get("exclude_type", held.exclude_type) and "ALL" not in values.get("type", held.type):
        raise ProblemError(400, "exclude_type works only together with ALL.")
    return values


def _check_names_and_kinds(document: Json, allowed: set[str]) -> None:
    if unknown := set(document) - allowed:
        raise ProblemError(400, f"Not accepted here: {', '.join(sorted(unknown))}.")
    for name, value in document.items():
        if not isinstance(value, _KINDS[name]):
            raise ProblemError(400, f"{name} is of the wrong kind.")


def _check_url(url: str) -> None:
    """Upstream takes https and DNS names only; plain http is for receivers on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError as error:
        raise ProblemError(400, "url cannot be read.") from error
    if parts.scheme == "http" and host in _LOOPBACK:
        return
    if parts.scheme != "https" or not host or len(url) > 1000 or _is_address(host):
        raise ProblemError(400, "url must be https with a DNS name, at most 1000 characters.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_config(config: Json) -> None:
    if not _DELAY.fullmatch(str(config["delay"])):
        raise ProblemError(400, "config.delay must be like 1s.")
    size = config["max_package_size"]
    if not isinstance(size, int) or not 100 <= size <= 1048576:
        raise ProblemError(400, "config.max_package_size must be from 100 to 1048576.")
