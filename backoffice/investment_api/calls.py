"""How the calls of the Investment API are made: with a token of the right scope, as JSON, page by page."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .answers import Answer, Object, a_page, an_object, anything, total_count
from .auth import Credentials, Scope, Tokens
from .breaker import Breaker
from .budget import Budget, Urgency
from .errors import InvestmentAPIError
from .reading import Shape
from .transport import Transport
from .weather import Weather

DEADLINE = 30.0  # seconds for a call, waiting for the budget and for a token included
PAGE = 200
OVERLAP = 20  # entries of a page that are read again with the next one


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: its entries from ``offset`` on; ``total`` is infinite where upstream does not say."""

    entries: list[Object]
    offset: int
    total: float

    @property
    def is_last(self) -> bool:
        """Return whether nothing follows."""
        return not self.entries or self.offset + len(self.entries) >= self.total


class Calls:
    """Calls to one account with upstream, for any number of threads."""

    def __init__(
        self,
        credentials: Credentials,
        budget: Budget,
        *,
        breaker: Breaker | None = None,
        weather: Weather | None = None,
    ) -> None:
        self.budget = budget
        self.weather = weather or Weather()
        self._breaker = breaker or Breaker()
        self._credentials = credentials
        self._transport = Transport(
            credentials.url,
            sign=credentials.sign,
            budget=budget,
            breaker=self._breaker,
            weather=self.weather,
        )
        self._tokens = {
            scope: Tokens(credentials, self._transport, scope, self.weather) for scope in Scope
        }

    def shut_until(self) -> datetime | None:
        """Return until when background work need not try: upstream wants none, or does not answer."""
        moments = (self.budget.paused_until(), self._breaker.open_until())
        return max(filter(None, moments), default=None)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        shape: Shape = anything,
        scope: Scope = Scope.READ,
        idempotency_key: UUID | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Make one call; ``body`` goes as JSON, bytes as they are. Only an answer of that ``shape`` counts.

        A token that is refused is renewed once. Where it was not upstream that refused it, nobody
        knows what became of the request: a new token is then only tried at once by what may be
        called any number of times. Nothing else is tried twice. To try again after
        UnavailableError, call again with the same ``idempotency_key``.
        """
        until = time.monotonic() + deadline
        headers = self._credentials.headers()
        content = _content(body)
        if content:
            headers["content-type"] = "application/json"
        if idempotency_key is not None:
            headers["idempotency-key"] = str(idempotency_key)

        def send(token: str) -> Answer:
            return self._transport.send(
                method,
                path,
                headers={**headers, "authorization": f"Bearer {token}"},
                params=params,
                body=content,
                shape=shape,
                urgency=urgency,
                until=until,
            )

        token = self._token(scope, urgency=urgency, until=until)
        try:
            return send(token)
        except InvestmentAPIError as error:
            is_foreign = error.is_foreign
            if error.status != 401 or not self._tokens[scope].refuse(token, is_foreign=is_foreign):
                raise
            if is_foreign and method != "GET":
                raise
        return send(self._token(scope, urgency=urgency, until=until))

    def _token(self, scope: Scope, *, urgency: Urgency, until: float) -> str:
        try:
            return self._tokens[scope].current(urgency=urgency, until=until)
        except InvestmentAPIError as error:
            error.was_sent = False  # it is the call for a token that failed
            raise

    def _object(
        self, path: str, pk: UUID, *, urgency: Urgency, deadline: float = DEADLINE
    ) -> Answer:
        """Return the object with the id ``pk``."""
        shape = an_object(pk)
        return self.call("GET", path, shape=shape, urgency=urgency, deadline=deadline)

    def _pages(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        urgency: Urgency,
        deadline: float = DEADLINE,
    ) -> Iterator[Object]:
        """Yield each entry of a list once, though it may move while it is read."""
        offset, seen = 0, set[str]()
        while True:
            page = self._page(path, params, offset=offset, urgency=urgency, deadline=deadline)
            for entry in page.entries:
                key = str(entry.get("id"))
                if key not in seen:
                    seen.add(key)
                    yield entry
            if page.is_last:
                return
            offset += len(page.entries) - min(OVERLAP, len(page.entries) // 2)

    def _page(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        offset: int,
        urgency: Urgency,
        deadline: float = DEADLINE,
    ) -> Page:
        """Return the part of a list that begins at ``offset``."""
        part = {**params, "offset": str(offset), "limit": str(PAGE)}
        answer = self.call(
            "GET", path, params=part, shape=a_page(offset), urgency=urgency, deadline=deadline
        )
        return Page(answer.payload["data"], offset, total_count(answer))


def _content(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return b"" if body is None else json.dumps(body).encode()
