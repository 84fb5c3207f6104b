"""The calls that this project makes to the Investment API."""

import functools
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from .answers import Answer, Object, objects_in, read_answer, total_count, unreadable
from .auth import Credentials, Tokens
from .budget import Budget, Urgency
from .errors import RefusedError
from .transport import Response, Transport

DEADLINE = 30.0  # seconds for a call, waiting for the budget and for a token included
PAGE = 200
OVERLAP = 20  # entries of a page that are read again with the next one
STATUSES = ("NEW", "PROCESSING", "FILLED", "CANCELLED")


class InvestmentAPI:
    """The client of one account with upstream, for any number of threads.

    Every call raises UnavailableError (try later), NotFoundError or RefusedError, and ends within
    DEADLINE, or the ``deadline`` given, in seconds. ``urgency`` says who waits for it: people go
    first.
    """

    def __init__(self, credentials: Credentials, budget: Budget) -> None:
        self.budget = budget
        self._credentials = credentials
        self._transport = Transport(credentials.url, sign=credentials.sign, budget=budget)
        self._tokens = Tokens(credentials, self._transport)

    def portfolio_order(
        self,
        portfolio_order_id: UUID,
        *,
        urgency: Urgency = Urgency.BACKGROUND,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Return one portfolio order."""
        path = f"/portfolios/orders/{portfolio_order_id}"
        return self._object(path, urgency=urgency, deadline=deadline)

    def order(
        self, order_id: UUID, *, urgency: Urgency = Urgency.BACKGROUND, deadline: float = DEADLINE
    ) -> Answer:
        """Return one order, with its executions."""
        return self._object(f"/orders/{order_id}", urgency=urgency, deadline=deadline)

    def execution(
        self, order_id: UUID, execution_id: UUID, *, urgency: Urgency = Urgency.BACKGROUND
    ) -> Answer:
        """Return one execution of an order."""
        return self._object(f"/orders/{order_id}/executions/{execution_id}", urgency=urgency)

    def portfolio_orders(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
    ) -> Iterator[Object]:
        """Yield the portfolio orders created from ``since`` on, each once, in no order of time."""
        params = {"sort": "id", "order": "ASC", "start_date": _rfc3339(since)}
        if until is not None:
            params["end_date"] = _rfc3339(until)
        return self._pages("/portfolios/orders", params, urgency=urgency)

    def account_orders(
        self,
        account_id: UUID,
        *,
        statuses: Sequence[str] = STATUSES,
        since: datetime | None = None,
        until: datetime | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
    ) -> Iterator[Object]:
        """Yield an account's orders, one status after the other.

        Always asks by status, since upstream takes a missing one for FILLED. An order that moves
        on meanwhile may come twice, the later state last.
        """
        params = {"order": "ASC"}
        if since is not None:
            params["date_created_from"] = _rfc3339(since)
        if until is not None:
            params["date_created_to"] = _rfc3339(until)
        for status in statuses:
            path = f"/accounts/{account_id}/orders"
            yield from self._pages(path, {**params, "status": status}, urgency=urgency)

    def verify_keys(self, *, urgency: Urgency = Urgency.BACKGROUND) -> list[Object]:
        """Return the JWKs that deliveries are signed with."""
        answer = self._object("/auth/verify_keys", urgency=urgency)
        return objects_in(answer, "keys", "GET /auth/verify_keys")

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        idempotency_key: UUID | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Make one call; ``body`` goes as JSON. The token is renewed once if upstream refuses it.

        Nothing else is tried twice. To try again after UnavailableError, call again with the same
        ``idempotency_key``.
        """
        until = time.monotonic() + deadline
        headers = self._credentials.headers()
        content = b"" if body is None else json.dumps(body).encode()
        if content:
            headers["content-type"] = "application/json"
        if idempotency_key is not None:
            headers["idempotency-key"] = str(idempotency_key)

        def send(token: str) -> Response:
            return self._transport.send(
                method,
                path,
                headers={**headers, "authorization": f"Bearer {token}"},
                params=params,
                body=content,
                urgency=urgency,
                until=until,
            )

        token = self._tokens.current(urgency=urgency, until=until)
        try:
            response = send(token)
        except RefusedError as error:
            if error.status != 401:
                raise
            response = send(self._tokens.current(urgency=urgency, until=until, refused=token))
        return read_answer(f"{method} {path}", response)

    def _object(self, path: str, *, urgency: Urgency, deadline: float = DEADLINE) -> Answer:
        answer = self.call("GET", path, urgency=urgency, deadline=deadline)
        if not isinstance(answer.payload, dict):
            raise unreadable(answer, f"GET {path}", "is no JSON object")
        return answer

    def _pages(self, path: str, params: Mapping[str, str], *, urgency: Urgency) -> Iterator[Object]:
        """Yield each entry of a list once, though it may move while it is read."""
        offset, seen = 0, set[str]()
        while True:
            page = {**params, "offset": str(offset), "limit": str(PAGE)}
            answer = self.call("GET", path, params=page, urgency=urgency)
            entries = objects_in(answer, "data", f"GET {path}")
            for entry in entries:
                key = str(entry.get("id"))
                if key not in seen:
                    seen.add(key)
                    yield entry
            if not entries or offset + len(entries) >= total_count(answer):
                return
            offset += len(entries) - min(OVERLAP, len(entries) // 2)


def api() -> InvestmentAPI:
    """Return this process's client, made from Django's settings at first use.

    Raises ImproperlyConfigured when they do not suffice.
    """
    with _lock:
        return _from_settings()


def forget_api(**_: object) -> None:
    """Have the next ``api()`` read the settings anew."""
    _from_settings.cache_clear()


_lock = threading.Lock()
os.register_at_fork(after_in_child=forget_api)  # connections must not be shared with the parent


@functools.cache
def _from_settings() -> InvestmentAPI:
    credentials = Credentials.from_settings()
    limit, redis_url = settings.INVESTMENT_API_MAX_RPS, settings.REDIS_URL
    budget = Budget(limit, redis_url=redis_url, name=credentials.client_id)
    try:
        return InvestmentAPI(credentials, budget)
    except ValueError as error:
        raise ImproperlyConfigured(f"INVESTMENT_API_URL: {error}") from error


@receiver(setting_changed)
def _settings_changed(*, setting: str, **_: object) -> None:
    if setting == "REDIS_URL" or setting.startswith("INVESTMENT_API_"):
        forget_api()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
