"""Which signatures are good, and how the keys for them are come by."""

import io
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.cache import cache
from django.utils import timezone

from backoffice.http_signatures import Version, jwk_from_public_key
from backoffice.sandbox import Sandbox
from orders.models import JournalEntry
from tests.signed import KEY, KEY_ID, PATH, envelope, headers_for, post, publish, sample
from webhooks import key_set as keys
from webhooks import reading
from webhooks.authentication import key_set
from webhooks.key_set import KeySet, KeysUnavailableError
from webhooks.models import Delivery, Verdict

BODY = envelope(sample("webhook.single_event")["payload"][0])
OTHER_KEY = ec.generate_private_key(ec.SECP521R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def jwk(key_id, key=KEY):
    return jwk_from_public_key(key_id, key.public_key())


def wait_until(condition, *, seconds=10):
    """Fail unless ``condition`` becomes true: a set is renewed behind the back of a known key."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


class Upstream:
    """A key set that counts how often it is asked for, on a clock that the test sets."""

    def __init__(self, *key_ids):
        self.jwks = [jwk(key_id) for key_id in key_ids]
        self.calls = 0
        self.now = 1000.0

    def fetch(self):
        self.calls += 1
        if not self.jwks:
            raise ConnectionError("upstream is away")
        return self.jwks

    def process(self):
        """Return the key set of a process that has just started."""
        return KeySet(self.fetch, clock=lambda: self.now)


@pytest.fixture
def upstream():
    return Upstream("one")


@pytest.fixture(autouse=True)
def _keys():
    publish()
    yield
    key_set.forget()


def end_renewals():
    """Wait for what goes on behind the back of a test: it writes to the cache that all share."""
    for thread in threading.enumerate():
        if thread.name == keys.RENEWALS:
            thread.join(20)


@pytest.fixture
def alone():
    """Nothing in the cache, and nobody who writes to it."""
    end_renewals()
    cache.clear()
    yield
    end_renewals()


@pytest.mark.django_db
@pytest.mark.parametrize("version", list(Version))
def test_deliveries_signed_in_version_6_and_15_are_taken(client, version):
    assert post(client, BODY, version=version).status_code == 200


@pytest.mark.django_db
def test_an_ed25519_key_is_taken_where_the_set_has_one(client):
    publish({"ed": ED_KEY})

    assert post(client, BODY, key=ED_KEY, key_id="ed").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"digest": headers_for(b"other")["digest"]}, "the body does not match its digest"),
        ({"signature": headers_for(b"other")["signature"]}, "the signature does not fit"),
        ({"signature-input": "sig1=()"}, "the signature names no key"),
        ({"signature-input": "("}, "the header signature-input cannot be read"),
        ({"signature": ""}, "the header signature cannot be read"),
        ({"accept": "text/plain"}, "the signature does not fit"),
    ],
)
def test_what_was_changed_on_the_way_is_answered_401(client, change, reason):
    assert post(client, BODY, headers=headers_for(BODY) | change).status_code == 401
    assert Delivery.objects.get().reason.startswith(reason)


@pytest.mark.django_db
def test_header_names_count_in_any_case(client):
    headers = {name.upper(): value for name, value in headers_for(BODY).items()}

    assert (
        post(client, BODY, headers=headers | {"content-type": "application/json"}).status_code
        == 200
    )


@pytest.mark.django_db
def test_a_delivery_signed_for_another_path_is_answered_401(client):
    headers = headers_for(BODY, path="/webhooks/elsewhere")

    assert post(client, BODY, headers=headers).status_code == 401


PUBLIC_URL = "https://desk.example.com/desk/webhooks/investment-api"
PUBLIC_PATH = "/desk/webhooks/investment-api"


@pytest.mark.django_db
def test_a_delivery_signed_for_the_public_url_is_taken_where_a_proxy_stripped_its_prefix(
    client, settings
):
    headers = headers_for(BODY, path=PUBLIC_PATH)
    assert post(client, BODY, headers=headers).status_code == 401

    settings.WEBHOOK_PUBLIC_URL = PUBLIC_URL
    assert post(client, BODY, headers=headers).status_code == 200
    assert post(client, BODY).status_code == 200  # signed for where it arrives


@pytest.mark.django_db
def test_no_header_of_a_request_chooses_the_address_it_is_verified_for(client, settings):
    settings.WEBHOOK_PUBLIC_URL = "https://desk.example.com/webhooks/investment-api"
    told = {
        "X-Forwarded-Prefix": "/desk",
        "X-Forwarded-Host": "desk.example.com",
        "X-Original-URI": PUBLIC_PATH,
        "X-Forwarded-Uri": PUBLIC_PATH,
        "X-Script-Name": "/desk",
        "Forwarded": "host=desk.example.com",
    }

    headers = headers_for(BODY, path=PUBLIC_PATH) | told
    assert post(client, BODY, headers=headers).status_code == 401


@pytest.mark.django_db
def test_where_nothing_fits_the_reason_names_the_addresses_that_were_tried(client, settings):
    headers = headers_for(BODY, path="/elsewhere") | {"host": "10.0.0.7"}
    post(client, BODY, headers=headers)
    settings.WEBHOOK_PUBLIC_URL = PUBLIC_URL
    post(client, BODY, headers=headers)

    without, with_url = Delivery.objects.order_by("pk").values_list("reason", flat=True)
    assert f"arrived as 10.0.0.7{PATH}" in without
    assert "WEBHOOK_PUBLIC_URL is not set" in without
    assert f"signed for {PUBLIC_URL}" in with_url
    assert f"arrived as 10.0.0.7{PATH}" in with_url


@pytest.mark.django_db
def test_an_address_that_a_proxy_tells_is_named_in_the_reason_where_it_is_the_one_signed(client):
    headers = headers_for(BODY, path=PUBLIC_PATH) | {"host": "10.0.0.7"}
    post(client, BODY, headers=headers | {"X-Forwarded-Prefix": "/desk", "X-Forwarded-Host": "a.b"})
    post(client, BODY, headers=headers | {"X-Forwarded-Prefix": "/other"})

    told, wrong = Delivery.objects.order_by("pk").values_list("reason", flat=True)
    assert f"signed for https://a.b{PUBLIC_PATH}, arrived as 10.0.0.7{PATH}" in told
    assert "/other" not in wrong


@pytest.mark.django_db
@pytest.mark.parametrize("told", ["http://[", "//", "\u00e9", "?", "https://", " "])
def test_rubbish_told_of_the_address_is_no_hindrance(client, told):
    names = ["X-Forwarded-Prefix", "X-Forwarded-Host", "X-Original-URI", "X-Forwarded-Uri"]
    headers = headers_for(BODY, path="/elsewhere") | dict.fromkeys(names, told)

    assert post(client, BODY, headers=headers).status_code == 401


@pytest.mark.django_db
def test_a_delivery_that_a_proxy_handed_on_in_chunks_without_its_length_is_taken(client):
    headers = headers_for(BODY)
    assert "content-length" in headers["signature-input"]
    del headers["content-length"]
    chunks = {"wsgi.input": io.BytesIO(BODY), "CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    answer = client.generic("POST", PATH, b"", "application/json", headers=headers, **chunks)

    assert answer.status_code == 200
    assert bytes(Delivery.objects.get().body or b"") == BODY


@pytest.mark.django_db
def test_a_good_key_id_with_the_signature_of_another_key_is_answered_401(client):
    assert post(client, BODY, key=OTHER_KEY).status_code == 401
    assert Delivery.objects.get().key_id == KEY_ID


@pytest.mark.django_db
def test_the_same_signed_delivery_sent_again_is_taken_as_a_repeat(client):
    headers = headers_for(BODY)

    assert [post(client, BODY, headers=headers).status_code for _ in range(2)] == [200, 200]
    reading.read_next(now=timezone.now())
    assert list(Delivery.objects.order_by("pk").values_list("repeats", flat=True)) == [0, 1]


@pytest.mark.django_db
@pytest.mark.parametrize("age", [timedelta(days=30), timedelta(days=-30)])
def test_an_old_or_future_signature_is_recorded_and_not_refused_unless_told(client, settings, age):
    signed_at = NOW - age
    with time_machine.travel(NOW, tick=False):
        assert post(client, BODY, created=int(signed_at.timestamp())).status_code == 200
        assert Delivery.objects.get().signed_at == signed_at

        settings.WEBHOOK_SIGNATURE_MAX_AGE = timedelta(days=30)
        assert post(client, BODY, created=int(signed_at.timestamp())).status_code == 200

        settings.WEBHOOK_SIGNATURE_MAX_AGE = timedelta(days=30) - timedelta(seconds=1)
        assert post(client, BODY, created=int(signed_at.timestamp())).status_code == 401


def test_the_key_set_is_fetched_once_and_then_remembered(upstream, alone):
    process = upstream.process()

    assert [list(process.find(["one"])) for _ in range(3)] == [["one"]] * 3
    assert upstream.calls == 1


def test_a_second_process_finds_the_set_of_the_first(upstream, alone):
    upstream.process().find(["one"])
    upstream.process().find(["one"])

    assert upstream.calls == 1


def test_an_unknown_key_has_the_set_fetched_again(upstream, alone):
    process = upstream.process()
    process.find(["one"])
    upstream.jwks.append(jwk("two"))
    upstream.now += keys.SPACING

    assert "two" in process.find(["two"])
    assert upstream.calls == 2


def test_strangers_who_name_keys_do_not_make_us_call_upstream(upstream, alone):
    process = upstream.process()
    process.find(["one"])

    for number in range(20):
        assert "one" in process.find([f"made up {number}"])
    assert upstream.calls == 1


def test_all_processes_together_ask_upstream_at_most_once_in_ten_seconds(upstream, alone):
    processes = [upstream.process() for _ in range(4)]
    for process in processes:
        process.find(["one"])
    upstream.now += keys.SPACING

    for process in processes:
        process.find(["made up"])
    assert upstream.calls == 2


def test_deliveries_at_the_same_time_share_one_fetch(upstream, alone):
    process, start, found = upstream.process(), threading.Barrier(8), []

    def find():
        start.wait()
        found.append(list(process.find(["one"])))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [["one"]] * 8
    assert upstream.calls == 1


def test_a_key_that_left_the_set_ends_when_the_set_is_a_quarter_of_an_hour_old(upstream, alone):
    process = upstream.process()
    process.find(["one"])
    upstream.jwks = [jwk("two")]
    upstream.now += keys.LONGEST_AGE - 1
    assert "one" in process.find(["one"])

    upstream.now += 1
    process.find(["one"])  # waits for nothing, and has the set fetched
    wait_until(lambda: list(process.find(["one"])) == ["two"])


def test_known_keys_go_on_serving_while_upstream_is_away(upstream, alone):
    process = upstream.process()
    process.find(["one"])
    upstream.jwks = []
    upstream.now += 24 * 3600

    assert "one" in process.find(["one"])
    wait_until(lambda: upstream.calls == 2)
    with pytest.raises(KeysUnavailableError):
        process.find(["two"])


def test_a_process_that_starts_while_upstream_is_away_takes_the_set_of_another(upstream, alone):
    upstream.process().find(["one"])
    upstream.jwks = []
    upstream.now += 24 * 3600

    assert "one" in upstream.process().find(["one"])


def test_a_set_without_a_usable_key_replaces_nothing(upstream, alone):
    process = upstream.process()
    process.find(["one"])
    upstream.jwks = [{"kid": "p256", "kty": "EC", "crv": "P-256", "x": "", "y": ""}, {}]
    upstream.now += keys.LONGEST_AGE
    process.find(["one"])
    wait_until(lambda: upstream.calls == 2)

    assert list(process.find(["one"])) == ["one"]


def test_one_unusable_key_does_not_spoil_the_others(upstream, alone):
    upstream.jwks = [{"kid": "p256", "kty": "EC", "crv": "P-256"}, jwk("two"), {"kty": "EC"}]

    assert list(upstream.process().find(["two"])) == ["two"]


@pytest.mark.parametrize("rubbish", ["", "{", "[]", '{"keys": 1}', 17, b"\x00"])
def test_rubbish_in_the_cache_is_no_hindrance(upstream, alone, rubbish):
    cache.set(keys.CACHED_SET, rubbish)

    assert list(upstream.process().find(["one"])) == ["one"]


def test_a_dead_cache_is_no_hindrance(upstream, settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{port}/0",
        }
    }
    process = upstream.process()

    assert [list(process.find(["one"])) for _ in range(3)] == [["one"]] * 3
    assert upstream.calls == 1


def test_a_delivery_waits_no_longer_than_its_patience_for_a_slow_upstream(alone, monkeypatch):
    monkeypatch.setattr(keys, "PATIENCE", 0.05)
    answer = threading.Event()

    def fetch():
        answer.wait(10)
        return [jwk("one")]

    process = KeySet(fetch)
    with pytest.raises(KeysUnavailableError):
        process.find(["one"])

    answer.set()
    monkeypatch.setattr(keys, "PATIENCE", 10)
    assert "one" in process.find(["one"])


class SlowUpstream(Upstream):
    """An upstream that answers once it is told to, or never."""

    def __init__(self, *key_ids):
        super().__init__(*key_ids)
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def fetch(self):
        self.is_asked.set()
        assert self.may_answer.wait(20)
        return super().fetch()


@pytest.fixture
def slow(alone):
    upstream = SlowUpstream("one")
    yield upstream
    upstream.may_answer.set()
    end_renewals()


def held_by(upstream):
    """Return a process that holds the set of a slow upstream, which is asked no more."""
    process = upstream.process()
    upstream.may_answer.set()
    process.find(["one"])
    upstream.may_answer.clear()
    upstream.is_asked.clear()
    return process


def seconds_of(find, *wanted):
    """Return how long a search takes, and what it finds or raises."""
    found: Any = None
    start = time.monotonic()
    try:
        found = set(find(wanted))
    except KeysUnavailableError as error:
        found = error
    return time.monotonic() - start, found


def test_a_known_key_never_waits_while_a_slow_upstream_is_asked_for_a_newer_set(slow):
    process = held_by(slow)
    slow.now += keys.LONGEST_AGE

    for _ in range(3):
        took, found = seconds_of(process.find, "one")
        assert (took < 0.5, found) == (True, {"one"})
    assert slow.is_asked.wait(5)
    assert slow.calls == 1


def test_while_upstream_hangs_one_caller_waits_for_an_unknown_key_and_the_others_are_answered_at_once(
    slow, monkeypatch
):
    monkeypatch.setattr(keys, "PATIENCE", 1.5)
    process = held_by(slow)
    slow.now += keys.SPACING + keys.PATIENCE + 1
    waits = threading.Thread(target=seconds_of, args=(process.find, "made up"))
    waits.start()
    assert slow.is_asked.wait(5)

    for number in range(20):
        took, found = seconds_of(process.find, f"made up {number}")
        assert (took < 0.5, type(found)) == (True, KeysUnavailableError)
        took, found = seconds_of(process.find, "one")
        assert (took < 0.5, found) == (True, {"one"})
    waits.join()


def test_callers_without_any_set_wait_until_the_same_moment_and_no_longer(slow, monkeypatch):
    monkeypatch.setattr(keys, "PATIENCE", 1.0)
    process, start, took = slow.process(), time.monotonic(), []

    threads = [
        threading.Thread(target=lambda: took.append(seconds_of(process.find, "one"))) for _ in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start < 5

    assert all(type(found) is KeysUnavailableError for _, found in took)
    assert seconds_of(process.find, "one")[0] < 0.5  # upstream is being asked all the same


def test_a_delivery_waits_for_the_set_that_another_process_is_fetching(slow):
    first, second = slow.process(), slow.process()
    found = []
    fetching = threading.Thread(target=lambda: found.append(seconds_of(first.find, "one")[1]))
    fetching.start()
    assert slow.is_asked.wait(5)
    waiting = threading.Thread(target=lambda: found.append(seconds_of(second.find, "one")[1]))
    waiting.start()
    time.sleep(0.3)
    assert found == []

    slow.may_answer.set()
    fetching.join()
    waiting.join()
    assert found == [{"one"}, {"one"}]
    assert slow.calls == 1


def test_a_process_that_died_while_it_fetched_holds_up_no_other(upstream, alone, monkeypatch):
    monkeypatch.setattr(keys, "PATIENCE", 10)
    cache.set(keys.CACHED_TURN, 1, 1)

    assert list(upstream.process().find(["one"])) == ["one"]


def test_a_key_that_upstream_changed_to_seconds_after_a_fetch_is_found_at_once(upstream, alone):
    process, other = upstream.process(), upstream.process()
    process.find(["one"])
    for key_id in ("two", "three"):
        upstream.now += 1
        upstream.jwks.append(jwk(key_id))
        assert key_id in process.find([key_id])
        assert key_id in other.find([key_id])

    assert upstream.calls == 3


def test_strangers_have_the_set_fetched_three_times_and_then_once_in_ten_seconds(upstream, alone):
    processes = [upstream.process() for _ in range(4)]
    for step in range(600):  # a minute, forty names a second
        upstream.now += 0.1
        for process in processes:
            process.find([f"made up {step}", "or that"]) if upstream.calls else process.find(
                ["one"]
            )

    assert upstream.calls <= keys.BURST + 6


@pytest.mark.parametrize("rubbish", ["", "soon", [], 1e300])
def test_rubbish_about_the_next_fetch_is_no_hindrance(upstream, alone, rubbish):
    cache.set(keys.CACHED_NEXT, rubbish)

    assert list(upstream.process().find(["one"])) == ["one"]


@pytest.mark.django_db
def test_without_keys_a_delivery_is_answered_503_and_is_no_refusal(client, alone):
    key_set.forget()  # and upstream cannot be asked: no settings lead to it

    answer = client.generic("POST", PATH, BODY, "application/json", headers=headers_for(BODY))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_an_unknown_key_is_answered_401_once_the_set_was_fetched(client):
    assert post(client, BODY, key_id="made up").status_code == 401
    assert Delivery.objects.get().reason == "the key made up is not known"


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(settings, alone, clock):
    """The stand-in upstream with our client as its only one, on a clock that the test sets."""
    own = ec.generate_private_key(ec.SECP521R1())
    client_id, key_id = str(uuid4()), str(uuid4())
    sandbox = Sandbox(
        client_id=client_id,
        client_secret="a secret",
        client_key_id=key_id,
        client_public_key=own.public_key(),
        clock=clock,
        oddities=0,
    )
    settings.INVESTMENT_API_URL = sandbox.serve()
    settings.INVESTMENT_API_CLIENT_ID = client_id
    settings.INVESTMENT_API_CLIENT_SECRET = "a secret"
    settings.INVESTMENT_API_KEY_ID = key_id
    settings.INVESTMENT_API_PRIVATE_KEY = own.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ).decode()
    settings.INVESTMENT_API_PRIVATE_KEY_PASSPHRASE = ""
    settings.INVESTMENT_API_MAX_RPS = 1000
    key_set.forget()
    yield sandbox
    sandbox.stop()


def from_sandbox(sandbox, client):
    key_id, key = sandbox.keys.current()
    headers = headers_for(BODY, key=key, key_id=key_id)
    return client.generic("POST", PATH, BODY, "application/json", headers=headers).status_code


@pytest.mark.django_db
def test_deliveries_go_on_through_a_rotation_of_upstreams_keys(sandbox, client):
    assert from_sandbox(sandbox, client) == 200
    first = sandbox.keys.current()[0]

    sandbox.keys.rotate(NOW)

    assert from_sandbox(sandbox, client) == 200
    named = Delivery.objects.order_by("pk").values_list("key_id", flat=True)
    assert list(named) == [first, sandbox.keys.current()[0]]


@pytest.mark.django_db
def test_a_key_that_upstream_does_not_show_is_answered_401(sandbox, client):
    assert from_sandbox(sandbox, client) == 200

    assert post(client, BODY, headers=headers_for(BODY, key_id=str(uuid4()))).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_what_the_stand_in_delivers_over_http_is_taken_at_the_first_attempt(
    sandbox, clock, live_server
):
    sandbox.subscribe(live_server.url + PATH, delay="1s")
    sandbox.market.place_some(2, now=clock())
    for _ in range(10):
        clock.now += timedelta(minutes=1)
        sandbox.step()

    (lane,) = sandbox.courier.lanes()
    assert [attempt.outcome for attempt in lane.attempts] == ["200"] * len(lane.attempts)
    sent = [event["id"] for a in lane.attempts for event in json.loads(a.body)["payload"]]
    while reading.read_next(now=timezone.now()).read:
        pass
    stored = JournalEntry.objects.values_list("event_id", flat=True)
    assert sorted(map(str, stored)) == sorted(sent)
    assert len(sent) > 2
    assert set(Delivery.objects.values_list("verdict", flat=True)) == {Verdict.ACCEPTED}
