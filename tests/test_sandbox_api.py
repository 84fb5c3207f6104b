"""The API of the stand-in, over HTTP with real signatures."""

import http.client
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from backoffice.http_signatures import Message, Version, sign
from backoffice.sandbox import FaultPlan, Sandbox, Trouble
from backoffice.sandbox.authentication import SCOPES

CLIENT = "b65dd537-2afe-4c5d-987b-0995634b4911"
SECRET = "a secret"
KEY_ID = "b4502fc7-66a4-4557-a3bc-a3f7de3080f3"
KEY = ec.generate_private_key(ec.SECP521R1())
USER = "4e97711f-794d-49c7-8fd1-df96532ab6f0"
ACCOUNT = "840def04-f711-4274-b381-f20c93f39362"
BUY = {
    "user_id": USER,
    "account_id": ACCOUNT,
    "cash_amount": "1000.00",
    "currency": "EUR",
    "side": "BUY",
}
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ALL_SCOPES = " ".join(sorted(SCOPES))


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)


class Caller:
    """Calls the API as its client would; ``skip`` and ``key`` make the call a wrong one."""

    def __init__(self, url):
        self.address = urlsplit(url).netloc
        self.token = ""

    def log_in(self, scope=ALL_SCOPES):
        answer = self.ask_token(scope=scope)
        assert answer.status == 200, answer.text
        self.token = answer.json["access_token"]
        return answer.json

    def ask_token(self, **form):
        fields = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "grant_type": "client_credentials",
            "scope": "orders:read",
            **form,
        }
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.send(
            "POST", "/auth/token", urlencode(fields).encode(), kind, skip=["authorization"]
        )

    def get(self, path, **parameters):
        return self.send("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def post(self, path, document, **headers):
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(document).encode()
        return self.send("POST", path, body, {"content-type": "application/json", **extra})

    def place(self, document=BUY, key=None):
        return self.post("/portfolios/orders", document, idempotency_key=key or str(uuid4()))

    def send(self, method, target, body=b"", extra=None, *, skip=(), **signing):
        headers = {
            "accept": "application/json",
            "authorization": f"Bearer {self.token}",
            "upvest-client-id": CLIENT,
            **(extra or {}),
        }
        if body:
            headers["content-length"] = str(len(body))
        headers = {name: value for name, value in headers.items() if name not in skip}
        return self.exchange(
            method, target, body, headers | signed(method, target, body, headers, **signing)
        )

    def exchange(self, method, target, body, headers):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, target, body or None, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def control(self, name, **document):
        body = json.dumps(document).encode()
        return self.exchange(
            "POST", f"/_sandbox/{name}", body, {"content-type": "application/json"}
        )


def signed(method, target, body, headers, *, key=KEY, key_id=KEY_ID, age=0, version=Version.V15):
    path, _, query = target.partition("?")
    return sign(
        Message(method, path, query, headers, body),
        key=key,
        key_id=key_id,
        created=int(time.time()) - age,
        nonce=uuid4().hex,
        version=version,
    )


def new_sandbox(**options):
    defaults: dict[str, Any] = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "client_key_id": KEY_ID,
        "client_public_key": KEY.public_key(),
        "oddities": 0,
    }
    return Sandbox(**defaults | options)


@pytest.fixture
def sandbox():
    made = new_sandbox(clock=Clock())
    made.url = made.serve()
    yield made
    made.stop()


@pytest.fixture
def caller(sandbox):
    made = Caller(sandbox.url)
    made.log_in()
    return made


def run_to_the_end(sandbox):
    sandbox.clock.now += DAY
    sandbox.step()


def assert_problem(answer, status, slug):
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert problem["type"] == f"https://docs.upvest.co/errors/{slug}"
    assert problem["request_id"] == answer.headers["upvest-request-id"]


# Tokens and signatures


