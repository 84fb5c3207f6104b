"""What the API answers: responses, problem documents, and how lists are paged."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl

from .cuts import Cut
from .objects import Json

_DEFAULTS = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthorised", "Unauthorised"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    406: ("not_acceptable", "Not acceptable"),
    409: ("conflict", "Conflict"),
    413: ("payload_too_large", "Payload too large"),
    422: ("unprocessable_entity", "Unprocessable entity"),
    429: ("too_many_requests", "Too many requests"),
    500: ("internal", "Internal error"),
    502: ("bad_gateway", "Bad gateway"),
    503: ("unavailable", "Unavailable"),
    504: ("gateway_timeout", "Gateway timeout"),
}

_TITLES = {
    "missing_client_id": "Missing client ID",
    "missing_idempotency_key": "Missing idempotency key",
}

_NUMBER = re.compile(r"[0-9]{1,9}")


class ProblemError(Exception):
    """The call is answered with a problem document; ``detail`` says what is wrong, in words."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        slug: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.slug = slug
        self.headers = headers or {}

    def response(self, request_id: str) -> "Response":
        """Return the answer as upstream words it."""
        slug, title = _DEFAULTS.get(self.status, ("error", "Error"))
        document = {
            "type": f"https://docs.upvest.co/errors/{self.slug or slug}",
            "status": self.status,
            "title": _TITLES.get(self.slug, title),
            "request_id": request_id,
        }
        if self.detail:
            document["detail"] = self.detail
        return Response(
            self.status, document, {"content-type": "application/problem+json", **self.headers}
        )


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: JSON, text, or nothing. With ``cut`` the connection ends, and with it what was still to come."""

    status: int
    content: Json | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: Cut | None = None

    @property
    def body(self) -> bytes:
        """Return the bytes to send."""
        if self.content is None:
            return b""
        return (
            self.content if isinstance(self.content, str) else json.dumps(self.content)
        ).encode()


@dataclass(frozen=True, slots=True)
class Query:
    """The query of a call, read strictly: a name that is not documented is a 400."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, raw: str, *, allowed: str) -> "Query":
        """Read the raw text behind the "?"; ``allowed`` holds the documented names."""
        values = dict(parse_qsl(raw, keep_blank_values=True))
        if unknown := set(values) - set(allowed.split()):
            raise ProblemError(400, f"Unknown query parameter {', '.join(sorted(unknown))}.")
        return cls(values)

    def word(self, name: str, allowed: str, default: str) -> str:
        """Return one of the ``allowed`` words."""
        value = self.values.get(name, default)
        if value not in allowed.split():
            raise ProblemError(400, f"{name} must be one of {allowed}.")
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number from ``least`` to ``most``."""
        text = self.values.get(name, str(default))
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ProblemError(400, f"{name} must be a number from {least} to {most}.")
        return int(text)

    def moment(self, name: str) -> datetime | None:
        """Return an RFC 3339 time with its zone, None if absent."""
        if name not in self.values:
            return None
        try:
            moment = datetime.fromisoformat(self.values[name])
        except ValueError as error:
            raise ProblemError(400, f"{name} must be an RFC 3339 date-time.") from error
        if moment.tzinfo is None:
            raise ProblemError(400, f"{name} must have a time zone.")
        return moment

    def page(self, items: list[Json], *, sort: str) -> Response:
        """Return the page of ``items`` that offset and limit ask for."""
        offset = self.number("offset", 0, least=0, most=10**9)
        limit = self.number("limit", 100, least=1, most=1000)
        data = items[offset : offset + limit]
        meta = {
            "offset": offset,
            "limit": limit,
            "count": len(data),
            "total_count": len(items),
            "sort": sort,
            "order": self.values.get("order", "ASC"),
        }
        return Response(200, {"meta": meta, "data": data})
