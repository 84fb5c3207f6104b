"""The page of the weather at the broker's API. It has no model: the site itself leads to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from backoffice.investment_api.auth import Scope
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.weather import OUTCOMES, Report, TokenLife
from backoffice.weather.chart import chart
from backoffice.weather.condition import State
from backoffice.weather.reading import read

TITLE = "Broker API"
VIEW = "orders.view_portfolioorder"
# Tone and icon of a state, as those of a status.
LOOKS = {
    State.UNSET: ("new", "slash"),
    State.SILENT: ("failed", "failed"),
    State.PAUSED: ("stale", "stale"),
    State.THROTTLED: ("stale", "warning"),
    State.UNKNOWN: ("stale", "unknown"),
    State.QUIET: ("new", "new"),
    State.ANSWERING: ("filled", "filled"),
}
WHO = {
    Urgency.PERSON: "Staff",
    Urgency.SUBMISSION: "Placing, cancelling",
    Urgency.BACKGROUND: "Background",
}
MEANINGS = {
    "answered": "Answered",
    "429": "429, too many requests",
    "4xx": "Refused (other 4xx)",
    "5xx": "Failed at the broker (5xx)",
    "gateway": "Answered by a gateway or proxy, not by the broker",
    "network": "No answer (timeout, connection)",
}


@dataclass(frozen=True, slots=True)
class Hour:
    """The calls of the last hour, summed up."""

    total: int
    errors: int
    average: timedelta | None
    longest: timedelta | None
    lines: list[tuple[str, list[int], int]]


@dataclass(frozen=True, slots=True)
class TokenLine:
    """What is known of the token of a scope."""

    name: str
    scope: str
    life: TokenLife | None
    is_over: bool


def may_view(request: HttpRequest) -> bool:
    """Whether this person may see the page."""
    return request.user.has_perm(VIEW)


def show(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Show the weather; ``context`` is what every page of the site has."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405)
    if not may_view(request):
        raise PermissionDenied
    now = timezone.now()
    reading = read(now=now)
    tone, symbol = LOOKS[reading.condition.state]
    shown = {**context, "title": TITLE, "reading": reading, "tone": tone, "symbol": symbol}
    if report := reading.report:
        shown |= {
            "hour": hour(report),
            "chart": chart(report.minutes, now=now, zone=timezone.get_current_timezone()),
            "tokens": _tokens(report, now),
            "who": list(WHO.values()),
        }
    return TemplateResponse(request, "admin/broker_api.html", shown)


def hour(report: Report) -> Hour:
    """Sum the minutes up."""
    sums = {(who.value, outcome): 0 for who in WHO for outcome in OUTCOMES}
    for minute in report.minutes:
        for key, n in minute.counts.items():
            sums[key] = sums.get(key, 0) + n
    total = sum(sums.values())
    answered = sum(n for (_, outcome), n in sums.items() if outcome == "answered")
    took = sum((minute.took for minute in report.minutes), timedelta())
    lines = [(outcome, [sums[who.value, outcome] for who in WHO]) for outcome in OUTCOMES]
    return Hour(
        total,
        total - answered,
        took / total if total else None,
        max((minute.longest for minute in report.minutes), default=None),
        [(MEANINGS[outcome], counts, sum(counts)) for outcome, counts in lines],
    )


def _tokens(report: Report, now: datetime) -> list[TokenLine]:
    lives = report.tokens or {}
    return [
        TokenLine(
            scope.name.capitalize(),
            scope.value,
            life := lives.get(scope.name),
            life is not None and life.expires <= now,
        )
        for scope in Scope
    ]
