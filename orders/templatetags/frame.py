"""What surrounds the lists and pages: links that keep the query, the name of the environment."""

from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backoffice.environment import Badge, badge
from orders.admin.columns import DeskList
from orders.admin.within import FILTERS, kept, with_changes
from orders.pasted import hints, read, too_many

register = template.Library()


@register.simple_tag
def environment() -> Badge:
    """Return the environment's name and colour, for the header and the title of every page."""
    return badge()


@register.simple_tag
def as_of() -> SafeString:
    """Return when a page was made; the script goes by it where the clock of the browser is off."""
    now = timezone.localtime()
    stamp, text = now.isoformat(timespec="milliseconds"), date_format(now, "j M Y, H:i:s")
    return format_html(
        '<p class="as-of">As of <time id="as-of" datetime="{}">{}</time></p>', stamp, text
    )


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: str) -> str:
    """Return the query of this page with ``changes``; a change to "" takes a name out."""
    return with_changes(context["request"].GET, **changes)


@register.simple_tag(takes_context=True)
def button_url(context: dict[str, Any], name: str, pk: Any) -> str:
    """Return the address of a button of another list's page, with the list that this page was opened from."""
    return kept(reverse(name, args=[pk]), context["request"])


@register.simple_tag(takes_context=True)
def kept_list(context: dict[str, Any]) -> SafeString | str:
    """Return the list that a page was opened from as a field: a form that is sent by GET drops the query."""
    filters = context["request"].GET.get(FILTERS, "")
    return (
        format_html('<input type="hidden" name="{}" value="{}">', FILTERS, filters)
        if filters
        else ""
    )


@register.simple_tag(takes_context=True)
def sort_head(context: dict[str, Any], name: str, words: str) -> SafeString:
    """Return the head of a column that sorts the table below it: a link, the other way round once it has."""
    asked = context["request"].GET.get("by", "")
    is_chosen = asked.removeprefix("-") == name
    way = f"-{name}" if asked == name else name
    url = f"{with_query(context, by=way, orders='')}#orders"
    arrow = (" ↓" if asked.startswith("-") else " ↑") if is_chosen else ""
    return format_html('<a href="{}">{}{}</a>', url, words, arrow)


@register.simple_tag(takes_context=True)
def other_zone(context: dict[str, Any]) -> SafeString | str:
    """Return the link that changes to UTC, or back to the zone of the settings; "" where that is UTC."""
    if settings.TIME_ZONE == "UTC":
        return ""
    is_utc = timezone.get_current_timezone_name() == "UTC"
    wanted, name = ("local", settings.TIME_ZONE) if is_utc else ("utc", "UTC")
    return format_html('<a href="{}">Show in {}</a>', with_query(context, tz=wanted), name)


@register.simple_tag
def search_notes(changelist: Any) -> list[str]:
    """Return what people should know of a search in a list: what was too short, what was left out."""
    if not isinstance(changelist.model_admin, DeskList):
        return []
    pasted = read(changelist.query)
    return [*([] if changelist.result_count else hints(pasted.terms)), *too_many(pasted)]


@register.simple_tag
def neighbours(changelist: Any) -> SafeString:
    """Return links to the previous and the next page of a list too long to count."""
    number = changelist.page_num
    shown = changelist.paginator.shown
    links = [
        ("← Previous", number - 1) if shown.has_previous() else None,
        ("Next →", number + 1) if shown.has_next() else None,
    ]
    return format_html_join(
        " ",
        '<a href="{}">{}</a>',
        ((changelist.get_query_string({"p": to}), words) for words, to in filter(None, links)),
    )
