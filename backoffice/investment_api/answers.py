"""Answers of upstream as JSON, and what we need of their outer form."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .errors import UnavailableError, first_words, read_json
from .transport import Response

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What upstream said. In ``payload`` numbers with a fraction are text, digit by digit."""

    payload: Any
    request_id: str
    status: int
    took: timedelta


def read_answer(call: str, response: Response) -> Answer:
    """Parse the answer to ``call``; its payload is None without a body. Raises UnavailableError."""
    request_id, status = response.request_id, response.status
    try:
        payload = read_json(response.body) if response.body else None
    except ValueError as error:
        message = f"{call}: {status} with an answer that is no JSON: {first_words(response.body)}"
        raise UnavailableError(message, status=status, request_id=request_id) from error
    return Answer(payload, request_id, status, response.took)


def object_in(answer: Answer, call: str) -> Object:
    """Return the payload, a JSON object. Raises UnavailableError."""
    if not isinstance(answer.payload, dict):
        raise unreadable(answer, call, "is no JSON object")
    return answer.payload


def objects_in(answer: Answer, name: str, call: str) -> list[Object]:
    """Return the list of objects that the payload holds as ``name``. Raises UnavailableError."""
    entries = answer.payload.get(name) if isinstance(answer.payload, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise unreadable(answer, call, f"has no list of objects called {name}")
    return entries


def total_count(answer: Answer) -> float:
    """Return how many entries the whole list has; infinite where upstream does not say."""
    meta = answer.payload.get("meta")
    total = meta.get("total_count") if isinstance(meta, dict) else None
    return total if isinstance(total, int) else math.inf


def unreadable(answer: Answer, call: str, what: str) -> UnavailableError:
    """Return the error of an answer that is JSON but not the kind that we asked for."""
    message = f"{call}: {answer.status} with an answer that {what}"
    return UnavailableError(message, status=answer.status, request_id=answer.request_id)
