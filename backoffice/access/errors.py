"""The pages for what went wrong: what happened, what to do, the request's id, and a way back.

They stand in the desk's own frame, under its own policy. Those for a failure and for a database
that is away need neither a database nor a session.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.middleware import csrf
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format

from backoffice import locks, log
from backoffice.access import kept, permissions
from backoffice.client_address import for_lock_out

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

TEMPLATE = "admin/error.html"
TELL = "If it happens again, tell an administrator the request ID below."
MAYBE_DONE = "What you sent may or may not have been carried out: check before you send it again."
# Where no page can be made, not even one without a database.
BARE = "<!DOCTYPE html><html lang='en'><title>Order Desk</title><h1>This page cannot be shown</h1></html>"
EARLIER_FORMS = "earlier_forms"  # in the session: the CSRF secret before the log-in


def page(
    request: HttpRequest | None,
    status: int,
    title: str,
    sentences: Sequence[str],
    *,
    back: tuple[str, str] | None = None,
) -> HttpResponse:
    """Return a page for an error; without ``request`` it needs no database.

    ``back`` is an address and what the link to it says.
    """
    url, words = back or (reverse("admin:index"), "Go to Today")
    context: dict[str, Any] = {"has_permission": False}
    if request is not None and request.path.startswith(reverse("admin:index")):
        context = admin.site.each_context(request)
    else:
        request = None  # strangers cost no query
    context |= {
        "title": title,
        "sentences": sentences,
        "status": status,
        "request_id": log.request_id.get(),
        "back_url": url,
        "back_words": words,
        "site_title": admin.site.site_title,
        "site_header": admin.site.site_header,
    }
    return HttpResponse(render_to_string(TEMPLATE, context, request), status=status)


def plain_page(status: int, title: str, sentences: Sequence[str]) -> HttpResponse:
    """Return a page that needs no database, and in the worst case no template."""
    try:
        return page(None, status, title, sentences)
    except (TemplateDoesNotExist, TemplateSyntaxError, NoReverseMatch, OSError, ValueError):
        logger.exception("the page for an error cannot be made")
        return HttpResponse(BARE, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that cannot be read (handler400)."""
    del request, exception
    return plain_page(
        400, "This request cannot be read", ["Nothing was done. Go back and try again.", TELL]
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer somebody who may not do this (handler403), with the name of what is missing."""
    why = permissions.explained(permissions.needed(request, exception))
    sentences = [f"You are logged in as {request.user.get_username()}. Nothing was done.", *why]
    if why != [permissions.NOBODY] and not request.user.is_superuser:
        sentences.append(f"Ask {permissions.administrators()} if you need it.")
    return page(request, 403, "You may not do this", sentences)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer where there is no such page (handler404)."""
    del exception
    sentences = ["The address may be mistyped, or the page no longer exists."]
    return page(request, 404, "There is no such page", sentences)


def failure() -> HttpResponse:
    """Answer what nobody caught."""
    return plain_page(500, "This page could not be shown", [MAYBE_DONE, TELL])


def no_database() -> HttpResponse:
    """Answer while the database is away or hangs."""
    sentences = [MAYBE_DONE, "Try again in a moment."]
    answer = plain_page(503, "The database does not answer", sentences)
    answer["Retry-After"] = "5"
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that does not belong to this log-in; keep what one's own older form held."""
    del reason  # logged by Django
    if not _is_of_an_earlier_log_in(request):
        back = (reverse("admin:index"), "Go to Today")
        sentences = [
            "Nothing was done: the form does not belong to your current session.",
            "Open the page again and repeat what you did. Your browser must accept cookies.",
        ]
        return page(request, 403, "This form is out of date", sentences, back=back)
    back = (kept.keep(request, kept.Reason.FORM), "Go back to the page")
    sentences = [
        "Nothing was sent: you have logged in again since the page was opened.",
        "Go back to the page: what you typed is there, and the button can be pressed again.",
    ]
    return page(request, 403, "This page was older than your last log-in", sentences, back=back)


def _is_of_an_earlier_log_in(request: HttpRequest) -> bool:
    """Whether a form was made for the same person, in this browser, before the last log-in."""
    secret = request.session.get(EARLIER_FORMS, "")
    token = request.POST.get("csrfmiddlewaretoken", "")
    django: Any = csrf  # has no public name for it
    try:
        django._check_token_format(token)  # noqa: SLF001
    except csrf.InvalidTokenFormat:
        return False
    return bool(secret) and bool(django._does_token_match(token, secret))  # noqa: SLF001


def locked_out(
    request: HttpRequest, response: object = None, credentials: Mapping[str, Any] | None = None
) -> HttpResponse:
    """Answer somebody whose log-in is locked after too many failures: until when, and what helps."""
    del response  # the log-in page
    name = str((credentials or {}).get("username") or request.POST.get("username", ""))
    until = locks.until(name, for_lock_out(request), now=timezone.now())
    minutes = max(1, round(settings.AXES_COOLOFF_TIME / timedelta(minutes=1)))
    failures = f"{settings.AXES_FAILURE_LIMIT} log-ins with this username failed at your address."
    ends = f"until {_from_then_on(until)}, " if until else ""
    sentences = [
        f"{failures} It is locked there {ends}{minutes} minutes after the last of them.",
        "Wait, or ask an administrator, who can unlock it at once and set a new password.",
    ]
    back = (reverse("admin:login"), "Back to the log-in")
    return page(request, 429, "Too many failed log-ins", sentences, back=back)


def _from_then_on(moment: datetime) -> str:
    """Return the first full minute after a moment, in the zone of the page: "00:05 on 30 Nov 2026 (UTC)"."""
    then = timezone.localtime(moment.replace(second=0, microsecond=0) + timedelta(minutes=1))
    day = "" if then.date() == timezone.localdate() else f" on {date_format(then, 'j M Y')}"
    return f"{then:%H:%M}{day} ({timezone.get_current_timezone_name()})"


class FramedMiddleware:
    """Give a bare 405 of the desk a page, and keep mistakes in forms out of the warnings."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer."""
        response = self.get_response(request)
        if response.status_code == 422:
            response._has_been_logged = True  # type: ignore[attr-defined] # noqa: SLF001 -- Django's mark
        is_bare = isinstance(response, HttpResponseNotAllowed) and not response.content
        if is_bare and request.path.startswith(reverse("admin:index")):
            sentences = ["Nothing was done. Open the page from a link or a list of the desk."]
            framed = page(request, 405, "This address cannot be opened directly", sentences)
            framed["Allow"] = response["Allow"]
            return framed
        return response