def test_client_credentials_give_a_token_with_its_lifetime_and_scopes(sandbox):
    granted = Caller(sandbox.url).log_in("orders:read portfolios:read")

    assert granted["token_type"] == "bearer"
    assert granted["expires_in"] == 1799
    assert granted["scope"] == "orders:read portfolios:read"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"client_secret": "another"}, 401),
        ({"client_id": USER}, 401),
        ({"grant_type": "password"}, 400),
        ({"scope": "moon:read"}, 403),
    ],
)
def test_wrong_client_credentials_are_refused(sandbox, wrong, status):
    assert Caller(sandbox.url).ask_token(**wrong).status == status


def test_a_scope_that_the_client_does_not_have_is_refused_with_the_token():
    made = new_sandbox(scopes=frozenset({"orders:read"}))
    try:
        assert_problem(Caller(made.serve()).ask_token(scope="orders:admin"), 403, "forbidden")
    finally:
        made.stop()


def test_an_expired_token_gets_401(sandbox, caller):
    sandbox.authentication.token_lifetime = 0
    caller.log_in()

    assert_problem(caller.get("/portfolios/orders"), 401, "unauthorised")


def test_a_revoked_token_gets_401_and_a_new_one_works(caller):
    caller.control("revoke")

    assert_problem(caller.get("/portfolios/orders"), 401, "unauthorised")
    caller.log_in()
    assert caller.get("/portfolios/orders").status == 200


def test_a_call_without_a_token_gets_401(sandbox):
    assert_problem(Caller(sandbox.url).get("/portfolios/orders"), 401, "unauthorised")


def test_a_token_without_the_scope_gets_403_that_names_it(sandbox):
    caller = Caller(sandbox.url)
    caller.log_in("orders:read")

    answer = caller.get("/portfolios/orders")
    assert_problem(answer, 403, "forbidden")
    assert "portfolios:read" in answer.json["detail"]


def test_an_unsigned_call_gets_401(caller):
    headers = {
        "accept": "application/json",
        "authorization": f"Bearer {caller.token}",
        "upvest-client-id": CLIENT,
    }

    assert_problem(caller.exchange("GET", "/portfolios/orders", b"", headers), 401, "unauthorised")


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ec.generate_private_key(ec.SECP521R1())},
        {"key_id": USER},
        {"age": 120},
        {"age": -60},
    ],
    ids=["another key", "an unknown key id", "expired", "from the future"],
)
def test_a_wrongly_signed_call_gets_401(caller, wrong):
    assert_problem(caller.send("GET", "/portfolios/orders", **wrong), 401, "unauthorised")


def test_a_changed_query_or_body_breaks_the_signature(caller):
    headers = {
        "accept": "application/json",
        "authorization": f"Bearer {caller.token}",
        "upvest-client-id": CLIENT,
    }
    headers |= signed("GET", "/portfolios/orders?limit=1", b"", headers)

    assert caller.exchange("GET", "/portfolios/orders?limit=2", b"", headers).status == 401
    assert caller.exchange("GET", "/portfolios/orders?limit=1", b"", headers).status == 200


def test_a_signed_call_cannot_be_sent_twice(caller):
    headers = {
        "accept": "application/json",
        "authorization": f"Bearer {caller.token}",
        "upvest-client-id": CLIENT,
    }
    headers |= signed("GET", "/portfolios/orders", b"", headers)

    assert caller.exchange("GET", "/portfolios/orders", b"", headers).status == 200
    assert_problem(caller.exchange("GET", "/portfolios/orders", b"", headers), 401, "unauthorised")


def test_a_signature_must_cover_the_token(caller):
    headers = {"accept": "application/json", "upvest-client-id": CLIENT}
    headers |= signed("GET", "/portfolios/orders", b"", headers)
    headers["authorization"] = f"Bearer {caller.token}"

    answer = caller.exchange("GET", "/portfolios/orders", b"", headers)
    assert_problem(answer, 401, "unauthorised")
    assert "authorization" in answer.json["detail"]


