"""How the entries of a history look: the words are those of orders.sentences."""

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from orders import sentences
from orders.runs import Run
from orders.templatetags.desk import icon
from orders.timeline import Item, ItemKind

register = template.Library()


@register.simple_tag
def source_icon(source: str) -> SafeString:
    """Return the shape of a source alone; the line beside it names it."""
    return icon(f"source-{source.lower()}")


@register.filter
def mark(item: Item) -> str:
    """Return the tone of a card that should be noticed; "" for what went as it should."""
    if item.kind is ItemKind.ANOMALY or item.is_failed:
        return "failed"
    return "stale" if item.kind is ItemKind.MISSED_WEBHOOK or item.late is not None else ""


@register.simple_tag
def heading(run: Run) -> str:
    """Return the heading of what is no step of an order."""
    return sentences.title(run.item, count=len(run.items))


@register.simple_tag
def said(run: Run) -> str:
    """Return what is to be said about a run beside its statuses and times."""
    zone = timezone.get_current_timezone()
    return sentences.sentence(run.item, zone, count=len(run.items))


@register.simple_tag
def arrived(run: Run) -> str:
    """Return how fast it came."""
    return sentences.arrival(run, timezone.get_current_timezone())


@register.simple_tag
def delivered(run: Run) -> str:
    """Return how often it came, where more than once."""
    return sentences.copies(run)
