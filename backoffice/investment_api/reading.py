"""Whose word an answer is: upstream's, or that of a gateway on the way to it. Pure.

Upstream speaks by what was asked for, in the shape of the contract, or by its own problem document.
All else -- a page, an empty body, JSON of another kind, a redirect, a document about another status
-- says nothing about what was asked, whatever its status: it is UnavailableError, and no more.
Source: investment-api.md, section 5.1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .errors import (
    InvestmentAPIError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    first_words,
    printable,
    read_json,
)
from .waits import retry_after

PROBLEM = "application/problem+json"
MEMBERS = frozenset({"type", "title", "status", "detail"})  # any of them makes a problem document
OWN_ID = "upvest-request-id"
TOKEN_PATH = "/auth/token"  # noqa: S105 -- a path, of which no answer is quoted
# Where a gateway answers, its own number of the request is what its operators ask for.
FOREIGN_IDS = ("x-request-id", "x-kong-request-id", "x-amzn-requestid", "cf-ray")
_LONGEST_ID = 64
_LONGEST_WORDS = 400
_TOPICS = {
    "orders": "orders",
    "accounts": "orders",
    "portfolios": "portfolios",
    "webhooks": "webhooks",
}


@dataclass(frozen=True, slots=True)
class Received:
    """An answer as it came over the wire, whoever gave it; the names of ``headers`` in lower case, or any."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took: timedelta = timedelta()

    @property
    def own_id(self) -> str:
        """Return upstream's number of the request; "" where it is not there."""
        return printable(self.headers.get(OWN_ID, ""))[:_LONGEST_ID]


@dataclass(frozen=True, slots=True)
class Answer:
    """What upstream said. In ``payload`` numbers with a fraction are text, digit by digit; None: no body."""

    payload: Any
    request_id: str
    status: int
    took: timedelta


Shape = Callable[[Answer], str]
"""Says in what an answer is not of the kind that was asked for: "is no JSON object"; "" if it is."""


def read(call: str, received: Received, shape: Shape, *, now: datetime) -> Answer:
    """Return what upstream answered to ``call`` ("GET /orders").

    Raises UnavailableError, NotFoundError or RefusedError; the last two only for its own word.
    """
    if not 200 <= received.status < 300:
        raise _failure(call, received, now)
    try:
        payload = read_json(received.body) if received.body.strip() else None
    except ValueError as error:
        words = "" if call.endswith(TOKEN_PATH) else f": {first_words(received.body)}"
        raise _other_kind(call, received, f"is no JSON{words}") from error
    answer = Answer(payload, received.own_id, received.status, received.took)
    if what := shape(answer):
        raise _other_kind(call, received, what)
    return answer


def problem_in(received: Received) -> Mapping[str, object] | None:
    """Return the problem document with which upstream itself speaks; None where it does not.

    It is known by its media type, or by what the contract demands of it: a type and the status.
    One about another status than that of the answer was not made for it.
    """
    document = _object(received.body)
    status = document.get("status")
    is_number = isinstance(status, int) and not isinstance(status, bool)
    if not document.keys() & MEMBERS or (is_number and status != received.status):
        return None
    media_type = received.headers.get("content-type", "").partition(";")[0].strip().lower()
    type_ = document.get("type")
    has_members = is_number and isinstance(type_, str) and type_.strip()
    return document if media_type == PROBLEM or has_members else None


def _failure(call: str, received: Received, now: datetime) -> InvestmentAPIError:
    problem, status = problem_in(received), received.status
    if problem is None or status < 400:
        return _foreign(call, received, now)
    message = f"{call}: {status} {_said(problem)}".rstrip() + _hint(call, status)
    request_id = received.own_id or _id_in(problem)
    if status in (408, 429) or status >= 500:
        wait = retry_after(received.headers.get("retry-after", ""), now=now)
        return UnavailableError(message, status=status, request_id=request_id, retry_after=wait)
    kind = NotFoundError if status == 404 else RefusedError
    refusal = kind(message, status=status, request_id=request_id)
    refusal.body = received.body
    return refusal


def _foreign(call: str, received: Received, now: datetime) -> UnavailableError:
    """Return the error of an answer that upstream has not given, in the words of who has."""
    status = received.status
    words = first_words(received.body).removeprefix(f"{status} ") or "without a word"
    if 300 <= status < 400:
        to = printable(received.headers.get("location", "nowhere"))[: _LONGEST_WORDS // 2]
        words = f"redirects to {to}, which is not followed"
    return _marked(
        UnavailableError(
            f"{call}: {status} {words}; a gateway answered, not the broker",
            status=status,
            request_id=_any_id(received),
            retry_after=retry_after(received.headers.get("retry-after", ""), now=now),
        )
    )


def _other_kind(call: str, received: Received, what: str) -> UnavailableError:
    """Return the error of a 2xx that is not of the kind that was asked for."""
    return _marked(
        UnavailableError(
            f"{call}: {received.status} with an answer that {what}",
            status=received.status,
            request_id=_any_id(received),
        )
    )


def _marked(error: UnavailableError) -> UnavailableError:
    error.is_foreign = True
    return error


def _any_id(received: Received) -> str:
    named = (received.headers.get(name, "") for name in FOREIGN_IDS)
    found = received.own_id or next(filter(None, named), "") or _id_in(_object(received.body))
    return printable(found)[:_LONGEST_ID]


def _id_in(document: Mapping[str, object]) -> str:
    return printable(str(document.get("request_id") or ""))[:_LONGEST_ID]


def _object(body: bytes) -> Mapping[str, object]:
    try:
        document = read_json(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _said(problem: Mapping[str, object]) -> str:
    title = problem.get("title") or str(problem.get("type") or "").rpartition("/")[2]
    said = ": ".join(str(part) for part in (title, problem.get("detail")) if part)
    return printable(" ".join(said.split()))[:_LONGEST_WORDS]


def _hint(call: str, status: int) -> str:
    if status == 401:
        return "; check the client secret, the signing key and the clock"
    if status == 403:
        method, _, path = call.partition(" /")
        topic = _TOPICS.get(path.partition("/")[0], "webhooks")
        return f"; needs the scope {topic}:{'read' if method == 'GET' else 'admin'}"
    return ""