def test_version_15_needs_its_header_and_version_6_must_not_have_it(caller):
    headers = {
        "accept": "application/json",
        "authorization": f"Bearer {caller.token}",
        "upvest-client-id": CLIENT,
    }
    v15 = headers | signed("GET", "/portfolios/orders", b"", headers)
    del v15["upvest-signature-version"]

    assert caller.exchange("GET", "/portfolios/orders", b"", v15).status == 401
    assert caller.send("GET", "/portfolios/orders", version=Version.V6).status == 200


def test_an_ed25519_key_works_as_well():
    key = ed25519.Ed25519PrivateKey.generate()
    made = new_sandbox(client_public_key=key.public_key())
    try:
        caller = Caller(made.serve())
        body = urlencode(
            {
                "client_id": CLIENT,
                "client_secret": SECRET,
                "grant_type": "client_credentials",
                "scope": "orders:read",
            }
        ).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert (
            caller.send("POST", "/auth/token", body, kind, skip=["authorization"], key=key).status
            == 200
        )
    finally:
        made.stop()


def test_the_client_must_be_named_and_json_accepted(caller):
    nameless = caller.send("GET", "/portfolios/orders", skip=["upvest-client-id"])
    assert_problem(nameless, 400, "missing_client_id")
    assert caller.send("GET", "/portfolios/orders", extra={"upvest-client-id": USER}).status == 401
    assert_problem(
        caller.send("GET", "/portfolios/orders", extra={"accept": "*/*"}), 406, "not_acceptable"
    )


def test_every_answer_carries_a_request_id_of_its_own(caller):
    answers = [caller.get("/portfolios/orders"), caller.get("/nowhere"), caller.place()]

    assert len({UUID(answer.headers["upvest-request-id"]) for answer in answers}) == 3


# Portfolio orders


def test_a_placed_portfolio_order_can_be_fetched(caller):
    placed = caller.place()

    assert placed.status == 202
    assert caller.get(f"/portfolios/orders/{placed.json['id']}").json == placed.json


def test_placing_needs_an_idempotency_key(caller):
    answer = caller.post("/portfolios/orders", BUY)

    assert_problem(answer, 400, "missing_idempotency_key")
    assert caller.post("/portfolios/orders", BUY, idempotency_key="no uuid").status == 400


def test_the_same_idempotency_key_gives_the_same_answer_and_places_once(caller):
    key = str(uuid4())
    first, second = caller.place(key=key), caller.place(key=key)

    assert first.json == second.json
    assert first.headers["upvest-request-id"] != second.headers["upvest-request-id"]
    assert caller.get("/portfolios/orders").json["meta"]["total_count"] == 1


def test_a_refused_placement_does_not_use_up_its_idempotency_key(caller):
    key = str(uuid4())

    assert caller.place({**BUY, "cash_amount": "0.00"}, key=key).status == 422
    assert caller.place(key=key).status == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"cash_amount": "1,5"},
        {"currency": "XXX"},
        {"side": "HOLD"},
        {"user_id": "me"},
        {"client_reference": "x"},
    ],
)
def test_a_placement_that_breaks_the_contract_is_400(caller, wrong):
    assert_problem(caller.place({**BUY, **wrong}), 400, "invalid_request")


def test_an_unknown_id_is_404_and_a_wrong_method_405(caller):
    assert_problem(caller.get(f"/portfolios/orders/{USER}"), 404, "not_found")
    assert_problem(caller.get(f"/orders/{USER}"), 404, "not_found")
    assert_problem(caller.send("DELETE", "/auth/verify_keys"), 405, "method_not_allowed")


