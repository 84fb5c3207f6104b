"""The calls that this project makes to the Investment API."""

import functools
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from .answers import Answer, Object, a_list, a_placement, a_receipt
from .auth import Credentials, Scope
from .budget import Budget, Urgency
from .calls import DEADLINE, Calls, Page
from .reading import Shape
from .weather import Weather

STATUSES = ("NEW", "PROCESSING", "FILLED", "CANCELLED")


class InvestmentAPI(Calls):
    """The client of one account with upstream, for any number of threads.

    Every call raises UnavailableError (try later), NotFoundError or RefusedError, and ends within
    DEADLINE, or the ``deadline`` given, in seconds. The last two are upstream's own word, as is each
    answer: it is about what was asked (``reading``). ``urgency`` says who waits for it: people go
    first.
    """

    def portfolio_order(
        self,
        portfolio_order_id: UUID,
        *,
        urgency: Urgency = Urgency.BACKGROUND,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Return one portfolio order."""
        path = f"/portfolios/orders/{portfolio_order_id}"
        return self._object(path, portfolio_order_id, urgency=urgency, deadline=deadline)

    def order(
        self, order_id: UUID, *, urgency: Urgency = Urgency.BACKGROUND, deadline: float = DEADLINE
    ) -> Answer:
        """Return one order, with its executions."""
        path = f"/orders/{order_id}"
        return self._object(path, order_id, urgency=urgency, deadline=deadline)

    def execution(
        self, order_id: UUID, execution_id: UUID, *, urgency: Urgency = Urgency.BACKGROUND
    ) -> Answer:
        """Return one execution of an order."""
        path = f"/orders/{order_id}/executions/{execution_id}"
        return self._object(path, execution_id, urgency=urgency)

    def portfolio_orders(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        account_id: UUID | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
        deadline: float = DEADLINE,
    ) -> Iterator[Object]:
        """Yield the portfolio orders created from ``since`` on, each once, in no order of time.

        Of all accounts, or of ``account_id``; the deadline is that of each call.
        """
        params = _created(since, until, account_id)
        return self._pages("/portfolios/orders", params, urgency=urgency, deadline=deadline)

    def portfolio_orders_from(
        self,
        offset: int,
        *,
        since: datetime,
        until: datetime | None = None,
        account_id: UUID | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
    ) -> Page:
        """Return one page of the same list, by id: for who must be able to go on where they were."""
        params = _created(since, until, account_id)
        return self._page("/portfolios/orders", params, offset=offset, urgency=urgency)

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
        for status in statuses:
            path, params = _by_status(account_id, status, since, until)
            yield from self._pages(path, params, urgency=urgency)

    def account_orders_from(
        self,
        offset: int,
        account_id: UUID,
        *,
        status: str,
        until: datetime | None = None,
        urgency: Urgency = Urgency.BACKGROUND,
    ) -> Page:
        """Return one page of an account's orders with one status."""
        path, params = _by_status(account_id, status, None, until)
        return self._page(path, params, offset=offset, urgency=urgency)

    def verify_keys(self, *, urgency: Urgency = Urgency.BACKGROUND) -> list[Object]:
        """Return the JWKs that deliveries are signed with."""
        answer = self.call("GET", "/auth/verify_keys", shape=a_list("keys"), urgency=urgency)
        keys: list[Object] = answer.payload["keys"]
        return keys

    def place_portfolio_order(
        self,
        body: bytes,
        *,
        idempotency_key: UUID,
        urgency: Urgency = Urgency.SUBMISSION,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Place a portfolio order, once for each key however often it is called within 24 hours.

        UnavailableError leaves open whether upstream has taken it: call again with the same key and
        the same bytes. Upstream answers 200, 201 or 202, all the same.
        """
        return self.call(
            "POST",
            "/portfolios/orders",
            body=body,
            shape=a_placement,
            scope=Scope.PORTFOLIOS,
            idempotency_key=idempotency_key,
            urgency=urgency,
            deadline=deadline,
        )

    def cancel_portfolio_order(
        self,
        portfolio_order_id: UUID,
        *,
        urgency: Urgency = Urgency.SUBMISSION,
        deadline: float = DEADLINE,
    ) -> Answer:
        """Ask to cancel a portfolio order; what comes of it is told by webhook. May be called again."""
        return self._cancel(
            f"/portfolios/orders/{portfolio_order_id}",
            portfolio_order_id,
            scope=Scope.PORTFOLIOS,
            urgency=urgency,
            deadline=deadline,
        )

    def cancel_order(
        self, order_id: UUID, *, urgency: Urgency = Urgency.SUBMISSION, deadline: float = DEADLINE
    ) -> Answer:
        """Ask to cancel an order; what comes of it is told by webhook. May be called again."""
        path = f"/orders/{order_id}"
        return self._cancel(path, order_id, scope=Scope.ORDERS, urgency=urgency, deadline=deadline)

    def subscriptions(self, *, urgency: Urgency = Urgency.BACKGROUND) -> Iterator[Object]:
        """Yield the webhook subscriptions of the account."""
        return self._pages("/webhooks", {}, urgency=urgency)

    def create_subscription(self, document: Object, *, urgency: Urgency = Urgency.PERSON) -> Object:
        """Create a subscription and return it; upstream leaves it disabled. Takes no idempotency key."""
        return self._write_subscription("POST", "/webhooks", document, a_receipt(), urgency)

    def update_subscription(
        self, webhook_id: UUID, changes: Object, *, urgency: Urgency = Urgency.PERSON
    ) -> Object:
        """Change what ``changes`` names of a subscription, and return it."""
        path, shape = f"/webhooks/{webhook_id}", a_receipt(webhook_id)
        return self._write_subscription("PATCH", path, changes, shape, urgency)

    def delete_subscription(self, webhook_id: UUID, *, urgency: Urgency = Urgency.PERSON) -> None:
        """Delete a subscription: upstream tells it nothing any more, what it had queued is lost."""
        path, shape = f"/webhooks/{webhook_id}", a_receipt(webhook_id)
        self.call("DELETE", path, shape=shape, scope=Scope.WEBHOOKS, urgency=urgency)

    def test_subscription(self, webhook_id: UUID, *, urgency: Urgency = Urgency.PERSON) -> None:
        """Have upstream deliver a test event to a subscription."""
        path = f"/webhooks/{webhook_id}/test"
        self.call("POST", path, shape=a_receipt(), scope=Scope.WEBHOOKS, urgency=urgency)

    def _cancel(
        self, path: str, pk: UUID, *, scope: Scope, urgency: Urgency, deadline: float
    ) -> Answer:
        shape = a_receipt(pk)
        return self.call(
            "DELETE", path, shape=shape, scope=scope, urgency=urgency, deadline=deadline
        )

    def _write_subscription(
        self, method: str, path: str, document: Object, shape: Shape, urgency: Urgency
    ) -> Object:
        answer = self.call(
            method, path, body=document, shape=shape, scope=Scope.WEBHOOKS, urgency=urgency
        )
        return answer.payload or {}


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
    weather = Weather(redis_url, credentials.client_id)
    try:
        return InvestmentAPI(credentials, budget, weather=weather)
    except ValueError as error:
        raise ImproperlyConfigured(f"INVESTMENT_API_URL: {error}") from error


@receiver(setting_changed)
def _settings_changed(*, setting: str, **_: object) -> None:
    if setting == "REDIS_URL" or setting.startswith("INVESTMENT_API_"):
        forget_api()


def _created(since: datetime, until: datetime | None, account_id: UUID | None) -> dict[str, str]:
    params = {"sort": "id", "order": "ASC", "start_date": _rfc3339(since)}
    if account_id is not None:
        params["account_id"] = str(account_id)
    if until is not None:
        params["end_date"] = _rfc3339(until)
    return params


def _by_status(
    account_id: UUID, status: str, since: datetime | None, until: datetime | None
) -> tuple[str, dict[str, str]]:
    params = {"order": "ASC", "status": status}
    if since is not None:
        params["date_created_from"] = _rfc3339(since)
    if until is not None:
        params["date_created_to"] = _rfc3339(until)
    return f"/accounts/{account_id}/orders", params


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
