"""What surrounds the lists and pages: links that keep the query, the name of the environment."""

from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def environment() -> str:
    """Return the name of an environment that is not production, for the badge in the header."""
    return "Demo" if settings.DEMO else "Development" if settings.DEBUG else ""


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: str) -> str:
    """Return the query of this page with ``changes``; a change to "" takes a name out."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = value
    return f"?{query.urlencode()}" if query else "?"


@register.simple_tag(takes_context=True)
def other_zone(context: dict[str, Any]) -> SafeString | str:
    """Return the link that changes to UTC, or back to the zone of the settings; "" where that is UTC."""
    if settings.TIME_ZONE == "UTC":
        return ""
    is_utc = timezone.get_current_timezone_name() == "UTC"
    wanted, name = ("local", settings.TIME_ZONE) if is_utc else ("utc", "UTC")
    return format_html('<a href="{}">Show in {}</a>', with_query(context, tz=wanted), name)


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