def test_the_list_is_paged_by_id_and_says_how_many_there_are(caller):
    for _ in range(5):
        caller.place()

    pages = [caller.get("/portfolios/orders", offset=n, limit=2).json for n in (0, 2, 4)]
    ids = [item["id"] for page in pages for item in page["data"]]
    assert ids == sorted(ids)
    assert len(ids) == 5
    assert pages[2]["meta"] == {
        "offset": 4,
        "limit": 2,
        "count": 1,
        "total_count": 5,
        "sort": "id",
        "order": "ASC",
    }


def test_the_list_is_limited_to_a_window_that_includes_its_start(sandbox, caller):
    for _ in range(3):
        caller.place()
        sandbox.clock.now += DAY

    window = {"start_date": "2026-03-03T09:00:00Z", "end_date": "2026-03-04T09:00:00Z"}
    found = caller.get("/portfolios/orders", **window).json["data"]
    assert [item["created_at"] for item in found] == ["2026-03-03T09:00:00Z"]


def test_the_list_is_limited_to_an_account(caller):
    caller.place()
    caller.place({**BUY, "account_id": USER})

    found = caller.get("/portfolios/orders", account_id=USER).json["data"]
    assert [item["account_id"] for item in found] == [USER]


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "NEW"},
        {"limit": 0},
        {"limit": 1001},
        {"offset": -1},
        {"order": "DESC"},
        {"sort": "created_at"},
        {"start_date": "yesterday"},
        {"start_date": "2026-03-02T09:00:00"},
    ],
)
def test_a_query_that_is_not_documented_is_400(caller, wrong):
    assert_problem(caller.get("/portfolios/orders", **wrong), 400, "invalid_request")


def test_cancelling_is_accepted_first_and_done_later(sandbox, caller):
    path = f"/portfolios/orders/{caller.place().json['id']}"

    assert caller.send("DELETE", path).status == 202
    assert caller.get(path).json["status"] == "NEW"
    run_to_the_end(sandbox)
    assert caller.get(path).json["cancellation_reason"] == "CANCELLED_BY_CLIENT"


def test_cancelling_what_has_ended_is_a_conflict(sandbox, caller):
    path = f"/portfolios/orders/{caller.place().json['id']}"
    run_to_the_end(sandbox)

    assert_problem(caller.send("DELETE", path), 409, "conflict")


# Orders and executions


@pytest.fixture
def settled(sandbox, caller):
    placed = caller.place().json["id"]
    run_to_the_end(sandbox)
    return caller.get(f"/portfolios/orders/{placed}").json


def test_orders_and_their_executions_can_be_fetched(caller, settled):
    order = caller.get(f"/orders/{settled['orders'][0]['id']}").json
    execution = order["executions"][0]

    assert settled["status"] == "SETTLED"
    assert order["status"] == "FILLED"
    assert caller.get(f"/orders/{order['id']}/executions/{execution['id']}").json == execution
    assert caller.get(f"/orders/{order['id']}/executions/{USER}").status == 404


def test_an_order_that_is_filled_takes_a_cancellation_and_rejects_it_later(caller, settled):
    order_id = settled["orders"][0]["id"]

    answer = caller.send("DELETE", f"/orders/{order_id}")
    assert (answer.status, answer.json) == (202, {"id": order_id})


def test_the_orders_of_an_account_are_the_filled_ones_unless_asked_otherwise(caller, settled):
    caller.place()
    single = {
        "user_id": USER,
        "account_id": ACCOUNT,
        "cash_amount": "10.00",
        "currency": "EUR",
        "side": "BUY",
        "instrument_id": "IE00B3XXRP09",
        "instrument_id_type": "ISIN",
        "order_type": "MARKET",
    }
    placed = caller.post("/orders", single, idempotency_key=str(uuid4()))
    assert placed.status == 202

    path = f"/accounts/{ACCOUNT}/orders"
    assert {o["status"] for o in caller.get(path).json["data"]} == {"FILLED"}
    assert [o["id"] for o in caller.get(path, status="NEW").json["data"]] == [placed.json["id"]]
    assert caller.get(f"/accounts/{USER}/orders").json["meta"]["total_count"] == 0


