"""Only the broker's own word counts: whatever a gateway, a proxy or a portal on the way says is no answer."""

import json
import logging
from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from backoffice.investment_api import breaker
from backoffice.investment_api.answers import a_list, a_placement, a_receipt, an_object, anything
from backoffice.investment_api.auth import Scope as TokenScope
from backoffice.investment_api.breaker import FAILURES
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import (
    InvestmentAPIError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    read_json,
)
from backoffice.investment_api.reading import Received, read
from backoffice.sandbox import Trouble
from backoffice.sandbox.faults import PAGES
from orders.asking import checking
from orders.asking.feedback import Verdict, sentence
from orders.cancelling import requesting, sending
from orders.lifecycle import Kind
from orders.management.commands import reconcile
from orders.models import (
    Cancellation,
    JournalEntry,
    Order,
    Placement,
    PlacementState,
    PortfolioOrder,
)
from orders.placing import placing, schedule
from orders.reconciliation import runs
from orders.reconciliation.models import Finding, Scope
from orders.reconciliation.work import Work
from tests.test_placing import PATH, POST, wait_until_due, wish, words
from tests.upstream import receive, running

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ID = uuid4()
PERSON = Urgency.PERSON
OWN = {"content-type": "application/problem+json", "upvest-request-id": "r1"}
JSON = {"content-type": "application/json"}
STATUSES = [200, 202, 204, 302, 401, 403, 404, 409, 422, 429, 503]
ORDER_PATHS = {Kind.PORTFOLIO_ORDER: "/portfolios/orders", Kind.ORDER: "/orders"}


# The reading, pure


def error_of(status, headers, body, shape=anything):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvestmentAPIError) as caught:
        read("GET /thing", Received(status, headers, content), shape, now=NOW)
    return caught.value


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (OWN, {"type": "https://docs.upvest.co/errors/not_found", "status": 404}),
        (OWN, {"title": "Not found"}),
        ({"content-type": "Application/Problem+JSON; charset=utf-8"}, {"status": 404}),
        (JSON, {"type": "not_found", "status": 404}),
        ({}, {"type": "not_found", "status": 404, "detail": "x"}),
    ],
)
def test_a_problem_document_is_known_by_its_media_type_or_by_the_members_of_the_contract(
    headers, body
):
    error = error_of(404, headers, body)

    assert type(error) is NotFoundError
    assert error.is_answer
    assert not error.is_foreign


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, {"message": "no Route matched with those values"}),
        (JSON, {"status": 404, "error": "Not Found", "path": "/", "timestamp": "x"}),
        (JSON, {"type": "not_found"}),
        (JSON, {"type": "not_found", "status": "404"}),
        (JSON, {"type": "", "status": 404}),
        (JSON, {"type": 7, "status": 404}),
        (JSON, {"type": "not_found", "status": True}),
        (JSON, [{"type": "not_found", "status": 404}]),
        (OWN, {"type": "internal", "status": 500}),
        (OWN, {"message": "no"}),
        (OWN, {}),
        (OWN, []),
        (OWN, b""),
        (OWN, b"<html>"),
        (OWN, b'{"type": "not_found", "status": 404'),
        (OWN, b"[" * 100_000),
        ({"upvest-request-id": "r1"}, b""),
    ],
)
def test_what_only_looks_like_a_problem_document_is_not_the_brokers_word(headers, body):
    error = error_of(404, headers, body)

    assert type(error) is UnavailableError
    assert error.is_foreign
    assert not error.is_answer
    assert str(error).startswith("GET /thing: 404 ")
    assert "; a gateway answered, not the broker" in str(error)


