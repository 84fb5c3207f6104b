"""The panels of the dashboard about the webhook feed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.safestring import SafeString

from backoffice.panels import panel
from orders.models import Outcome
from orders.templatetags.desk import outcome_badge, pill, relative
from orders.templatetags.desk_dashboard import Tile, capped, list_url
from orders.timeline.durations import duration
from webhooks import feed
from webhooks.models import Verdict
from webhooks.strip import Strip, strip
from webhooks.subscriptions import watch
from webhooks.subscriptions.condition import condition
from webhooks.subscriptions.silence import is_silent

register = template.Library()

BADGES = {
    Verdict.REFUSED.value: pill("failed", "slash", "Refused"),
    Verdict.UNREADABLE.value: pill("failed", "failed", "Unreadable"),
}


@register.simple_tag
def feed_numbers(open_count: int) -> dict[str, Any]:
    """Return the tiles about the feed and its health; ``open_count`` orders are being waited for."""
    now, zone = timezone.now(), timezone.get_current_timezone()

    def read() -> dict[str, Any]:
        held, bars = feed.numbers(now), strip(feed.outcomes(now), now=now, zone=zone)
        tiles = [_last(held, bars, now, is_expected=bool(open_count)), _problems(held, bars)]
        return {"tiles": tiles, "strip": bars, "is_silent": held["last_at"] is None}

    return panel(read)


@register.simple_tag
def feed_condition() -> dict[str, Any]:
    """Return the condition of the feed, for the notice on Today."""
    now = timezone.now()

    def read() -> dict[str, Any]:
        learned = watch.learned_from(feed.numbers(now))
        return {"condition": condition(learned, url=settings.WEBHOOK_PUBLIC_URL, now=now)}

    return panel(read)


@register.filter
def result_badge(word: str) -> SafeString:
    """Return the badge of an outcome, or of the verdict on a delivery."""
    return BADGES[word] if word in BADGES else outcome_badge(word)


def _last(held: Mapping[str, Any], bars: Strip, now: datetime, *, is_expected: bool) -> Tile:
    last_at, behind = held["last_at"], held["behind"]
    delay = f", p95 delay {duration(behind)}" if behind is not None else ""
    return Tile(
        label="Last webhook",
        symbol="source-webhook",
        tone="filled",
        value=relative(last_at, now) if last_at else "never",
        detail=f"{bars.events:,} in 24 h{delay}",
        url=list_url("webhooks_delivery"),
        is_amber=is_expected and (last_at is None or is_silent(last_at, now)),
    )


def _problems(held: Mapping[str, Any], bars: Strip) -> Tile:
    """Return the tile of what people should look at: what is quarantined now, what was refused in 24 h."""
    counts = {
        "quarantined": held["quarantined"],
        "refused": bars.sums[Verdict.REFUSED],
        "unreadable": bars.sums[Verdict.UNREADABLE],
    }
    found = {word: n for word, n in counts.items() if n}
    return Tile(
        label="Problem events",
        symbol="warning",
        tone="stale",
        value=capped(sum(found.values())),
        detail=", ".join(f"{capped(n)} {word}" for word, n in found.items()) or "nothing held up",
        url=_problem_list(next(iter(found), "quarantined")),
        is_amber=bool(found),
    )


def _problem_list(word: str) -> str:
    if word == "quarantined":
        return list_url("orders_journalentry", outcome=Outcome.QUARANTINED)
    return list_url("webhooks_delivery", verdict=word.upper())
