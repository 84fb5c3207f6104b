"""What was typed into a form that was not taken: kept until its page is shown again, to the same person alone.

A button is never pressed by itself. Whoever's session has ended comes back, after the log-in, to
the page that has the button, with the fields filled in as they were.

It is kept in the session that the log-in goes on with, bound to the person whose page it was. Who
that is is known from a signed cookie that outlives the session: a log-in changes the secret of the
CSRF check, so a form that passes it was made after the last log-in of this browser, for that
person. Passwords and codes are not kept, nor anything of a browser in which nobody has logged in.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypedDict
from urllib.parse import urldefrag, urlsplit

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

KEPT = "kept"  # in the session
PERSON = "desk_person"  # the cookie
MOST = 5
LONGEST = 64 * 1024  # characters of all fields together
LONGEST_PAGE = 2_000  # characters of an address
FOR = timedelta(hours=1)
PERSON_FOR = timedelta(days=30)
UNTOLD = re.compile(r"pass|secret|token|^code$", re.IGNORECASE)  # fields that are never kept
BUTTON = "the button"


class Reason(StrEnum):
    """Why a form was not taken."""

    SESSION = "session"
    CODE = "code"
    NO_CODE = "no_code"  # asked for it, but came back without it
    FORM = "form"


SENTENCES = {
    Reason.SESSION: f"Your session had ended. Nothing was sent. Please press {BUTTON} again.",
    Reason.CODE: f"Your code was right. Nothing has been sent yet. Please press {BUTTON} again.",
    Reason.NO_CODE: "No code was entered. Nothing was sent.",
    Reason.FORM: (
        f"This page was older than your last log-in. Nothing was sent. Please press {BUTTON} again."
    ),
}


class Entry(TypedDict):
    """A form that was not taken."""

    person: int
    reason: str
    at: float
    page: str  # that has the form
    action: str  # where the form was sent to
    sent: dict[str, list[str]]
    is_told: bool


def keep(request: HttpRequest, reason: Reason) -> str:
    """Keep what was typed, if it is known by whom; return the address of the page to come back to."""
    page = page_of(request)
    person = request.user.pk or person_in(request)
    if person is not None:
        sent = {
            name: [str(it) for it in values]
            for name, values in request.POST.lists()
            if not UNTOLD.search(name)
        }
        if sum(len(it) for name, values in sent.items() for it in (name, *values)) > LONGEST:
            sent = {}
        entry: Entry = {
            "person": person,
            "reason": reason,
            "at": timezone.now().timestamp(),
            "page": page,
            "action": request.get_full_path(),
            "sent": sent,
            "is_told": False,
        }
        request.session[KEPT] = [*request.session.get(KEPT, []), entry][-MOST:]
    return page


def entry_for(request: HttpRequest) -> Entry | None:
    """Return the newest form kept for the page that is asked for, and for the person who asks."""
    if request.method != "GET" or not request.session.get(KEPT):
        return None
    mine = _mine(request)
    return next((it for it in reversed(mine) if it["page"] == request.get_full_path()), None)


def typed(request: HttpRequest) -> Mapping[str, str]:
    """Return the fields kept for the page that is asked for, one value each; {} if there are none."""
    entry = entry_for(request)
    return {name: values[-1] for name, values in entry["sent"].items() if values} if entry else {}


def forget(request: HttpRequest, entry: Entry) -> None:
    """Forget a form: its page was shown with it."""
    request.session[KEPT] = [it for it in request.session.get(KEPT, []) if it != entry]


def change(request: HttpRequest, entry: Entry, **changes: Any) -> None:
    """Note that its page leads elsewhere, or that the person was told."""
    all_of_them: Sequence[Any] = request.session.get(KEPT, [])
    request.session[KEPT] = [it if it != entry else {**it, **changes} for it in all_of_them]


def page_of(request: HttpRequest) -> str:
    """Return the address of the desk's page that a form was sent from; never one of another site."""
    referer = request.headers.get("Referer", "")
    hosts = {request.get_host()}
    if not url_has_allowed_host_and_scheme(referer, hosts, require_https=request.is_secure()):
        return request.get_full_path()
    parts = urlsplit(referer)
    page = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return page if is_page(page) else request.get_full_path()


def is_page(address: str) -> bool:
    """Whether an address is a page of the desk that somebody may come back to."""
    parts = urlsplit(address)
    is_here = not (parts.scheme or parts.netloc) and parts.path.startswith(reverse("admin:index"))
    if not is_here or "\\" in address or len(address) > LONGEST_PAGE:
        return False
    try:
        name = resolve(parts.path).url_name or ""
    except Resolver404:
        return False
    return name not in {"", "login", "logout", "backup-codes"} and not name.startswith(
        "second-factor"
    )


def person_in(request: HttpRequest) -> int | None:
    """Return who was logged in last in this browser; None if nobody was."""
    try:
        found = signing.loads(request.COOKIES.get(PERSON, ""), salt=PERSON, max_age=PERSON_FOR)
    except signing.BadSignature:
        return None
    return int(found)


def remember_person(request: HttpRequest, response: HttpResponseBase) -> None:
    """Have the browser say who is logged in, also when the session has ended."""
    if not request.user.is_authenticated or person_in(request) == request.user.pk:
        return
    response.set_cookie(
        PERSON,
        signing.dumps(request.user.pk, salt=PERSON),
        max_age=PERSON_FOR,
        path=reverse("admin:index"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def local(location: str) -> str:
    """Return the address that a redirect leads to without its fragment; "" if it leads away."""
    address = urldefrag(location).url
    return address if is_page(address) else ""


def _mine(request: HttpRequest) -> list[Entry]:
    """Return what is kept for who asks; what others typed, and what is old, goes at once."""
    since = (timezone.now() - FOR).timestamp()
    found = request.session.get(KEPT, [])
    mine = [it for it in found if it["person"] == request.user.pk and it["at"] > since]
    if len(mine) < len(found) and request.user.is_authenticated:
        request.session[KEPT] = mine
    return mine
