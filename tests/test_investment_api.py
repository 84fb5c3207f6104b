"""The client of the Investment API against the stand-in: real HTTP, real signatures, real tokens."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured

from backoffice.investment_api import calls as paging
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api, forget_api
from backoffice.investment_api.errors import NotFoundError, RefusedError, UnavailableError
from backoffice.sandbox import Sandbox, Trouble

KEY = ec.generate_private_key(ec.SECP521R1())
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(settings, clock):
    """The stand-in with our client as its only one, and the settings that lead to it."""
    client_id = str(uuid4())
    sandbox = Sandbox(
        client_id=client_id,
        client_secret="a secret",
        client_key_id=str(uuid4()),
        client_public_key=KEY.public_key(),
        clock=clock,
        oddities=0,
    )
    settings.INVESTMENT_API_URL = sandbox.serve()
    settings.INVESTMENT_API_CLIENT_ID = client_id
    settings.INVESTMENT_API_CLIENT_SECRET = "a secret"
    settings.INVESTMENT_API_KEY_ID = next(iter(sandbox.authentication._keys))
    settings.INVESTMENT_API_PRIVATE_KEY = pem(KEY)
    settings.INVESTMENT_API_PRIVATE_KEY_PASSPHRASE = ""
    settings.INVESTMENT_API_MAX_RPS = 1000
    yield sandbox
    sandbox.stop()


@pytest.fixture
def placed(sandbox, clock):
    """Seven portfolio orders, one a day; the last is new, the others settled."""
    for _ in range(7):
        clock.now += DAY
        sandbox.step()
        sandbox.market.place_some(1, now=clock.now)
    return sandbox.market.portfolio_orders()


@pytest.fixture
def calls(caplog):
    """The calls that were made, as the log names them: method, path, status."""
    caplog.set_level(logging.INFO, logger="backoffice.investment_api")
    return lambda: [" ".join(record.getMessage().split()[:3]) for record in caplog.records]


def token_calls(calls):
    return [call for call in calls() if "/auth/token" in call]


# Reading


def test_a_portfolio_order_is_read_as_upstream_has_it(placed):
    for portfolio_order in placed:
        answer = api().portfolio_order(UUID(portfolio_order["id"]))

        assert (answer.status, answer.payload) == (200, portfolio_order)
        assert UUID(answer.request_id)
        assert answer.took > timedelta()


def test_an_order_and_its_executions_are_read(sandbox, placed):
    order = next(order for order in sandbox.market.orders() if order["executions"])

    assert api().order(UUID(order["id"])).payload == order
    for execution in order["executions"]:
        answer = api().execution(UUID(order["id"]), UUID(execution["id"]))
        assert answer.payload == execution


def test_the_verification_keys_are_read(sandbox):
    (key,) = api().verify_keys()

    assert (key["kty"], key["crv"]) == ("EC", "P-521")


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_a_list_is_read_to_its_end_with_each_entry_once_whatever_the_page(
    placed, monkeypatch, page
):
    monkeypatch.setattr(paging, "PAGE", page)

    found = list(api().portfolio_orders(since=START))

    assert len(found) == len(placed)
    assert {item["id"] for item in found} == {item["id"] for item in placed}


def test_an_entry_that_moves_up_while_a_list_is_read_is_not_missed(placed, monkeypatch, sandbox):
    monkeypatch.setattr(paging, "PAGE", 4)
    listed = sorted(placed, key=lambda item: item["id"])
    pages = api().portfolio_orders(since=START)
    found = [next(pages)["id"] for _ in range(4)]

    monkeypatch.setattr(sandbox.market, "portfolio_orders", lambda *_, **__: listed[1:])

    assert found + [item["id"] for item in pages] == [item["id"] for item in listed]


def test_portfolio_orders_are_listed_by_when_they_were_created(placed):
    since, until = START + 2 * DAY, START + 4 * DAY

    found = api().portfolio_orders(since=since, until=until)

    assert len(list(found)) == 2  # upstream's end is exclusive


def test_the_orders_of_an_account_are_found_in_every_status(sandbox, placed, clock):
    clock.now += timedelta(seconds=3)
    sandbox.step()
    orders = sandbox.market.orders()
    accounts = {order["account_id"] for order in orders}

    found = [order for account in accounts for order in api().account_orders(UUID(account))]

    assert {order["status"] for order in orders} > {"FILLED"}
    assert sorted(order["id"] for order in found) == sorted(order["id"] for order in orders)


def test_only_the_statuses_asked_for_are_listed(sandbox, placed):
    account = UUID(placed[0]["account_id"])

    found = list(api().account_orders(account, statuses=["CANCELLED"], since=START, until=START))

    assert found == []


# Errors, sorted by what to do about them


def test_an_unknown_id_is_not_found_and_the_message_says_which(sandbox):
    unknown = uuid4()

    with pytest.raises(NotFoundError) as caught:
        api().portfolio_order(unknown)

    error = caught.value
    assert error.status == 404
    assert UUID(error.request_id)
    assert str(error) == (
        f"GET /portfolios/orders/{unknown}: 404 Not found (request id {error.request_id})"
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("kind", ["problem", "page"])
def test_throttling_and_trouble_of_upstream_mean_try_later(sandbox, kind, status):
    sandbox.expect(Trouble(kind, status=status, path="/orders"))

    with pytest.raises(UnavailableError, match=rf"GET /orders/[0-9a-f-]+: {status} \w+"):
        api().order(uuid4())


def test_the_page_of_a_gateway_is_readable_in_the_message(sandbox):
    sandbox.expect(Trouble("page", status=502, path="/orders"))

    with pytest.raises(UnavailableError, match=": 502 Bad Gateway") as caught:
        api().order(uuid4())

    assert "<" not in str(caught.value)


def test_a_missing_scope_is_refused_and_named(sandbox):
    body = {"account_id": str(uuid4())}

    with pytest.raises(RefusedError, match=r"403 Forbidden.*; needs the scope portfolios:admin"):
        api().call("POST", "/portfolios/orders", body=body, idempotency_key=uuid4())


@pytest.mark.parametrize("status", [400, 406, 409, 422])
def test_any_other_refusal_names_what_upstream_said(sandbox, status):
    sandbox.expect(Trouble(status=status, path="/orders"))

    with pytest.raises(RefusedError, match=f": {status} [A-Z]") as caught:
        api().order(uuid4())

    assert caught.value.status == status


def test_a_cut_connection_means_try_later(sandbox):
    sandbox.expect(Trouble("cut", path="/orders"))

    with pytest.raises(UnavailableError) as caught:
        api().order(uuid4())

    assert caught.value.status is None


# The token


def test_one_token_serves_many_calls(sandbox, calls):
    for _ in range(3):
        api().verify_keys()

    assert token_calls(calls) == ["POST /auth/token 200"]


def test_threads_that_need_a_token_at_once_fetch_one(sandbox, calls):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: api().verify_keys(), range(16)))

    assert token_calls(calls) == ["POST /auth/token 200"]


def test_another_process_finds_the_token_in_the_cache(sandbox, calls):
    api().verify_keys()
    forget_api()  # what a new process knows

    api().verify_keys()

    assert token_calls(calls) == ["POST /auth/token 200"]


def test_another_account_does_not_get_the_token_of_this_one(sandbox, settings):
    api().verify_keys()
    settings.INVESTMENT_API_CLIENT_ID = str(uuid4())

    with pytest.raises(RefusedError, match="POST /auth/token: 401"):
        api().verify_keys()


def test_a_refused_token_is_replaced_once_and_the_call_succeeds(sandbox, calls):
    api().verify_keys()
    sandbox.authentication.revoke_tokens()

    assert api().verify_keys()
    assert calls()[2:] == [
        "GET /auth/verify_keys 401",
        "POST /auth/token 200",
        "GET /auth/verify_keys 200",
    ]


def test_a_call_that_is_refused_with_a_new_token_too_is_not_tried_again(sandbox, calls):
    sandbox.expect(Trouble(status=401, path="/auth/verify_keys"), times=3)

    with pytest.raises(RefusedError, match=r"401 Unauthorised; check the .* signing key"):
        api().verify_keys()

    assert calls() == ["POST /auth/token 200", "GET /auth/verify_keys 401"] * 2


def test_a_token_is_renewed_a_minute_before_its_end(sandbox, calls):
    with time_machine.travel(START) as traveller:
        api().verify_keys()
        traveller.shift(sandbox.authentication.token_lifetime - 63)
        api().verify_keys()
        assert len(token_calls(calls)) == 1

        traveller.shift(5)
        api().verify_keys()
        assert len(token_calls(calls)) == 2


def test_a_short_lived_token_is_used_for_most_of_its_life(sandbox, calls):
    sandbox.authentication.token_lifetime = 20
    with time_machine.travel(START) as traveller:
        api().verify_keys()
        traveller.shift(12)
        api().verify_keys()
        assert len(token_calls(calls)) == 1

        traveller.shift(5)
        api().verify_keys()
        assert len(token_calls(calls)) == 2


def test_without_a_cache_the_token_is_kept_in_the_process(sandbox, settings, calls):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    }

    api().verify_keys()
    api().verify_keys()

    assert token_calls(calls) == ["POST /auth/token 200"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INVESTMENT_API_CLIENT_SECRET", "wrong-secret"),
        ("INVESTMENT_API_PRIVATE_KEY", pem(ec.generate_private_key(ec.SECP521R1()))),
    ],
)
def test_wrong_credentials_are_refused_without_a_word_of_them_in_the_message(
    sandbox, settings, name, value
):
    setattr(settings, name, value)

    with pytest.raises(RefusedError, match="POST /auth/token: 401") as caught:
        api().verify_keys()

    assert "wrong-secret" not in str(caught.value)
    assert "wrong-secret" not in repr(api()._credentials)


# Around a call


def test_each_call_is_logged_with_its_status_time_and_request_id(sandbox, caplog):
    caplog.set_level(logging.INFO, logger="backoffice.investment_api")

    answer = api().call("GET", "/portfolios/orders", params={"limit": "1"})

    assert caplog.messages[-1].split()[:3] == ["GET", "/portfolios/orders", "200"]
    assert caplog.messages[-1].endswith(f" ms {answer.request_id}")


def test_the_environment_cannot_put_other_credentials_or_a_proxy_into_a_local_call(
    sandbox, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert api().verify_keys()


def test_plain_http_to_another_machine_is_refused(sandbox, settings):
    settings.INVESTMENT_API_URL = "http://upstream.example.com"

    with pytest.raises(ImproperlyConfigured, match=r"INVESTMENT_API_URL: .* neither https"):
        api()


def test_all_settings_that_are_missing_are_named_at_once(sandbox, settings):
    settings.INVESTMENT_API_URL = settings.INVESTMENT_API_KEY_ID = ""

    with pytest.raises(ImproperlyConfigured, match=r"API_URL, INVESTMENT_API_KEY_ID$"):
        api()


def test_a_private_key_of_another_kind_is_refused_by_its_setting(sandbox, settings):
    settings.INVESTMENT_API_PRIVATE_KEY = pem(ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(ImproperlyConfigured, match=r"PRIVATE_KEY: .*P-521 or Ed25519"):
        api()


def test_every_request_the_token_included_takes_from_the_budget_with_its_urgency(
    sandbox, monkeypatch
):
    seen: list[Urgency] = []

    def take(urgency, *, timeout):
        seen.append(urgency)

    monkeypatch.setattr(api().budget, "take", take)

    with pytest.raises(NotFoundError):
        api().order(uuid4(), urgency=Urgency.PERSON)
    with pytest.raises(NotFoundError):
        api().order(uuid4())

    assert seen == [Urgency.PERSON, Urgency.PERSON, Urgency.BACKGROUND]
