"""What our subscription should be, and in what a registered one differs from it. Pure.

Source: investment-api.md, sections 4.1 and 4.5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

TITLE = "Order Desk"
TOPICS = (
    "PORTFOLIO_ORDER", "ORDER", "EXECUTION", "ORDER_CANCELLATION", "REBALANCING_EXECUTION_ORDER",
)  # fmt: skip
# Upstream gathers no longer than this, and packs some 200 events: each is stored in well under a
# second, and upstream's own limit for an answer is not documented.
CONFIG: Mapping[str, Any] = {"delay": "1s", "max_package_size": 262_144}
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Registered:
    """A subscription as upstream lists it."""

    id: UUID
    title: str = ""
    url: str = ""
    topics: tuple[str, ...] = ()
    excluded_topics: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = False
    created_at: datetime | None = None

    @property
    def topics_text(self) -> str:
        """Return the topics as people read them: "ALL but POSITION"."""
        but = f" but {', '.join(self.excluded_topics)}" if self.excluded_topics else ""
        return f"{', '.join(self.topics) or 'no topic'}{but}"


def document(url: str) -> dict[str, Any]:
    """Return what to create; upstream does not accept ``enabled`` here."""
    return {"title": TITLE, "url": url, "type": list(TOPICS), "config": dict(CONFIG)}


def interval(config_text: object) -> str:
    """Return how long the broker gathers events before it delivers them, as people write it: "1 s", "2 min"."""
    text = str(config_text or "")
    for unit, word in (("s", "s"), ("m", "min")):
        if text.endswith(unit) and text[:-1].isdecimal():
            return f"{text[:-1]} {word}"
    return text


def drift(registered: Registered) -> list[str]:
    """Return the words of what differs: "topics", "batching interval", "package size", "title", "enabled".

    The topics are exactly ours, in any order. ALL is a drift too, whatever it excludes: it brings
    topics that nobody here reads, persons and accounts among them, into a journal that is never
    deleted, and tomorrow those that upstream invents.
    """
    config = registered.config
    differs = {
        "topics": set(registered.topics) != set(TOPICS) or bool(registered.excluded_topics),
        "batching interval": config.get("delay") != CONFIG["delay"],
        "package size": str(config.get("max_package_size")) != str(CONFIG["max_package_size"]),
        "title": registered.title != TITLE,
        "enabled": not registered.enabled,
    }
    return [word for word, is_different in differs.items() if is_different]


def corrections(registered: Registered) -> dict[str, Any]:
    """Return the body of the PATCH that ends the drift: nothing but what differs."""
    words = drift(registered)
    changes: dict[str, Any] = {}
    if "topics" in words:
        changes["type"] = list(TOPICS)
        if registered.excluded_topics:  # works together with ALL only
            changes["exclude_type"] = []
    if "batching interval" in words or "package size" in words:
        changes["config"] = dict(CONFIG)  # whole: that upstream merges is not documented
    if "title" in words:
        changes["title"] = TITLE
    if "enabled" in words:
        changes["enabled"] = True
    return changes


def corrected(registered: Registered) -> list[str]:
    """Return what ending the drift changes, a phrase for each word: "title from 'A' to 'B'"."""
    config = registered.config
    phrases = {
        "topics": f"topics from {registered.topics_text} to {', '.join(TOPICS)}",
        "batching interval": f"batching interval from {interval(config.get('delay')) or 'none'} "
        f"to {interval(CONFIG['delay'])}",
        "package size": f"package size from {config.get('max_package_size')} "
        f"to {CONFIG['max_package_size']} bytes",
        "title": f"title from {registered.title!r} to {TITLE!r}",
        "enabled": "enabled it",
    }
    return [phrases[word] for word in drift(registered)]


def leading_to(
    url: str, registered: Iterable[Registered]
) -> tuple[Registered | None, list[Registered]]:
    """Return ours, the oldest enabled one that leads to ``url``, and its twins: the others that do."""
    fitting = [it for it in registered if url and same_url(it.url, url)]
    fitting.sort(key=lambda it: (not it.enabled, it.created_at is None, it.created_at, it.id))
    return (fitting[0], fitting[1:]) if fitting else (None, [])


def same_url(one: str, other: str) -> bool:
    """Return whether both addresses lead to the same place, however they are written."""
    return _normal(one) == _normal(other)


def marks(registered: Registered, *, url: str, ours: UUID | None, is_gone: bool) -> Sequence[str]:
    """Return the marks of one subscription in a list: "ours", "drifted"."""
    if is_gone:
        return ["gone"]
    is_twin = bool(url) and same_url(registered.url, url)
    place = "ours" if registered.id == ours else "twin" if is_twin else "foreign"
    found = [place]
    if not registered.enabled:
        found.append("disabled")
    if place == "ours" and set(drift(registered)) - {"enabled"}:
        found.append("drifted")
    return found


def _normal(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url.strip())
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:  # somebody else's, and no address
        return (url,)
    return (parts.scheme, parts.hostname or "", str(port), parts.path.rstrip("/"), parts.query)
