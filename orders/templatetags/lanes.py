"""The lifecycle chart on a page: the geometry is that of orders.lanes."""

from django import template

from orders.lanes.captions import caption as in_words
from orders.lanes.captions import word
from orders.lanes.parts import Chart, Lane
from orders.templatetags.desk import STATUSES

register = template.Library()


@register.simple_tag
def caption(lane: Lane, chart: Chart) -> str:
    """Return what a lane shows, as a sentence."""
    return in_words(lane.life, chart)


@register.filter
def percent(number: float) -> str:
    """Return a position or width of the track; the same in every language."""
    return f"{number:.2f}".rstrip("0").rstrip(".") + "%"


@register.filter
def screens(names: str) -> str:
    """Return the classes of what only these screens have room for; "" for what all show."""
    return f" lane-screen {' '.join(f'on-{name}' for name in names.split())}" if names else ""


@register.filter
def shape(status: str) -> str:
    """Return the name of the shapes of a status, one for all that this release does not know."""
    return STATUSES.get(status, "unknown")


@register.filter
def status_word(status: str) -> str:
    """Return a status as the legend says it; an unknown one as upstream wrote it."""
    said = word(status)
    return said.capitalize() if status in STATUSES else said
