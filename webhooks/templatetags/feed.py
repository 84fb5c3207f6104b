"""The panels of the dashboard about the webhook feed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.safestring import SafeString

from backoffice.panels import panel
from orders.admin.filters import span_text
from orders.dashboard.tiles import Part, Tile, list_url, some, summed
from orders.models import Outcome
from orders.templatetags.desk import ago, outcome_badge, pill
from orders.timeline.durations import duration
from orders.tracked import Source
from webhooks import feed
from webhooks.models import Verdict
from webhooks.strip import OF_DELIVERIES, Bar, Strip, named, strip
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


@register.simple_tag
def received_url(bar: Bar | Strip, word: str = "") -> str:
    """Return the list of the events received in a span of the strip, or of one outcome or verdict."""
    span = span_text(bar.begins, bar.ends)
    if word in OF_DELIVERIES:
        return list_url("webhooks_delivery", verdict=word, received=span)
    outcome = {"outcome": word} if word else {}
    return list_url("webhooks_event", received=span, **outcome)


register.filter("outcome_word", named)


def _last(held: Mapping[str, Any], bars: Strip, now: datetime, *, is_expected: bool) -> Tile:
    last_at, behind = held["last_at"], held["behind"]
    return Tile(
        label="Last webhook",
        symbol="source-webhook",
        tone="filled",
        value=ago(last_at) if last_at else "never",
        detail=f"p95 delay {duration(behind)}" if behind is not None else "",
        url=list_url("webhooks_delivery"),
        parts=some([Part(bars.events, "Events (24 h)", received_url(bars))]),
        alarm="stale" if is_expected and (last_at is None or is_silent(last_at, now)) else "",
    )


def _problems(held: Mapping[str, Any], bars: Strip) -> Tile:
    """Return the tile of what somebody should look at: the events in quarantine, and what was unreadable in 24 h.

    A delivery that was refused is named, and is no reason to look: anybody can send one.
    """
    unreadable, refused = (
        Part(bars.sums[word], label, received_url(bars, word))
        for word, label in (
            (Verdict.UNREADABLE, "Unreadable (24 h)"),
            (Verdict.REFUSED, "Refused (24 h)"),
        )
    )
    answers = [
        Part(
            held[f"answers_{source.lower()}"],
            f"{label} not applied (24 h)",
            list_url(
                "orders_journalentry", outcome=Outcome.QUARANTINED, source=source, received="24h"
            ),
        )
        for source, label in (
            (Source.POLL, "Check answers"),
            (Source.REFETCH, "Refetch answers"),
        )
    ]
    events = list_url("webhooks_event", outcome=Outcome.QUARANTINED)
    return summed(
        Part(held["quarantined"], "In quarantine", events),
        [unreadable, *answers],
        label="Webhook problems",
        tone="stale",
        apart=[refused],
        is_named=True,
    )
