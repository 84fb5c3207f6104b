"""How the entries of a history look: the words are those of orders.sentences."""

from collections.abc import Mapping
from datetime import datetime
from html import escape

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import actors
from orders.templatetags import desk
from orders.timeline import sentences, sparks
from orders.timeline.items import Item, ItemKind
from orders.timeline.plain import plain
from orders.timeline.runs import Run

register = template.Library()


@register.simple_tag
def source_icon(source: str) -> SafeString:
    """Return the shape of a source alone; the line beside it names it."""
    return desk.icon(f"source-{source.lower()}")


@register.filter
def by(entry: actors.Recorded) -> str:
    """Return who took a step: "by mira", "by Order Desk, requested by mira"."""
    return actors.by(entry)


@register.filter
def in_plain_words(message: str, said_at: datetime | None) -> str:
    """Return a message that was written for a log, its moments in the zone of the page."""
    zone = timezone.get_current_timezone()
    return plain(message, zone, said_at=said_at) if said_at else message


@register.filter
def mark(item: Item) -> str:
    """Return the tone of a card that should be noticed; "" for what went as it should."""
    if item.kind is ItemKind.ANOMALY or item.is_failed:
        return "failed"
    return "stale" if item.kind is ItemKind.MISSED_WEBHOOK or item.late is not None else ""


@register.filter
def of(payloads: Mapping[int, str], run: Run) -> SafeString | str:
    """Return the payload of a run that is one entry; "" where it is not to be shown here."""
    entry = run.item.entry if run.is_single else None
    # Text between tags: its many quotes may stand as they are.
    return SafeString(escape(payloads.get(entry.id, "") if entry else "", quote=False))


@register.simple_tag
def heading(run: Run) -> str:
    """Return the heading of what is no step of an order."""
    return sentences.title(run.lead, count=len(run.items), orders=run.orders, times=run.times)


@register.simple_tag
def said(run: Run) -> SafeString | str:
    """Return what is to be said about a run beside its statuses and times; first and bold, what is missing."""
    zone, count = timezone.get_current_timezone(), len(run.items)
    text = sentences.sentence(run.item, zone, count=count)
    if missing := sentences.headline(run.item, count=count):
        return format_html("<strong>{}</strong>{}", missing, text.removeprefix(missing))
    return text


@register.simple_tag
def arrived(run: Run) -> str:
    """Return how fast it came."""
    return sentences.arrival(run, timezone.get_current_timezone())


@register.simple_tag
def aside(run: Run) -> str:
    """Return what only those need who look closely."""
    return sentences.aside(run, timezone.get_current_timezone())


@register.simple_tag
def spark(run: Run) -> SafeString | str:
    """Return when the items of a run arrived, as bars; the line below says it in words."""
    moments = [item.recorded_at for item in run.items if item.recorded_at]
    is_told = not (run.is_single or run.item.is_ours or run.item.expected)
    path = sparks.spark(moments) if is_told else ""
    if not path:
        return ""
    tone = mark(run.item) or desk.tone(run.item.to_status)
    return format_html(
        '<svg class="spark tone-{}" width="{}" height="{}" aria-hidden="true"><path d="{}"/></svg>',
        tone,
        sparks.WIDTH,
        sparks.HEIGHT,
        path,
    )


@register.simple_tag
def delivered(run: Run) -> str:
    """Return how often it came, where more than once."""
    return sentences.copies(run)
