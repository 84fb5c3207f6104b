"""The panels of the dashboard about orders: tiles, orders placed per hour, the stalest, the worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django import template
from django.urls import reverse
from django.utils import timezone

from backoffice.investment_api.weather import Failure
from backoffice.panels import panel
from backoffice.weather.reading import recent_weather
from orders import counted, pulse
from orders.admin.filters import span_text
from orders.asking import discovery
from orders.dashboard import queries, tiles
from orders.dashboard.hours import chart
from orders.version import questions, version_in

register = template.Library()

PARTS = {
    "filled": "DONE",
    "cancelled": "CANCELLED",
    "open": "OPEN",
}  # of a bar, as the list's filter

QUEUE_PATIENCE = timedelta(minutes=1)  # pending for longer: nobody applies
SWEEP_PATIENCE = timedelta(minutes=2)  # no sweep for longer: no beat, no worker, or no broker
ROUND_PATIENCE = 2 * discovery.EVERY  # no round for longer: nobody keeps the beat


class Spanned(Protocol):
    """A bar, or a whole chart."""

    @property
    def begins(self) -> datetime:
        """The first moment."""

    @property
    def ends(self) -> datetime:
        """The moment behind the last."""


register.filter("capped", tiles.capped)
register.simple_tag(tiles.list_url, name="list_url")


@register.simple_tag(takes_context=True)
def order_numbers(context: template.Context) -> dict[str, Any]:
    """Return the tiles about orders, those of the lists that this person may see, and what the worker's line says."""
    return panel(lambda: _order_numbers(timezone.now(), context["request"].user))


@register.simple_tag
def placed_per_hour() -> dict[str, Any]:
    """Return the bars of the portfolio orders placed in 24 hours."""
    now, zone = timezone.now(), timezone.get_current_timezone()
    return panel(lambda: {"chart": chart(queries.placed(now), now=now, zone=zone)})


@register.simple_tag
def placed_url(span: Spanned, part: str = "") -> str:
    """Return the list of what was placed in a span of the chart, or of one part of it."""
    status = {"status": PARTS[part]} if part else {}
    placed = span_text(span.begins, span.ends)
    return tiles.list_url("orders_portfolioorder", placed=placed, **status)


@register.simple_tag
def stalest() -> dict[str, Any]:
    """Return the portfolio orders that have been without news for longest."""
    return panel(lambda: {"rows": queries.stalest(timezone.now())})


def _order_numbers(now: datetime, user: Any) -> dict[str, Any]:
    held = queries.numbers(now)
    now = held["at"]  # ages belong to the moment at which the numbers were read
    may_view = {it: user.has_perm(f"orders.view_{it}") for it in ("placement", "reconciliation")}
    return {
        "open_count": held["open"],
        "tiles": [
            tiles.still_open(held),
            tiles.problems(held, may_view=may_view),
            tiles.stale(held, now),
            tiles.filled(held),
        ],
        "recovered": tiles.recovered(held),
        "stale_count": held["stale"],
        "version": version_in(held, questions()),
        "worker": _worker(held, now),
    }


@dataclass(frozen=True, slots=True)
class LastError:
    """The last call of the broker's API that failed, of whatever kind, and where more is told of it."""

    at: datetime
    words: str
    url: str


def last_error(
    held: Mapping[str, Any], failure: Failure | None, *, now: datetime
) -> LastError | None:
    """Return the last failed call of a day: the same as the page Broker API tells, which notes each call.

    Where its notes are lost the journal tells of what was asked, placed and cancelled.
    """
    if failure is not None and failure.at >= now - counted.DAY:
        return LastError(failure.at, failure.words, reverse("admin:broker-api"))
    known = [
        (held[f"{name}_at"], held[name], held[f"{name}_id"])
        for name in ("error", "unanswered")
        if held[f"{name}_at"]
    ]
    if not known:
        return None
    at, words, pk = max(known)
    return LastError(at, words, reverse("admin:orders_journalentry_change", args=[pk]))


def _worker(held: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what the worker's line says; what is amber tells of a worker or beat that is dead."""
    waiting = filter(None, (held["unread_since"], held["pending_since"]))
    oldest, round_at = min(waiting, default=None), held["round_at"]
    swept_at = pulse.swept_at(held, now=held["at"])
    return {
        "swept_at": swept_at,
        "clock": pulse.clock_problem(held, now=held["at"]),
        "is_sweep_late": swept_at is not None and now - swept_at > SWEEP_PATIENCE,
        "polled_at": held["polled_at"],
        "round_at": round_at,
        "round_said": held["round_said"],
        "is_round_late": round_at is not None and now - round_at > ROUND_PATIENCE,
        "unread": held["unread"],
        "pending": held["pending"],
        "queued_since": oldest,
        "is_queue_late": oldest is not None and now - oldest > QUEUE_PATIENCE,
        "overdue": held["overdue"],
        "overdue_orders": held["overdue_orders"],
        "error": last_error(held, recent_weather().failure, now=now),
        "reconciled": {name: held[f"reconciled_{name}"] for name in queries.RECONCILED},
    }
