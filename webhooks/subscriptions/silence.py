"""Whether the feed has been silent for too long while orders are open."""

from datetime import datetime

from django.conf import settings

from backoffice.together import ask, first
from orders.lifecycle import OPEN_STATUSES
from orders.models import PortfolioOrder
from webhooks.models import Delivery, Verdict


def silent_since(now: datetime) -> datetime | None:
    """Return since when nothing signed has come though a portfolio order was open; None: no silence."""
    placed = PortfolioOrder.objects.filter(created_at__isnull=False).order_by("created_at", "id")
    signed = Delivery.objects.exclude(verdict=Verdict.REFUSED).order_by("-received_at")
    found = ask(
        last_at=first(signed, "received_at"),
        **{status: first(placed.filter(status=status), "created_at") for status in OPEN_STATUSES},
    )
    last_at = found.pop("last_at")
    opened = [moment for moment in found.values() if moment]
    if not opened:
        return None
    # Before the first order was open there was nothing to tell.
    since: datetime = max(last_at, min(opened)) if last_at else min(opened)
    return since if is_silent(since, now) else None


def is_silent(since: datetime, now: datetime) -> bool:
    """Return whether nothing since then is longer than ``FEED_SILENT_AFTER`` of market hours."""
    return since < settings.MARKET_HOURS.before(now, settings.FEED_SILENT_AFTER)
