"""What no page makes and anybody can send: absurd values, and a browser that watches what they do."""

import logging
import re
import traceback
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import quote, urljoin

from django.core.signals import got_request_exception
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")
LONG = "9" * 5_000  # more digits than Python makes a number of
# Percent-encoded, for what is no UTF-8 can be sent no other way.
ENCODED = [
    "%00",
    "a%00b",
    "0",
    "-1",
    "99999999999999999999",
    LONG,
    "1e999",
    "NaN",
    "%D9%A3",  # a digit, but none of ASCII's
    "%ED%A0%80",  # a lone surrogate
    "%FF",
    "%0D%0A%1B[31m",
    "%25",
    "_5F_22_0",  # as the admin quotes in paths
    "'\";--",
    "__class__",
    "1,2,99999999999999999999",
    "0001-01-01",
    "9999-12-31",
    "x" * 100_000,
]
VALUES = [
    *("", "\0", "a\0b", "-1", "99999999999999999999", LONG, "1e999", "NaN", "٣", "\ufffe"),
    *("\r\n\x1b[31m", "%", "'\";--", "{{ 1 }}", "0001-01-01", "9999-12-31", "x" * 100_000),
]
# What Django's lists read of a query, and what else may stand in one: of other pages, or a lookup to try.
NAMES = ["p", "o", "q", "e", "all", "_popup", "_to_field", "_changelist_filters"]
OTHER_NAMES = [
    *("term", "next", "app_label", "model_name", "field_name", "bom", "delimiter", "history"),
    *("entries", "page", "year", "_facets", "_source_model", "select_across"),
]
LOOKUPS = [
    *("id", "id__in", "pk__range", "pk__isnull", "user__id__exact", "groups__id__exact"),
    *("username", "last_login__year", "last_login__gte", "created_at__gte", "created_at__lt"),
    *("is_staff__exact", "confirmed__exact", "name__regex", "nothing__at__all", "p[]", "\0"),
]
FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
FIELD = re.compile(r"<(?:input|select|textarea|button)\b[^>]*\bname=\"([^\"]+)\"[^>]*>")

UNTRIED = {"csrfmiddlewaretoken", "_addanother", "_continue"}


def routes(pattern=None, before=""):
    """Return every route of the site as the admin writes it: "admin/orders/order/<uuid:pk>/note/"."""
    for each in (pattern or get_resolver()).url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each, route)
        else:
            yield route


def paths(route, arguments):
    """Return the paths of a route with each of these arguments, all places filled alike."""
    plain = route.replace("/?$", "").replace("$", "").replace("^", "")
    plain = re.sub(r"\(\?P<\w+>([^|)]+)[^)]*\)", r"\1", plain.replace("(?P<url>.*)", "<path:url>"))
    if not ARGUMENT.search(plain):
        return [f"/{plain}"]
    return ["/" + it.join(ARGUMENT.split(plain)[::3]) for it in arguments]


class Prober:
    """A browser that has done nothing afterwards, and remembers every request that broke something."""

    def __init__(self, client: Client, log) -> None:
        self._client = client
        self._cookies = client.cookies.output()
        self._log = log
        client.raise_request_exception = False
        self.requests = 0
        self.broken: list[tuple[str, ...]] = []

    def get(self, path, query="", **more):
        """Ask for a path and a query that are percent-encoded already."""
        # "/admin//": Django's client would take what follows for a host.
        return self._ask(
            "GET", path, lambda: self._client.generic("GET", path, QUERY_STRING=query, **more)
        )

    def post(self, path, fields, query="", **more):
        """Send a form."""
        return self._ask(
            "POST",
            path,
            lambda: self._client.post(path, fields, QUERY_STRING=query, **more),
            fields,
        )

    def _ask(self, method, path, ask, said=""):
        self.requests += 1
        cookies = dict(self._client.cookies)
        with errors() as raised, undone():
            response = ask()
            if response.streaming:
                b"".join(response.streaming_content)
        self._client.cookies.clear()
        self._client.cookies.update(cookies)
        loud = [it.getMessage()[:200] for it in self._log.records if is_loud(it)]
        self._log.clear()
        if response.status_code >= 500 or raised or loud:
            self.broken.append((method, path[:150], repr(said)[:300], *raised, *loud))
        return response


def is_loud(record):
    """Whether a record tells of an error of ours; Django has "security" for what it answered 400."""
    return record.levelno >= logging.ERROR and not record.name.startswith("django.security.")


@contextmanager
def undone():
    """Undo what happens inside, so that each request finds the same rows."""
    block: Any = transaction.atomic()
    block._from_testcase = True  # what must be the outermost transaction takes this one for none
    with block:
        yield
        transaction.set_rollback(True)


@contextmanager
def errors():
    """Yield the list of what the views of the requests inside raise."""
    raised = []

    def note(**_):
        raised.append(traceback.format_exc()[-1_500:])

    got_request_exception.connect(note)
    try:
        yield raised
    finally:
        got_request_exception.disconnect(note)


def forms_in(path, response):
    """Return (path, fields with their values) of the forms that a page posts."""
    for head, body in FORM.findall(response.text):
        if attribute(head, "method").lower() == "post":
            fields = {unescape(it[1]): attribute(it[0], "value") for it in FIELD.finditer(body)}
            yield urljoin(path, attribute(head, "action")).partition("?")[0], fields


def attribute(tag, name):
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


def queries(name, values):
    """Return queries that give a parameter each of these values, then several at once."""
    name = quote(name)
    return [*(f"{name}={it}" for it in values), f"{name}=1&{name}=-1&{name}="]
