"""The end of an idle session, and the return to a page whose form was not taken."""

from collections.abc import Callable, Mapping, Sequence

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join

from backoffice import second_factor
from backoffice.access import kept
from backoffice.access.errors import EARLIER_FORMS
from backoffice.access.refill import refilled

GetResponse = Callable[[HttpRequest], HttpResponseBase]

ACTIVE = "active_at"  # in the session, seconds
PRECISION = 60  # seconds; no page writes to the session more often
MACHINERY = {"key", "newest", "index", "action", "select_across", "change"}  # fields nobody types


@receiver(user_logged_in)
def note_log_in(request: HttpRequest, user: User, **_: object) -> None:
    """Count from the log-in; remember the secret of the forms that the same person has still open."""
    request.session[ACTIVE] = int(timezone.now().timestamp())
    if kept.person_in(request) == user.pk:
        request.session[EARLIER_FORMS] = request.COOKIES.get(settings.CSRF_COOKIE_NAME, "")


class IdleMiddleware:
    """End a session in which nobody has opened a page or pressed a button for ``SESSION_IDLE_MINUTES``.

    What pages ask for by themselves, to see whether there is news, does not count.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """End the session, or note that it is in use."""
        longest = settings.SESSION_IDLE_MINUTES * 60
        if not longest or not request.user.is_authenticated:
            return self.get_response(request)
        now = int(timezone.now().timestamp())
        since = request.session.get(ACTIVE, now)
        if now - since > longest:
            request.was_idle = True  # type: ignore[attr-defined]
            logout(request)
            return self.get_response(request)
        response = self.get_response(request)
        is_new = ACTIVE not in request.session or now - since >= min(PRECISION, longest)
        if is_new and request.user.is_authenticated and _is_of_a_person(request, response):
            request.session[ACTIVE] = now
        return response


def _is_of_a_person(request: HttpRequest, response: HttpResponseBase) -> bool:
    asked_by_script = request.headers.get("Sec-Fetch-Dest", "") == "empty"
    return not asked_by_script and "json" not in response.get("Content-Type", "")


class KeptMiddleware:
    """Show a page with what its form held when it was not taken, and say which button to press again."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer; a page of the desk with what is kept for it."""
        if not request.path.startswith(reverse("admin:index")):
            return self.get_response(request)
        entry = kept.entry_for(request)
        if entry and not entry["is_told"]:
            messages.warning(request, _sentence(request, entry))
            kept.change(request, entry, is_told=True)
            entry = {**entry, "is_told": True}
        response = self.get_response(request)
        kept.remember_person(request, response)
        if entry and isinstance(response, HttpResponse):
            _show(request, response, entry)
        return response


def _sentence(request: HttpRequest, entry: kept.Entry) -> str:
    """Return why the form was not taken."""
    reason = kept.Reason(entry["reason"])
    if reason is kept.Reason.CODE and not second_factor.is_fresh(request):
        reason = kept.Reason.NO_CODE
    return kept.SENTENCES[reason]


def _show(request: HttpRequest, response: HttpResponse, entry: kept.Entry) -> None:
    if response.get("Location", "").startswith(reverse("admin:second-factor-again")):
        kept.change(request, entry, is_told=False)  # its page comes after the code
        return
    if target := kept.local(response.get("Location", "")):
        kept.change(request, entry, page=target)
        return
    is_page = response.get("Content-Type", "").startswith("text/html")
    if response.status_code != 200 or not is_page:
        return
    text = response.content.decode(response.charset)
    found = refilled(text, entry["page"], entry["action"], entry["sent"])
    sentence = str(conditional_escape(_sentence(request, entry)))
    name = f"“{found.button}”" if found.button else kept.BUTTON
    told = sentence.replace(kept.BUTTON, str(conditional_escape(name)))
    if not found.is_found:
        told += _what_was_typed(entry["sent"])
    response.content = found.text.replace(sentence, told, 1)
    if response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))
    kept.forget(request, entry)


def _what_was_typed(sent: Mapping[str, Sequence[str]]) -> str:
    """Return what was typed, for a page that has no field for it (any more)."""
    texts = [
        (name.replace("_", " ").capitalize(), text)
        for name, values in sent.items()
        for text in values
        if text.strip() and name not in MACHINERY and not name.startswith("_")
    ]
    if not texts:
        return ""
    rows = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", texts)
    return format_html('<span class="kept">You had typed:</span><dl class="facts">{}</dl>', rows)
