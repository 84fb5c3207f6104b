"""One HTTP request as it came over the wire: what a signature is made of.

Django shows the path decoded and reads no body without a Content-Length; a signature needs both
as they were sent.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest

from backoffice.http_signatures import Address, Message

TOLD_TARGETS = ("x-original-uri", "x-forwarded-uri", "x-original-url")
LONGEST_ADDRESS = 300  # characters of an address that are shown
PATH_CHARACTERS = "/~!$&'()*+,;=:@"  # what a path may hold besides letters and digits


class TooLargeError(ValueError):
    """The body is longer than ``WEBHOOK_MAX_BODY_BYTES``."""


class IncompleteError(ValueError):
    """The connection ended before the body did."""


def head_of(request: HttpRequest) -> Message:
    """Return the request as it was signed, but for its body, of which nothing is read."""
    return Message(
        method=request.method or "",
        path=raw_path(request.META),
        query=request.META.get("QUERY_STRING", ""),
        headers=dict(request.headers),
        body=b"",
    )


def with_body(head: Message, request: HttpRequest) -> Message:
    """Return the whole request. Raises TooLargeError and IncompleteError."""
    return replace(head, body=_body(request.META))


def address_of(message: Message) -> str:
    """Return where a request arrived, for people: host, path and query."""
    headers = {name.lower(): value for name, value in message.headers.items()}
    query = f"?{message.query}" if message.query else ""
    return f"{headers.get('host', '')}{message.path}{query}"[:LONGEST_ADDRESS]


def told_addresses(message: Message) -> list[Address]:
    """Return the addresses that proxies tell in headers; strangers may write there what they like."""
    headers = {name.lower(): value.strip() for name, value in message.headers.items()}
    host = headers.get("x-forwarded-host", "").partition(",")[0] or headers.get("host", "")
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    targets = [f"{prefix}{message.path}", *(headers.get(name, "") for name in TOLD_TARGETS)]
    paths = dict.fromkeys(target.partition("?")[0] for target in targets)
    return [Address("https", host, path, message.query) for path in paths if path.startswith("/")]


def raw_path(environ: dict[str, Any]) -> str:
    """Return the path before percent-decoding.

    gunicorn has it in ``RAW_URI``. Where only the decoded path is at hand it is quoted again,
    which is the same for every path that a sane client sends.
    """
    target = environ.get("RAW_URI", "")
    if target.startswith("/"):
        return str(target).partition("?")[0]
    if target and target != "*":
        return urlsplit(target).path or "/"
    decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return quote(decoded.encode("latin-1"), safe=PATH_CHARACTERS)


def _body(environ: dict[str, Any]) -> bytes:
    """Read the body, never more than the limit and one byte."""
    limit = settings.WEBHOOK_MAX_BODY_BYTES
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        # Sent in chunks: readable to its end only where the server marks that end.
        terminated = environ.get("wsgi.input_terminated")
        body = _read(environ, limit + 1) if terminated else b""
        if len(body) > limit:
            raise TooLargeError(f"a body in chunks is longer than {limit} bytes")
        return body
    if int(length) > limit:
        raise TooLargeError(f"a body of {length} bytes is longer than {limit}")
    body = _read(environ, int(length))
    if len(body) < int(length):
        raise IncompleteError(f"only {len(body)} of {length} bytes came")
    return body


def _read(environ: dict[str, Any], most: int) -> bytes:
    """Read ``most`` bytes, fewer only where the input ends."""
    parts: list[bytes] = []
    try:
        while most and (part := environ["wsgi.input"].read(most)):
            parts.append(part)
            most -= len(part)
    except OSError as error:
        raise IncompleteError(f"the connection broke: {error}") from error
    return b"".join(parts)