# Keys and subscriptions


def test_after_a_rotation_the_old_key_stays_for_a_while_and_then_leaves(sandbox, caller):
    (old,) = caller.get("/auth/verify_keys").json["keys"]
    new = caller.control("rotate", keep=3600).json["kid"]

    assert {key["kid"] for key in caller.get("/auth/verify_keys").json["keys"]} == {old["kid"], new}
    sandbox.clock.now += DAY
    assert [key["kid"] for key in caller.get("/auth/verify_keys").json["keys"]] == [new]
    assert (old["kty"], old["crv"]) == ("EC", "P-521")


SUBSCRIPTION = {
    "title": "Back office",
    "url": "https://backoffice.example.com/webhooks/",
    "type": ["ORDER", "PORTFOLIO_ORDER"],
    "config": {"delay": "1s", "max_package_size": 51200},
}


def test_a_subscription_is_created_disabled_then_enabled_listed_and_deleted(caller):
    made = caller.post("/webhooks", SUBSCRIPTION)
    path = f"/webhooks/{made.json['id']}"

    assert (made.status, made.json["enabled"]) == (201, False)
    assert {name: made.json[name] for name in SUBSCRIPTION} == SUBSCRIPTION
    body = json.dumps({"enabled": True}).encode()
    changed = caller.send("PATCH", path, body, {"content-type": "application/json"})
    assert changed.json["enabled"] is True
    assert caller.get(path).json == changed.json
    assert caller.get("/webhooks").json["data"] == [changed.json]
    assert caller.send("DELETE", path).status == 204
    assert_problem(caller.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled": True},
        {"title": ""},
        {"url": "http://backoffice.example.com/"},
        {"url": "https://192.0.2.1/"},
        {"url": "https://backoffice.example.com:port/"},
        {"exclude_type": ["POSITION"]},
        {"config": {"delay": "0s"}},
        {"config": "1s"},
        {"type": "ORDER"},
        {"config": {"max_package_size": 99}},
    ],
)
def test_a_subscription_that_breaks_the_contract_is_400(caller, wrong):
    assert_problem(caller.post("/webhooks", {**SUBSCRIPTION, **wrong}), 400, "invalid_request")


def test_a_change_of_what_cannot_be_changed_is_400(caller):
    made = caller.post("/webhooks", SUBSCRIPTION)
    body = json.dumps({"id": made.json["id"], "enabled": True}).encode()

    answer = caller.send(
        "PATCH", f"/webhooks/{made.json['id']}", body, {"content-type": "application/json"}
    )

    assert_problem(answer, 400, "invalid_request")
    assert caller.get(f"/webhooks/{made.json['id']}").json["enabled"] is False


def test_a_subscription_can_be_altered_and_dropped_behind_the_clients_back(caller):
    pk = caller.post("/webhooks", SUBSCRIPTION).json["id"]

    assert caller.control("alter", id=pk, changes={"enabled": True}).json["enabled"] is True
    assert caller.get(f"/webhooks/{pk}").json["enabled"] is True
    assert caller.control("drop", id=pk).json == {"ids": [pk]}
    assert caller.get("/webhooks").json["data"] == []
    caller.post("/webhooks", SUBSCRIPTION)
    assert len(caller.control("drop").json["ids"]) == 1
    assert caller.control("drop", id=pk).status == 404
    assert caller.control("alter", id=pk).status == 400


def test_a_subscription_is_tested_while_it_is_disabled(sandbox, caller):
    pk = caller.post("/webhooks", SUBSCRIPTION).json["id"]

    assert caller.send("POST", f"/webhooks/{pk}/test").status == 202
    assert sandbox.courier.pending() == 1


# Troubles