def own_word(status, headers, body):
    """Say by the words of the contract whether a refusal is upstream's own."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or not 400 <= status < 500:
        return False
    said = document.get("status")
    has_status = type(said) is int
    if has_status and said != status:
        return False
    if headers.get("content-type") == "application/problem+json":
        return any(name in document for name in ("type", "title", "status", "detail"))
    return has_status and isinstance(document.get("type"), str) and bool(document["type"].strip())


MEMBER = st.one_of(st.none(), st.booleans(), st.integers(300, 600), st.text(max_size=5))
BODIES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([body.encode() for _, body in PAGES.values()]),
    st.dictionaries(
        st.sampled_from(["type", "status", "title", "id", "message", "data", "keys"]), MEMBER
    ).map(lambda it: json.dumps(it).encode()),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["application/problem+json", "application/json", "x"]),
        "upvest-request-id": st.just("r1"),
        "retry-after": st.text(max_size=8),
        "location": st.text(max_size=8),
    },
)
SHAPES = st.sampled_from([anything, an_object(ID), a_list("data"), a_placement, a_receipt(ID)])


@given(st.one_of(st.integers(100, 599), st.just(404)), HEADERS, BODIES, SHAPES)
def test_whatever_comes_it_is_an_answer_or_upstreams_own_refusal_or_nothing(
    status, headers, body, shape
):
    try:
        answer = read("GET /thing", Received(status, headers, body), shape, now=NOW)
    except UnavailableError as error:
        assert error.is_foreign or status >= 400
        assert error.retry_after is None or error.retry_after <= timedelta(minutes=5)
        assert str(error).isprintable()
    except (NotFoundError, RefusedError) as error:
        assert own_word(status, headers, body)
        assert (status == 404) == isinstance(error, NotFoundError)
    else:
        assert 200 <= status < 300
        assert shape(answer) == ""


@pytest.mark.parametrize(
    ("shape", "payload", "what"),
    [
        (an_object(ID), {"id": str(uuid4())}, "is about "),
        (an_object(ID), {"portfolio_order_id": str(ID)}, "has no id"),
        (an_object(ID), [], "is no JSON object"),
        (an_object(ID), None, "is no JSON object"),
        (a_list("data"), {"data": "x"}, "has no list of objects called data"),
        (a_placement, {"id": "x"}, "does not say which portfolio order was placed"),
        (a_placement, {"id": str(ID)}, "has no upvest-request-id"),
        (a_receipt(ID), None, "has no upvest-request-id"),
        (a_receipt(ID), {"message": "ok"}, "has no upvest-request-id"),
        (a_receipt(ID), {"id": str(uuid4())}, "is about "),
        (a_receipt(ID), [], "is no JSON object"),
    ],
)
def test_a_2xx_of_another_kind_than_asked_for_is_no_answer(shape, payload, what):
    error = error_of(200, JSON, payload, shape)

    assert type(error) is UnavailableError
    assert error.is_foreign
    assert f"GET /thing: 200 with an answer that {what}" in str(error)


@pytest.mark.parametrize(
    ("shape", "payload", "headers"),
    [
        (an_object(ID), {"id": str(ID).upper()}, {}),
        (a_placement, {"id": str(ID), "status": "NEW"}, {}),
        (a_placement, {"portfolio_order_id": str(ID)}, OWN),
        (a_receipt(ID), {"id": str(ID)}, {}),
        (a_receipt(ID), {"id": str(ID)}, OWN),
        (a_receipt(ID), {}, OWN),
        (a_receipt(), {"id": str(uuid4())}, OWN),
    ],
)
def test_what_the_contract_has_is_taken_in_each_of_its_forms(shape, payload, headers):
    body = json.dumps(payload).encode()

    assert read("GET /thing", Received(202, headers, body), shape, now=NOW).payload == payload


def test_nothing_of_an_answer_to_the_token_call_is_quoted():
    received = Received(200, {}, b"access_token=ory_at_secret")

    with pytest.raises(UnavailableError) as caught:
        read("POST /auth/token", received, anything, now=NOW)

    assert "ory_at" not in str(caught.value)


def test_the_gateways_own_number_of_the_request_is_told():
    assert str(error_of(502, {"cf-ray": "8a1"}, b"")).endswith("(request id 8a1)")
    assert str(error_of(404, JSON, {"message": "x", "request_id": "k1"})).endswith(
        "(request id k1)"
    )


# Every call, over HTTP


@pytest.fixture
def upstream(settings, db):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def quiet(monkeypatch):
    """Keep the breaker out of tests that fail call by call, and the log short."""
    monkeypatch.setattr(breaker, "FAILURES", 10**9)
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


CALLS = {
    "portfolio order": ("/portfolios", lambda it: it.portfolio_order(ID, urgency=PERSON)),
    "order": ("/orders", lambda it: it.order(ID, urgency=PERSON)),
    "execution": ("/orders", lambda it: it.execution(ID, ID, urgency=PERSON)),
    "list": ("/portfolios", lambda it: list(it.portfolio_orders(since=NOW, urgency=PERSON))),
    "account": ("/accounts", lambda it: list(it.account_orders(ID, urgency=PERSON))),
    "keys": ("/auth/verify_keys", lambda it: it.verify_keys(urgency=PERSON)),
    "subscriptions": ("/webhooks", lambda it: list(it.subscriptions(urgency=PERSON))),
    "place": ("/portfolios", lambda it: it.place_portfolio_order(b"{}", idempotency_key=ID)),
    "cancel": ("/portfolios", lambda it: it.cancel_portfolio_order(ID)),
    "cancel order": ("/orders", lambda it: it.cancel_order(ID)),
    "subscribe": ("/webhooks", lambda it: it.create_subscription({})),
    "change": ("/webhooks", lambda it: it.update_subscription(ID, {})),
    "unsubscribe": ("/webhooks", lambda it: it.delete_subscription(ID)),
    "test": ("/webhooks", lambda it: it.test_subscription(ID)),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", CALLS)
def test_no_call_takes_what_a_gateway_says_for_an_answer_whatever_its_status_and_body(
    upstream, name
):
    path, call = CALLS[name]
    for status in STATUSES:
        for page in PAGES:
            trouble = Trouble("gateway", status, page, path=path, location="/login")
            upstream.expect(trouble, times=2)  # what only reads is tried again after a 401
            with pytest.raises(UnavailableError) as caught:
                call(api())
            assert caught.value.is_foreign, (status, page)
            assert not caught.value.is_answer
            assert caught.value.status == status
            upstream.forgive()


@pytest.mark.parametrize("page", ["no route", "html", "empty"])
@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_token_that_a_gateway_keeps_from_us_is_nobodys_refusal_and_nothing_was_sent(
    upstream, status, page
):
    upstream.expect(Trouble("gateway", status, page, path="/auth/token"))

    with pytest.raises(UnavailableError, match="POST /auth/token") as caught:
        api().place_portfolio_order(b"{}", idempotency_key=uuid4())

    assert not caught.value.was_sent
    assert upstream.asked() == []


def test_a_token_that_a_gateway_refuses_is_renewed_at_once_for_what_may_be_asked_twice(upstream):
    api().verify_keys()
    upstream.expect(Trouble("gateway", 401, "no token", path="/auth/verify_keys"))

    assert api().verify_keys()


def test_a_gateway_that_answers_401_to_all_is_asked_for_one_token_and_opens_the_breaker(upstream):
    api().verify_keys()
    upstream.expect(Trouble("gateway", 401, "no token", path="/portfolios"), times=1000)
    upstream.asked()
    before = api()._tokens[TokenScope.READ]._held
    for _ in range(20):
        with pytest.raises(UnavailableError):
            api().portfolio_order(ID)

    # The first is tried with another token, whose coming is an answer of the broker.
    assert len(upstream.asked()) == FAILURES + 1
    assert api()._tokens[TokenScope.READ]._held != before
    assert not api()._tokens[TokenScope.READ].refuse("x", is_foreign=True)


def test_a_placement_that_a_gateway_answers_401_goes_out_again_with_a_new_token_but_not_at_once(
    upstream,
):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("gateway", 401, "no token", path=PATH, at="done"))
    tokens = api()._tokens[TokenScope.PORTFOLIOS]

    assert placing.send(placement.pk).state == PlacementState.UNKNOWN
    assert upstream.asked() == [POST]
    refused = tokens._held
    wait_until_due(upstream, placement)

    assert placing.send(placement.pk).state == PlacementState.ACCEPTED
    assert tokens._held != refused
    assert len(upstream.market.portfolio_orders()) == 1


def test_a_gateways_pages_open_the_breaker_and_people_may_try(upstream):
    api().verify_keys()
    upstream.expect(Trouble("gateway", 404, "no route", path="/"), times=1000)
    upstream.asked()
    for _ in range(20):
        with pytest.raises(UnavailableError):
            api().portfolio_order(ID)

    assert len(upstream.asked()) == FAILURES
    with pytest.raises(UnavailableError, match="404"):
        api().portfolio_order(ID, urgency=PERSON)
    assert len(upstream.asked()) == 1


# Asking and reconciling


def placed(upstream, count):
    pks = [upstream.place() for _ in range(count)]
    receive(upstream.wait(seconds=30))
    return pks


@pytest.mark.parametrize("page", ["html", "empty", "no route", "list", "other status"])
def test_a_gateways_404_on_every_question_flags_nothing_as_not_found(upstream, page):
    placed(upstream, 8)
    upstream.expect(Trouble("gateway", 404, page, path="/", method="GET"), times=10_000)
    statuses = dict(PortfolioOrder.objects.values_list("pk", "status"))
    for _ in range(4):
        upstream.wait(hours=1)
        for kind, pk in checking.due(now=timezone.now()):
            assert checking.check(kind, pk).verdict in {Verdict.FAILED, Verdict.SKIPPED}

    assert not PortfolioOrder.objects.exclude(problems=0).exists()
    assert not Order.objects.exclude(problems=0).exists()
    assert dict(PortfolioOrder.objects.values_list("pk", "status")) == statuses
    upstream.forgive()
    upstream.wait(hours=7)
    for kind, pk in checking.due(now=timezone.now()):
        checking.check(kind, pk)
    assert set(PortfolioOrder.objects.values_list("status", flat=True)) == {"SETTLED"}


def test_a_person_is_told_that_a_gateway_answered(upstream):
    (pk,) = placed(upstream, 1)
    upstream.expect(Trouble("gateway", 404, "no route", path="/portfolios"))

    result = checking.refetch(Kind.PORTFOLIO_ORDER, pk, actor="mira")

    assert result.verdict is Verdict.FAILED
    said = sentence(result, now=timezone.now())
    assert said.startswith("A gateway answered 404, not the broker, nothing changed")
    entry = JournalEntry.objects.get(source="REFETCH")
    assert "no Route matched with those values" in entry.message
    assert "(request id gateway-1)" in entry.message


@pytest.mark.parametrize("scope", [Scope.OPEN, Scope.WINDOW])
@pytest.mark.parametrize("page", ["html", "empty", "no route", "other object"])
def test_a_reconciliation_takes_nothing_from_a_gateway_for_a_finding_but_waits_and_says_why(
    upstream, scope, page
):
    placed(upstream, 5)
    upstream.wait(minutes=5)
    status = 200 if page == "other object" else 404
    upstream.expect(Trouble("gateway", status, page, path="/", method="GET"), times=10_000)
    since = timezone.now() - timedelta(days=1) if scope is Scope.WINDOW else None
    run = runs.start(scope, actor="mira", now=timezone.now(), since=since, holds=True)
    work = Work(run)
    for _ in range(4):
        assert work.step() > timedelta()
        upstream.pass_time(timedelta(minutes=2))

    assert work.run.state == "RUNNING"
    assert not Finding.objects.exists()
    assert str(status) in work.run.reason or "not sent" in work.run.reason
    upstream.forgive()
    while not work.is_over:
        work.step()
        upstream.pass_time(timedelta(seconds=1))
    assert work.run.state == "DONE"
    assert not Finding.objects.filter(verdict="UNKNOWN_THERE").exists()


def test_the_command_that_reconciles_ends_with_the_gateways_words_and_without_findings(
    upstream, monkeypatch
):
    placed(upstream, 5)
    monkeypatch.setattr(reconcile, "sleep", lambda s: upstream.pass_time(timedelta(seconds=s)))
    upstream.expect(Trouble("gateway", 404, "html", path="/", method="GET"), times=10_000)

    with pytest.raises(CommandError, match=r"gateway answered, not the broker|has not answered"):
        call_command("reconcile", "--open")

    assert not Finding.objects.exists()
    assert not PortfolioOrder.objects.exclude(problems=0).exists()


# Placing


def lost(upstream):
    """Place an order whose first attempt reaches the broker, and whose answer is lost."""
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH, method="POST", at="done"))
    placing.send(placement.pk)
    assert len(upstream.market.portfolio_orders()) == 1
    return placement


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("status", "at"),
    [(200, "done"), (302, "body"), (401, "done"), (403, "body"), (404, "done"), (422, "done")],
)
def test_a_placement_that_a_gateway_answers_stays_unknown_and_is_sent_until_the_broker_speaks(
    upstream, status, page, at
):
    placement = lost(upstream)
    upstream.wait(minutes=30)
    upstream.expect(Trouble("gateway", status, page, path=PATH, method="POST", at=at))

    held = placing.send(placement.pk)

    assert held.state == PlacementState.UNKNOWN
    assert held.next_attempt_at > timezone.now()
    assert "REFUSED" not in words(placement)
    wait_until_due(upstream, placement)
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED
    assert len(upstream.market.portfolio_orders()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 413, 415, 422])
def test_the_brokers_own_refusal_of_a_retry_ends_nothing_that_a_look_up_finds(upstream, status):
    placement = lost(upstream)
    upstream.wait(minutes=30)
    times = 2 if status == 401 else 1
    upstream.expect(Trouble("problem", status, path=PATH, method="POST"), times=times)

    held = placing.send(placement.pk)

    (order,) = upstream.market.portfolio_orders()
    assert held.state == PlacementState.UNKNOWN
    assert words(placement)[-2:] == ["UNKNOWN", "LOOKED_UP"]
    said = JournalEntry.objects.filter(placement_id=placement.pk).latest("pk").message
    assert f"1 of 1 order matches: {order['id']}" in said
    wait_until_due(upstream, placement)
    held = placing.send(placement.pk)
    assert (held.state, str(held.portfolio_order_id)) == (PlacementState.ACCEPTED, order["id"])


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_of_the_order_is_its_end_once_a_look_up_has_found_nothing(upstream, status):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH, method="POST"))
    placing.send(placement.pk)
    upstream.expect(Trouble("problem", status, path=PATH, method="POST"), times=2)
    wait_until_due(upstream, placement)

    held = placing.send(placement.pk)  # while the first attempt may be under way
    assert held.state == PlacementState.UNKNOWN
    assert words(placement)[-1] == "UNKNOWN"
    wait_until_due(upstream, placement)
    held = placing.send(placement.pk)

    assert held.state == PlacementState.REFUSED
    assert held.sent_at >= held.first_sent_at + schedule.OVER_AFTER
    assert words(placement)[-3:] == ["UNKNOWN", "LOOKED_UP", "REFUSED"]


@pytest.mark.parametrize("look_up", ["html", "no route", "empty object", "list"])
def test_a_look_up_that_a_gateway_answers_ends_nothing(upstream, look_up):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH, method="POST"))
    placing.send(placement.pk)
    upstream.wait(minutes=30)
    upstream.expect(Trouble("problem", 422, path=PATH, method="POST"))
    status = 200 if look_up in {"empty object", "list"} else 404
    upstream.expect(Trouble("gateway", status, look_up, path=PATH, method="GET"))

    held = placing.send(placement.pk)

    assert held.state == PlacementState.UNKNOWN
    assert held.next_attempt_at > timezone.now()
    assert words(placement)[-1] == "UNKNOWN"


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_refusal_that_is_not_about_the_order_ends_nothing_even_where_a_look_up_finds_nothing(
    upstream, status
):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH, method="POST"))
    placing.send(placement.pk)
    upstream.wait(minutes=30)
    upstream.expect(Trouble("problem", status, path=PATH, method="POST"), times=2)

    assert placing.send(placement.pk).state == PlacementState.UNKNOWN
    assert words(placement)[-1] == "LOOKED_UP"


def test_a_first_attempt_that_the_broker_itself_refuses_is_refused_at_once(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", 422, path=PATH, method="POST"))

    assert placing.send(placement.pk).state == PlacementState.REFUSED


def test_a_person_may_say_that_what_the_look_up_found_is_it(upstream):
    placement = lost(upstream)
    upstream.wait(minutes=30)
    upstream.expect(Trouble("problem", 422, path=PATH, method="POST"))
    placing.send(placement.pk)
    (order,) = upstream.market.portfolio_orders()

    placing.settle_as_placed(placement.pk, order["id"], actor="otto")

    assert Placement.objects.get(pk=placement.pk).state == PlacementState.ACCEPTED


def test_an_answer_with_the_order_of_another_account_is_no_acceptance(upstream, monkeypatch):
    other = upstream.truth(upstream.place())
    placement = placing.place(wish(), actor="tina")
    with monkeypatch.context() as patch:
        patch.setattr(upstream.market, "place", lambda *_, **__: other)
        held = placing.send(placement.pk)

    assert held.state == PlacementState.UNKNOWN
    assert f"of account {other['account_id']}" in held.reason


# Cancelling


def cancelled(upstream, kind, trouble):
    """Request cancellation a new order, and send it into a trouble; return the request."""
    (pk,) = placed(upstream, 1)
    if kind is Kind.ORDER:
        pk = Order.objects.filter(portfolio_order_id=pk).order_by("pk")[0].pk
    upstream.expect(trouble, times=1)
    return sending.send(requesting.request(kind, pk, actor="tina").pk)


@pytest.mark.parametrize("kind", ORDER_PATHS)
@pytest.mark.parametrize("page", ["html", "empty", "no route", "list", "other status"])
@pytest.mark.parametrize("status", [200, 204, 302, 403, 404, 409])
def test_a_cancel_that_a_gateway_answers_is_unknown_and_sent_again(upstream, kind, status, page):
    held = cancelled(upstream, kind, Trouble("gateway", status, page, method="DELETE"))

    assert held.state == "UNKNOWN"
    assert held.next_attempt_at is not None
    upstream.wait(seconds=ceil((held.next_attempt_at - timezone.now()).total_seconds()))
    calls = upstream.asked()
    sending.send(held.pk)
    assert [it for it in calls + upstream.asked() if it.startswith("DELETE")] == [
        f"DELETE {ORDER_PATHS[kind]}/{held.about}"
    ] * 2
    assert Cancellation.objects.get(pk=held.pk).state == "TAKEN"


@pytest.mark.parametrize(
    ("text", "read"), [(b"a\tb", "a\tb"), (b"a\xffb", "a\ufffdb"), (b"a\x00b", "a\x00b")]
)
def test_one_odd_byte_in_a_text_costs_none_of_the_rest_of_an_answer(text, read):
    payload = read_json(b'{"client_reference": "%s", "status": "NEW"}' % text)

    assert payload == {"client_reference": read, "status": "NEW"}
