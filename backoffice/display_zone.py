"""The zone in which people see times: that of the settings, or UTC for whoever chose it."""

from collections.abc import Callable
from datetime import UTC

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.utils.http import escape_leading_slashes

NAME = "tz"  # of the parameter, and in the session
CHOICES = {"utc": True, "local": False}


class DisplayZoneMiddleware:
    """Show times in UTC to those who have asked for it by ``?tz=utc``, until ``?tz=local``.

    The choice is kept in the session, and leaves the address: lists refuse what is no filter.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Note a choice and show the page without it; show any other in the zone chosen."""
        chosen = request.GET.get(NAME, "")
        if request.method == "GET" and chosen in CHOICES:
            return _note(request, is_utc=CHOICES[chosen])
        if not request.session.get(NAME):
            return self.get_response(request)
        with timezone.override(UTC):
            return self.get_response(request)


def _note(request: HttpRequest, *, is_utc: bool) -> HttpResponseRedirect:
    if is_utc:
        request.session[NAME] = "utc"
    else:
        request.session.pop(NAME, None)
    query = request.GET.copy()
    del query[NAME]
    rest = f"?{query.urlencode()}" if query else ""
    return HttpResponseRedirect(f"{escape_leading_slashes(request.path)}{rest}")