def test_troubles_hit_the_next_calls_only(sandbox, caller):
    sandbox.expect(Trouble("problem", 429, retry_after="7"), times=2)

    answers = [caller.get("/portfolios/orders") for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert_problem(answers[0], 429, "too_many_requests")


def test_a_gateway_page_is_not_json(sandbox, caller):
    sandbox.expect(Trouble("page", 502))

    answer = caller.get("/portfolios/orders")
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


def test_a_cut_connection_gives_no_answer(sandbox, caller):
    sandbox.expect(Trouble("cut"))

    with pytest.raises(ConnectionError):
        caller.get("/portfolios/orders")


def test_a_call_that_hangs_ends_with_its_time(sandbox, caller):
    sandbox.expect(Trouble("hang", seconds=0.01))

    with pytest.raises(ConnectionError):
        caller.get("/portfolios/orders")


def test_a_trouble_may_concern_some_paths_only(caller):
    caller.control("trouble", kind="problem", status=503, path="/orders/")

    assert caller.get("/portfolios/orders").status == 200
    assert caller.get(f"/orders/{USER}").status == 503
    assert caller.get(f"/orders/{USER}").status == 404


# A limit of calls


def test_beyond_the_limit_calls_are_answered_429_until_the_second_is_over(sandbox, caller):
    now = [100.0]
    sandbox.limit.clock = lambda: now[0]
    assert caller.control("limit", per_second=2).json == {"refused": 0}

    def statuses():
        return [caller.get("/portfolios/orders").status for _ in range(3)]

    assert statuses() == [200, 200, 429]
    now[0] += 0.9
    assert statuses() == [429, 429, 429]
    now[0] += 0.1
    assert statuses() == [200, 200, 429]
    assert caller.control("limit", per_second=0).json == {"refused": 5}
    assert statuses() == [200, 200, 200]


def test_the_limit_says_how_long_to_wait_if_it_is_told_to(sandbox, caller):
    sandbox.limit.clock = lambda: 100.0
    caller.control("limit", per_second=1, retry_after="7")
    caller.get("/portfolios/orders")
    assert caller.get("/portfolios/orders").headers["retry-after"] == "7"

    caller.control("limit", per_second=1)
    answer = caller.get("/portfolios/orders")
    assert "retry-after" not in answer.headers
    assert_problem(answer, 429, "too_many_requests")
    assert caller.control("limit", per_second=-1).status == 400


# The other side


def test_the_truth_can_be_read_and_orders_placed_without_a_signature(sandbox, caller):
    ids = caller.control("place", count=3).json["ids"]
    run_to_the_end(sandbox)

    truth = caller.exchange("GET", "/_sandbox/truth", b"", {}).json
    assert {item["id"] for item in truth["portfolio_orders"]} == set(ids)
    assert {item["status"] for item in truth["portfolio_orders"]} == {"SETTLED"}
    assert truth["orders"] == sandbox.market.orders()
    assert (truth["is_quiet"], truth["undelivered"]) == (True, 0)


def test_the_fault_plan_can_be_replaced(sandbox, caller):
    choice = {"fault": "lose", "type": "ORDER.NEW"}

    assert caller.control("faults", seed=3, repeat=0.5, delay_by=9, choices=[choice]).status == 200
    plan = sandbox.courier.faults
    assert (plan.seed, plan.repeat, plan.delay_by) == (3, 0.5, timedelta(seconds=9))
    assert plan.choices[0].type == "ORDER.NEW"
    assert caller.control("faults", lose=2).status == 400
    assert caller.control("faults", choices=[{"fault": "burn"}]).status == 400
    assert caller.control("nothing").status == 404


def test_a_browser_page_cannot_use_the_control_calls(caller):
    answer = caller.exchange("POST", "/_sandbox/place", b"{}", {"content-type": "text/plain"})

    assert answer.status == 400


def test_a_port_that_is_taken_is_an_error(sandbox):
    port = urlsplit(sandbox.url).port

    with pytest.raises(OSError):
        new_sandbox(faults=FaultPlan()).serve(port)
