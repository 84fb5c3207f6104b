"""What can go wrong with a call, sorted by what the caller should do, in words fit for staff."""

import html
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_FIRST_WORDS = 200
_NOT_TEXT = re.compile(r"(?is)<!--.*?-->|<(script|style|title)\b.*?</\1\s*>|<[^<>]*>")
_TOPICS = {
    "orders": "orders",
    "accounts": "orders",
    "portfolios": "portfolios",
    "webhooks": "webhooks",
}
_LONGEST_WAIT = timedelta(hours=1)  # a slip of upstream's must not silence us for a year


class InvestmentAPIError(Exception):
    """A call that told us nothing. The text names the call, what upstream said and its request id.

    ``was_sent`` is False only where upstream cannot have got the call: no room in the budget, no
    token, no signature. ``body`` is that of the answer, as it came.
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.was_sent = True
        self.body = b""
        self.message = message
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} (request id {self.request_id})" if self.request_id else self.message


class UnavailableError(InvestmentAPIError):
    """Timeout, connection error, 429 or 5xx, unreadable answer, no room in the budget: try later.

    ``retry_after`` is how much later, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after = retry_after


class NotFoundError(InvestmentAPIError):
    """404: the resource does not exist upstream; trying again will not help."""


class RefusedError(InvestmentAPIError):
    """Any other 4xx, or a redirect: our request is wrong, our address is, or our credentials are."""


def error_of(
    call: str, status: int, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> InvestmentAPIError | None:
    """Return what the answer to ``call`` ("GET /orders") means; None for a 2xx."""
    if 200 <= status < 300:
        return None
    problem = _problem(body)
    request_id = headers.get("upvest-request-id") or str(problem.get("request_id") or "")[:64]
    said = _said(problem) or first_words(body).removeprefix(f"{status} ")
    if 300 <= status < 400:
        said = f"redirects to {headers.get('location', 'nowhere')[:_FIRST_WORDS]}, which is not followed"
    message = f"{call}: {status} {said}".rstrip() + _hint(call, status)
    if status in (408, 429) or status >= 500:
        wait = retry_after(headers.get("retry-after", ""), now=now)
        return UnavailableError(message, status=status, request_id=request_id, retry_after=wait)
    kind = NotFoundError if status == 404 else RefusedError
    refusal = kind(message, status=status, request_id=request_id)
    refusal.body = body
    return refusal


def retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Read a ``Retry-After`` header, seconds or an HTTP date; at most an hour, None if unreadable."""
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(timedelta(seconds=int(text)), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), _LONGEST_WAIT)


def read_json(body: bytes) -> Any:
    """Parse JSON of strangers; fractions stay text, so that no digit is lost. Raises ValueError."""
    try:
        return json.loads(body, parse_float=str)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_problem(body: bytes) -> bool:
    """Return whether upstream itself speaks: a gateway's page, or an answer cut short, proves nothing."""
    try:
        return isinstance(read_json(body), dict)
    except ValueError:
        return False


def _hint(call: str, status: int) -> str:
    if status == 401:
        return "; check the client secret, the signing key and the clock"
    if status == 403:
        method, _, path = call.partition(" /")
        topic = _TOPICS.get(path.partition("/")[0], "webhooks")
        return f"; needs the scope {topic}:{'read' if method == 'GET' else 'admin'}"
    return ""


def _problem(body: bytes) -> Mapping[str, object]:
    try:
        problem = read_json(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _said(problem: Mapping[str, object]) -> str:
    title = problem.get("title") or str(problem.get("type") or "").rpartition("/")[2]
    said = ": ".join(str(part) for part in (title, problem.get("detail")) if part)
    return " ".join(said.split())[: 2 * _FIRST_WORDS]


def first_words(body: bytes) -> str:
    """Return the beginning of what a person would read on the page of a gateway."""
    text = body[:8_000].decode("utf-8", "replace")
    words = html.unescape(_NOT_TEXT.sub(" ", text)).split()
    return "".join(c if c.isprintable() else " " for c in " ".join(words))[:_FIRST_WORDS]
