"""How a person wants pages shown: the zone of times, and of lists the times, rows and columns.

A choice is made by a link (``?tz=utc``), kept in the session, and leaves the address: lists refuse
what is no filter.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import escape_leading_slashes

# The first of each is what those see who have chosen nothing.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "tz": ("local", "utc"),
    "times": ("relative", "absolute"),
    "rows": ("50", "25", "100", "200"),
    "columns": ("usual", "all"),
}
_chosen: ContextVar[Mapping[str, str]] = ContextVar("chosen")


def chosen(name: str) -> str:
    """Return what the person of this request has chosen."""
    value = _chosen.get({}).get(name, "")
    return value if value in CHOICES[name] else CHOICES[name][0]


def clock(moment: datetime) -> str:
    """Return a moment to the minute in the zone of the page: "29 Nov 2026, 00:42"."""
    return date_format(timezone.localtime(moment), "j M Y, H:i")


class DisplayMiddleware:
    """Note a choice and show the page without it; show any other as was chosen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a choice with the page itself."""
        names = [it for it, values in CHOICES.items() if request.GET.get(it) in values]
        if request.method == "GET" and names:
            return _note(request, names)
        held = {name: request.session[name] for name in CHOICES if name in request.session}
        token = _chosen.set(held)
        try:
            if chosen("tz") != "utc":
                return self.get_response(request)
            with timezone.override(UTC):
                return self.get_response(request)
        finally:
            _chosen.reset(token)


def _note(request: HttpRequest, names: list[str]) -> HttpResponseRedirect:
    query = request.GET.copy()
    for name in names:
        value = str(query.pop(name)[-1])
        if value == CHOICES[name][0]:
            request.session.pop(name, None)
        else:
            request.session[name] = value
    rest = f"?{query.urlencode()}" if query else ""
    return HttpResponseRedirect(f"{escape_leading_slashes(request.path)}{rest}")
