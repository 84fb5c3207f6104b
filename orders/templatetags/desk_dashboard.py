"""The panels of the dashboard about orders: tiles, orders placed per hour, the stalest, the worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils import timezone

from backoffice.admin import CAP
from backoffice.panels import noted, panel
from orders.asking import discovery
from orders.dashboard import queries
from orders.dashboard.hours import chart
from orders.models import Outcome
from orders.timeline.durations import duration
from orders.tracked import Source

register = template.Library()

QUEUE_PATIENCE = timedelta(minutes=1)  # pending for longer: nobody applies
SWEEP_PATIENCE = timedelta(minutes=2)  # no sweep for longer: no beat, no worker, or no broker
ROUND_PATIENCE = 2 * discovery.EVERY  # no round for longer: nobody keeps the beat


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that leads to its list; ``is_amber`` where somebody should look."""

    label: str
    symbol: str
    tone: str
    value: str
    detail: str
    url: str
    is_amber: bool = False


@register.simple_tag
def order_numbers() -> dict[str, Any]:
    """Return the tiles about orders and what the worker's line says."""
    return panel(lambda: _order_numbers(timezone.now()))


@register.simple_tag
def placed_per_hour() -> dict[str, Any]:
    """Return the bars of the portfolio orders placed in 24 hours."""
    now, zone = timezone.now(), timezone.get_current_timezone()
    return panel(lambda: {"chart": chart(queries.placed(now), now=now, zone=zone)})


@register.simple_tag
def stalest() -> dict[str, Any]:
    """Return the portfolio orders that have been without news for longest."""
    return panel(lambda: {"rows": queries.stalest(timezone.now())})


@register.simple_tag
def list_url(model: str, **filters: str) -> str:
    """Return the list of a model, as "orders_portfolioorder", filtered."""
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


@register.filter
def capped(count: int) -> str:
    """Return a count that may have stopped at the cap: "9,999" or "10,000+"."""
    return f"{CAP:,}+" if count > CAP else f"{count:,}"


def _order_numbers(now: datetime) -> dict[str, Any]:
    held = queries.numbers(now)
    now = held["at"]  # ages belong to the moment at which the numbers were read
    return {
        "open_count": held["new"] + held["processing"] + held["unknown"],
        "tiles": [_open(held), _stale(held, now), _filled(held)],
        "recovered": _recovered(held),
        "stale_count": held["stale"],
        "worker": _worker(held, now),
    }


def _open(held: Mapping[str, Any]) -> Tile:
    words = {word: held[word] for word in ("new", "processing", "unknown") if held[word]}
    detail = ", ".join(f"{capped(n)} {word}" for word, n in words.items())
    return Tile(
        label="Open",
        symbol="processing",
        tone="processing",
        value=capped(sum(words.values())),
        detail=detail or "every order has ended",
        url=list_url("orders_portfolioorder", status="OPEN"),
    )


def _stale(held: Mapping[str, Any], now: datetime) -> Tile:
    moments = [held[name] for name in held if name.startswith("oldest_") and held[name]]
    detail = f"oldest {duration(now - min(moments))}" if moments else "heard from all in time"
    return Tile(
        label="Stale",
        symbol="stale",
        tone="stale",
        value=capped(held["stale"]),
        detail=detail,
        url=list_url("orders_portfolioorder", freshness="stale"),
        is_amber=held["stale"] > 0,
    )


def _filled(held: Mapping[str, Any]) -> Tile:
    return Tile(
        label="Filled, last 24 h",
        symbol="filled",
        tone="filled",
        value=capped(held["filled"]),
        detail=f"median {duration(held['median'])}" if held["median"] else "none yet",
        url=list_url("orders_portfolioorder", status="DONE"),
    )


def _recovered(held: Mapping[str, Any]) -> Tile:
    polls, refetches = held["by_poll"], held["by_refetch"]
    by_hand = f", {capped(refetches)} by refetch" if refetches else ""
    return Tile(
        label="Recovered by poll",
        symbol="source-poll",
        tone="stale",
        value=capped(polls + refetches),
        detail=f"missed webhooks, 7 days{by_hand}",
        url=list_url(
            "orders_journalentry", source=Source.POLL, outcome=Outcome.APPLIED, received="7d"
        ),
    )


def _worker(held: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what the worker's line says; what is amber tells of a worker or beat that is dead."""
    since, round_at = held["pending_since"], held["round_at"]
    overdue = held["overdue"] + held["overdue_orders"]
    swept_at = noted("sweep")
    return {
        "swept_at": swept_at,
        "is_sweep_late": swept_at is not None and now - swept_at > SWEEP_PATIENCE,
        "polled_at": held["polled_at"],
        "round_at": round_at,
        "round_said": held["round_said"],
        "is_round_late": round_at is not None and now - round_at > ROUND_PATIENCE,
        "pending": held["pending"],
        "queue_age": now - since if since else None,
        "is_queue_late": since is not None and now - since > QUEUE_PATIENCE,
        "overdue": overdue,
        "error_at": held["error_at"],
        "error": held["error"],
        "error_id": held["error_id"],
        "reconciled": {name: held[f"reconciled_{name}"] for name in queries.RECONCILED},
    }
