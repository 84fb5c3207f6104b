"""The calls of the API: which there are, who may make them, what they answer."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from uuid import uuid4

from backoffice.http_signatures import Message

from .answers import ProblemError, Query, Response
from .authentication import TOKEN_PATH
from .faults import PAGES, Trouble
from .market import EndedError, UnknownError
from .objects import Json
from .requests import body_of, order_placement, placement
from .upstream import Upstream

KEY_LIFETIME = timedelta(hours=24)
"""How long the answer to an idempotency key is kept."""

_KEY = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-5][0-9a-fA-F]{3}-?[089abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
)
_GATEWAY_PAGE = (
    "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
)


@dataclass(frozen=True, slots=True)
class Route:
    """A call: ``{}`` in its path stands for an id, one of ``scopes`` is needed."""

    method: str
    path: str
    scopes: tuple[str, ...]
    call: Callable[..., Response]
    is_placement: bool = False

    def ids(self, path: str) -> tuple[str, ...] | None:
        """Return the ids in ``path``, None if it is not a path of this call."""
        match = re.fullmatch(self.path.replace("{}", "([^/]+)"), path)
        return match.groups() if match else None


class Api:
    """Answers calls, many at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._lock = Lock()
        self._kept: dict[str, tuple[datetime, Response]] = {}
        self._routes = tuple(self._all_routes())

    def answer(self, message: Message) -> Response:
        """Answer one call; what is wrong with it becomes a problem document."""
        request_id = str(uuid4())
        trouble = self._upstream.troubles.take(message.method, message.path)
        try:
            self._upstream.limit.check()
            response = self._troubled(trouble, message) if trouble else self._answer(message)
        except UnknownError:
            response = ProblemError(404).response(request_id)
        except EndedError as error:
            response = ProblemError(error.status, str(error)).response(request_id)
        except ProblemError as problem:
            response = problem.response(request_id)
        if trouble and trouble.kind == "gateway":
            return _of_gateway(trouble)
        headers = {
            "content-type": "application/json",
            **response.headers,
            "upvest-request-id": request_id,
        }
        return replace(response, headers=headers, cut=trouble.cut if trouble else None)

    def _troubled(self, trouble: Trouble, message: Message) -> Response:
        if trouble.cut or trouble.kind == "gateway":
            return self._answer(message) if trouble.is_late else Response(0)
        if trouble.kind == "brief":
            whole = self._answer(message)
            placed = whole.content if isinstance(whole.content, dict) else {}
            return replace(whole, content={"portfolio_order_id": placed.get("id")})
        headers = {"retry-after": trouble.retry_after} if trouble.retry_after else {}
        if trouble.kind == "problem":
            raise ProblemError(trouble.status, headers=headers)
        page = _GATEWAY_PAGE.format(f"{trouble.status} Bad Gateway")
        return Response(trouble.status, page, {**headers, "content-type": "text/html"})

    def _answer(self, message: Message) -> Response:
        self._upstream.authentication.check_client(message)
        self._upstream.authentication.check_signature(message)
        if message.headers.get("accept") != "application/json":
            raise ProblemError(406, "accept must be application/json.")
        if message.path == TOKEN_PATH and message.method == "POST":
            return Response(200, self._upstream.authentication.token(message))
        route, ids = self._route(message)
        self._upstream.authentication.check_token(message, route.scopes)
        return self._once(route, message) if route.is_placement else route.call(message, *ids)

    def _route(self, message: Message) -> tuple[Route, tuple[str, ...]]:
        fitting = [
            (route, ids) for route in self._routes if (ids := route.ids(message.path)) is not None
        ]
        for route, ids in fitting:
            if route.method == message.method:
                return route, ids
        raise ProblemError(405 if fitting else 404)

    def _once(self, route: Route, message: Message) -> Response:
        """Answer a repeated idempotency key as the first time; refusals are not kept."""
        key = message.headers.get("idempotency-key", "")
        if not key:
            raise ProblemError(400, slug="missing_idempotency_key")
        if not _KEY.fullmatch(key):
            raise ProblemError(400, "The idempotency-key must be a UUID.")
        with self._lock:
            now = self._upstream.clock()
            self._kept = {known: kept for known, kept in self._kept.items() if kept[0] > now}
            if key not in self._kept:
                self._kept[key] = (now + KEY_LIFETIME, route.call(message))
            return self._kept[key][1]

    def _all_routes(self) -> Iterator[Route]:
        orders, portfolios, webhooks = (
            (f"{area}:read", f"{area}:admin") for area in ("orders", "portfolios", "webhooks")
        )
        yield Route("GET", "/auth/verify_keys", webhooks, self._verify_keys)
        yield Route("POST", "/portfolios/orders", portfolios[1:], self._place, is_placement=True)
        yield Route("GET", "/portfolios/orders", portfolios, self._portfolio_orders)
        yield Route("GET", "/portfolios/orders/{}", portfolios, self._portfolio_order)
        yield Route("DELETE", "/portfolios/orders/{}", portfolios[1:], self._cancel)
        yield Route("POST", "/orders", orders[1:], self._place_order, is_placement=True)
        yield Route("GET", "/orders/{}", orders, self._order)
        yield Route("DELETE", "/orders/{}", orders[1:], self._cancel_order)
        yield Route("GET", "/orders/{}/executions/{}", orders, self._execution)
        yield Route("GET", "/accounts/{}/orders", orders, self._account_orders)
        yield Route("POST", "/webhooks", webhooks[1:], self._subscribe)
        yield Route("GET", "/webhooks", webhooks, self._list_subscriptions)
        yield Route("GET", "/webhooks/{}", webhooks, self._subscription)
        yield Route("PATCH", "/webhooks/{}", webhooks[1:], self._change_subscription)
        yield Route("DELETE", "/webhooks/{}", webhooks[1:], self._unsubscribe)
        yield Route("POST", "/webhooks/{}/test", webhooks[1:], self._test_subscription)

    def _verify_keys(self, message: Message) -> Response:
        return Response(200, self._upstream.keys.document(self._upstream.clock()))

    def _place(self, message: Message) -> Response:
        return Response(
            202,
            self._upstream.market.place(placement(body_of(message)), now=self._upstream.clock()),
        )

    def _portfolio_orders(self, message: Message) -> Response:
        allowed = "sort order offset limit start_date end_date allocation_id account_id"
        query = Query.read(message.query, allowed=allowed)
        query.word("sort", "id", "id")
        query.word("order", "ASC", "ASC")
        found = self._upstream.market.portfolio_orders(
            since=query.moment("start_date"), until=query.moment("end_date")
        )
        wanted = {
            name: query.values[name]
            for name in ("allocation_id", "account_id")
            if name in query.values
        }
        return query.page([item for item in found if _fits(item, wanted)], sort="id")

    def _portfolio_order(self, message: Message, order_id: str) -> Response:
        return Response(200, self._upstream.market.portfolio_order(order_id))

    def _cancel(self, message: Message, order_id: str) -> Response:
        self._upstream.market.cancel(order_id, now=self._upstream.clock())
        return Response(self._upstream.market.manners.taken)

    def _place_order(self, message: Message) -> Response:
        return Response(
            202,
            self._upstream.market.place_order(
                order_placement(body_of(message)), now=self._upstream.clock()
            ),
        )

    def _order(self, message: Message, order_id: str) -> Response:
        return Response(200, self._upstream.market.order(order_id))

    def _cancel_order(self, message: Message, order_id: str) -> Response:
        self._upstream.market.cancel_order(order_id, now=self._upstream.clock())
        taken = self._upstream.market.manners.taken
        return Response(taken, {"id": order_id} if taken == 202 else None)

    def _execution(self, message: Message, order_id: str, execution_id: str) -> Response:
        return Response(200, self._upstream.market.execution(order_id, execution_id))

    def _account_orders(self, message: Message, account_id: str) -> Response:
        allowed = (
            "order account_group_id user_id status date_created_from date_created_to offset limit"
        )
        query = Query.read(message.query, allowed=allowed)
        found = self._upstream.market.account_orders(
            account_id,
            status=query.word("status", "NEW PROCESSING FILLED CANCELLED", "FILLED"),
            since=query.moment("date_created_from"),
            until=query.moment("date_created_to"),
        )
        wanted = {"user_id": query.values["user_id"]} if "user_id" in query.values else {}
        chosen = [item for item in found if _fits(item, wanted)]
        if query.word("order", "ASC DESC", "ASC") == "DESC":
            chosen.reverse()
        return query.page(chosen, sort="id")

    def _subscribe(self, message: Message) -> Response:
        return Response(
            201,
            self._upstream.subscriptions.create(
                body_of(message), now=self._upstream.clock()
            ).document(),
        )

    def _list_subscriptions(self, message: Message) -> Response:
        query = Query.read(message.query, allowed="sort order offset limit")
        sort = query.word("sort", "created_at updated_at title url enabled", "created_at")
        is_descending = query.word("order", "ASC DESC", "ASC") == "DESC"
        documents = [subscription.document() for subscription in self._upstream.subscriptions.all()]
        return query.page(
            sorted(documents, key=lambda item: str(item[sort]), reverse=is_descending), sort=sort
        )

    def _subscription(self, message: Message, webhook_id: str) -> Response:
        return Response(200, self._upstream.subscriptions.get(webhook_id).document())

    def _change_subscription(self, message: Message, webhook_id: str) -> Response:
        return Response(
            200,
            self._upstream.subscriptions.update(
                webhook_id, body_of(message), now=self._upstream.clock()
            ).document(),
        )

    def _unsubscribe(self, message: Message, webhook_id: str) -> Response:
        self._upstream.subscriptions.delete(webhook_id)
        return Response(204)

    def _test_subscription(self, message: Message, webhook_id: str) -> Response:
        self._upstream.courier.test(self._upstream.subscriptions.get(webhook_id))
        return Response(202)


def _of_gateway(trouble: Trouble) -> Response:
    """Return what a gateway says that knows nothing of the API: no problem document, no number of ours."""
    media_type, body = PAGES[trouble.page]
    named = {
        "content-type": media_type,
        "location": trouble.location,
        "retry-after": trouble.retry_after,
        "x-request-id": "gateway-1",
    }
    headers = {name: value for name, value in named.items() if value}
    has_body = trouble.status not in (204, 304)
    content = body.replace("%d", str(trouble.status)) if has_body else None
    return Response(trouble.status, content, headers)


def _fits(document: Json, wanted: dict[str, str]) -> bool:
    return all(document.get(name) == value for name, value in wanted.items())
