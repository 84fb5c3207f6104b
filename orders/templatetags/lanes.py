"""The lifecycle chart on a page: the geometry is that of orders.lanes."""

from collections.abc import Iterable
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from orders.lanes.captions import caption as in_words
from orders.lanes.captions import word
from orders.lanes.chart import chart
from orders.lanes.parts import Chart, Lane
from orders.models import Order, PortfolioOrder
from orders.templatetags.desk import STATUSES
from orders.timeline.history import subject
from orders.timeline.items import Timeline

register = template.Library()


@register.inclusion_tag("admin/orders/includes/lanes.html")
def lifecycle(
    row: PortfolioOrder | Order, orders: Iterable[Order], history: Timeline, *, is_stale: bool
) -> dict[str, Any]:
    """Show the life of a portfolio order and its ``orders``, or of one order. No query."""
    return {
        "chart": chart(
            [subject(row), *map(subject, orders or ())],
            history.items,
            now=history.now,
            zone=timezone.get_current_timezone(),
            late_after=settings.LATE_AFTER,
            quiet_since=row.news_at if is_stale else None,
        )
    }


@register.simple_tag
def caption(lane: Lane, chart: Chart) -> str:
    """Return what a lane shows, as a sentence."""
    return in_words(lane.life, chart)


@register.filter
def percent(number: float) -> str:
    """Return a position or width of the track; the same in every language."""
    return f"{number:.2f}".rstrip("0").rstrip(".") + "%"


@register.filter
def shape(status: str) -> str:
    """Return the name of the shapes of a status, one for all that this release does not know."""
    return STATUSES.get(status, "unknown")


@register.filter
def status_word(status: str) -> str:
    """Return a status as the legend says it; an unknown one as upstream wrote it."""
    said = word(status)
    return said.capitalize() if status in STATUSES else said
