"""What the client makes of an upstream, or a gateway before it, that misbehaves on the wire."""

import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backoffice.http_signatures import Message, verify
from backoffice.investment_api import transport
from backoffice.investment_api.auth import Credentials, Scope
from backoffice.investment_api.budget import Budget, Urgency
from backoffice.investment_api.client import InvestmentAPI
from backoffice.investment_api.errors import (
    InvestmentAPIError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from backoffice.investment_api.waits import LONGEST_WAIT, retry_after

KEY = ed25519.Ed25519PrivateKey.generate()
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json"}
REFUSED = (401, PROBLEM, {"type": "unauthorized", "status": 401})
TOKEN = {"access_token": "t1", "expires_in": 1799, "token_type": "bearer"}
SAMPLES = Path(__file__).parent / "samples"
PROBLEMS = sorted(SAMPLES.glob("error.*.json"))


class Upstream:
    """Answers each call to a path with the next of the answers prepared for it; a last one stays.

    An answer is (status, headers, body), or a function of the handler that does what it likes.
    """

    def __init__(self):
        self.requests: list[Message] = []
        self.answers: dict[str, list[Any]] = {"/auth/token": [(200, {}, TOKEN)]}
        self.released = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                upstream.requests.append(message_of(self))
                answers = upstream.answers[self.path.partition("?")[0]]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if callable(answer):
                    self.close_connection = True
                    answer(self)
                else:
                    reply(self, *answer)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 -- http.server's names

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Say nothing of clients that have gone: that is what these tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def message_of(handler):
    path, _, query = handler.path.partition("?")
    body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
    return Message(handler.command, path, query, dict(handler.headers), body)


def reply(handler, status, headers, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"content-length": str(len(content)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def api(upstream):
    credentials = Credentials(upstream.url, str(uuid4()), "a secret", str(uuid4()), KEY)
    return InvestmentAPI(credentials, Budget(1000))


@pytest.fixture
def ask(api, upstream):
    """Ask for something that is answered with what is given."""

    def ask(*answers, **more):
        upstream.answers["/thing"] = list(answers)
        return api.call("GET", "/thing", **more)

    return ask


# What upstream says


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_each_sample_problem_is_sorted_and_said_in_its_own_words(ask, path):
    sample = json.loads(path.read_text())
    status, problem = sample["status"], sample["body"]
    kinds = {404: NotFoundError, 429: UnavailableError}
    kind = kinds.get(status, UnavailableError if status >= 500 else RefusedError)

    with pytest.raises(InvestmentAPIError) as caught:
        ask((status, sample["headers"], problem))

    assert type(caught.value) is kind
    said = problem.get("title") or problem["type"]
    assert str(caught.value).startswith(f"GET /thing: {status} {said}")
    assert caught.value.request_id == sample["headers"]["upvest-request-id"]
    assert caught.value.request_id in str(caught.value)


def test_the_detail_of_a_problem_is_said_too_and_its_own_request_id_will_do(ask):
    problem = {"title": "Conflict", "detail": "already\nfilled", "request_id": "r1"}

    with pytest.raises(RefusedError) as caught:
        ask((409, PROBLEM, problem))

    assert str(caught.value) == "GET /thing: 409 Conflict: already filled (request id r1)"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"<html><style>p {}</style><p>Down for &amp; out</p></html>", "Down for & out"),
        (b"upstream connect error\n\n  or disconnect", "upstream connect error or disconnect"),
        (b"\xff\xfe\x00 \x1b[31mred", "red"),
        (b"[1, 2]", "[1, 2]"),
        (b"", ""),
        (b"<" * 100_000, "<<<"),
        (b"[" * 100_000, "[[["),
    ],
)
def test_a_page_that_is_no_problem_document_is_quoted_by_its_first_words(ask, page, words):
    with pytest.raises(UnavailableError) as caught:
        ask((502, {"content-type": "text/html"}, page))

    text = str(caught.value)
    assert text.startswith("GET /thing: 502")
    assert words in text
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_but_named(ask, upstream, status):
    with pytest.raises(UnavailableError, match=r"redirects to https://elsewhere\.example\.com/x"):
        ask((status, {"location": "https://elsewhere.example.com/x"}, b""))

    assert [request.path for request in upstream.requests] == ["/auth/token", "/thing"]


@pytest.mark.parametrize("body", [b"<html>fine</html>", b"{", b"\xff", b"[" * 100_000])
def test_a_good_status_with_something_else_than_json_means_try_later(ask, body):
    with pytest.raises(UnavailableError, match="200 with an answer that is no JSON"):
        ask((200, {}, body))


def test_an_answer_without_a_body_has_no_payload(ask):
    answer = ask((204, {}, b""))

    assert (answer.status, answer.payload) == (204, None)


def test_numbers_with_a_fraction_keep_every_digit(ask):
    answer = ask((200, {}, b'{"price": 1.10, "big": 0.1234567890123456789012345678}'))

    assert answer.payload == {"price": "1.10", "big": "0.1234567890123456789012345678"}


@pytest.mark.parametrize("payload", [[], "text", 1, None])
def test_an_object_that_is_none_means_try_later(api, upstream, payload):
    order_id = uuid4()
    upstream.answers[f"/orders/{order_id}"] = [(200, {}, payload)]

    with pytest.raises(UnavailableError, match="is no JSON object"):
        api.order(order_id)


@pytest.mark.parametrize("payload", [{}, {"data": None}, {"data": ["x"]}])
def test_a_list_that_is_none_means_try_later(api, upstream, payload):
    upstream.answers["/portfolios/orders"] = [(200, {}, payload)]

    with pytest.raises(UnavailableError, match="has no list of objects called data"):
        list(api.portfolio_orders(since=NOW))


@pytest.mark.parametrize(
    ("meta", "what"),
    [
        ({"offset": 200, "total_count": 500}, "lists from 200 on, not from 0"),
        ({"offset": 0, "total_count": 5}, "lists nothing of 5"),
        ({"total_count": 5}, "lists nothing of 5"),
    ],
)
def test_a_part_of_a_list_that_is_another_than_asked_for_means_try_later(api, upstream, meta, what):
    upstream.answers["/portfolios/orders"] = [(200, {}, {"data": [], "meta": meta})]

    with pytest.raises(UnavailableError, match=what):
        list(api.portfolio_orders(since=NOW))


def test_a_list_that_does_not_say_its_length_is_read_until_it_is_empty(api, upstream):
    pages = [[{"id": "a"}, {"id": "b"}], [{"id": "b"}, {"id": "c"}], []]
    upstream.answers["/portfolios/orders"] = [(200, {}, {"data": page}) for page in pages]

    assert [item["id"] for item in api.portfolio_orders(since=NOW)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "token",
    [
        {},
        [],
        {"access_token": "t"},
        {**TOKEN, "access_token": "a\nb"},
        {**TOKEN, "expires_in": "?"},
        {**TOKEN, "expires_in": "NaN"},
        {**TOKEN, "expires_in": 1e400},
        {**TOKEN, "expires_in": 10**400},
        {**TOKEN, "expires_in": -1},
    ],
    ids=str,
)
def test_a_token_answer_that_cannot_be_read_means_try_later(api, upstream, token):
    upstream.answers["/auth/token"] = [(200, {"upvest-request-id": "r1"}, token)]

    with pytest.raises(
        UnavailableError, match=r"POST /auth/token: .*no token .* \(request id r1\)"
    ):
        api.verify_keys()


# Waiting, when upstream asks for it


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta()),
        (" 120 ", timedelta(minutes=2)),
        ("3600", LONGEST_WAIT),
        ("999999999", LONGEST_WAIT),
        ("1000000000000", LONGEST_WAIT),
        ("9" * 60_000, LONGEST_WAIT),
        ("0" * 60_000 + "7", timedelta(seconds=7)),
        ("1.5", timedelta(seconds=2)),
        ("0.0", timedelta()),
        ("2.", timedelta(seconds=2)),
        ("Mon, 02 Mar 2026 09:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 02 Mar 2026 09:00:30 -0000", timedelta(seconds=30)),
        ("Mon, 02 Mar 2026 08:00:00 GMT", timedelta()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_WAIT),
        ("Mon, 01 Jan 0001 00:00:00 +2359", timedelta()),
        ("Monday, 02-Mar-26 09:00:30 GMT", timedelta(seconds=30)),
        ("Mon Mar  2 09:00:30 2026", timedelta(seconds=30)),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1,5", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("\u0663\u0660", None),
        ("Mon, 99 Mar 2026 09:00:30 GMT", None),
        ("Mon, 02 Mar 99999 09:00:30 GMT", None),
        ("Mon, 02 Mar 2026 09:00:30 +999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_five_minutes(value, wait):
    assert retry_after(value, now=NOW) == wait


@pytest.mark.parametrize("status", [429, 503])
@time_machine.travel(NOW, tick=False)
def test_when_upstream_says_how_long_to_wait_only_people_call_before(ask, api, upstream, status):
    with pytest.raises(UnavailableError) as caught:
        ask((status, {"retry-after": "90"}, {}))
    assert caught.value.retry_after == timedelta(seconds=90)

    with pytest.raises(
        UnavailableError, match=r"GET /thing: not sent, .* until 09:0\d:\d\d UTC"
    ) as caught:
        api.call("GET", "/thing")

    assert caught.value.retry_after == pytest.approx(
        timedelta(seconds=90), abs=timedelta(seconds=30)
    )
    assert api.budget.paused_until() is not None
    assert len(upstream.requests) == 2
    upstream.answers["/thing"] = [(200, {}, {})]
    assert api.call("GET", "/thing", urgency=Urgency.PERSON).status == 200
    with pytest.raises(UnavailableError, match="not sent, rate limited"):
        api.call("GET", "/thing", urgency=Urgency.SUBMISSION)


@pytest.mark.parametrize(
    "value", ["3600", "1000000000000", "3600.5", "Fri, 31 Dec 2027 23:59:59 GMT"]
)
def test_however_long_upstream_wants_us_to_wait_people_and_keys_go_on_and_others_wait_five_minutes(
    ask, api, upstream, value
):
    upstream.answers["/auth/verify_keys"] = [(200, {}, {"keys": [{"kid": "a"}]})]
    with pytest.raises(UnavailableError) as caught:
        ask((429, {"retry-after": value}, {}))

    assert caught.value.retry_after == LONGEST_WAIT
    assert api.verify_keys(urgency=Urgency.PERSON) == [{"kid": "a"}]
    for urgency in (Urgency.SUBMISSION, Urgency.BACKGROUND):
        until = api.budget.paused_until(urgency)
        assert timedelta(minutes=4) < until - datetime.now(UTC) <= LONGEST_WAIT
    assert api.budget.paused_until(Urgency.PERSON) is None


def test_a_person_gets_a_token_though_the_pause_kept_the_same_from_background_work(api, upstream):
    upstream.answers["/auth/verify_keys"] = [(200, {}, {"keys": []})]
    api.budget.pause(datetime.now(UTC) + timedelta(hours=1))

    with pytest.raises(UnavailableError, match="not sent, rate limited"):
        api.verify_keys()
    assert api.verify_keys(urgency=Urgency.PERSON) == []


def test_who_waits_behind_background_work_for_a_token_is_not_kept_back_by_its_pause(
    api, upstream, monkeypatch
):
    """The token of a scope is fetched by one at a time; what kept that one back need not keep others."""
    upstream.answers["/auth/verify_keys"] = [(200, {}, {"keys": []})]
    api.budget.pause(datetime.now(UTC) + timedelta(hours=1))
    tokens, fetch = api._tokens[Scope.READ], api._tokens[Scope.READ]._fetch
    lock, is_held = Announced(), threading.Event()
    monkeypatch.setattr(tokens, "_lock", lock)

    def slow(**more):
        if more["urgency"] is Urgency.BACKGROUND:
            is_held.set()
            for _ in range(2):  # both have come to the lock
                assert lock.comers.acquire(timeout=10)
        return fetch(**more)

    monkeypatch.setattr(tokens, "_fetch", slow)
    with ThreadPoolExecutor(2) as pool:
        background = pool.submit(api.verify_keys)
        assert is_held.wait(10)
        person = pool.submit(api.verify_keys, urgency=Urgency.PERSON)
        assert person.result(timeout=10) == []
        with pytest.raises(UnavailableError, match="rate limited"):
            background.result(timeout=10)


def test_throttling_without_a_word_on_how_long_lets_background_work_rest_and_people_go_on(ask, api):
    with pytest.raises(UnavailableError) as caught:
        ask((429, {}, {}))

    assert caught.value.retry_after == transport.PAUSE
    assert api.budget.paused_until() is not None
    with pytest.raises(UnavailableError, match="not sent, rate limited"):
        api.call("GET", "/thing")
    with pytest.raises(UnavailableError, match="GET /thing: 429"):
        api.call("GET", "/thing", urgency=Urgency.PERSON)


def test_other_trouble_of_upstream_pauses_nobody(ask, api):
    with pytest.raises(UnavailableError):
        ask((503, {}, {}))

    assert api.budget.paused_until() is None


# What happens on the wire


def hang(upstream):
    return lambda handler: upstream.released.wait(10)


def test_an_upstream_that_says_nothing_is_given_up(ask, upstream, monkeypatch):
    monkeypatch.setattr(transport, "READ", 0.1)

    with pytest.raises(UnavailableError, match="GET /thing: no answer in time") as caught:
        ask(hang(upstream))

    assert caught.value.status is None


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n"])
def test_an_answer_that_trickles_in_is_given_up_when_the_call_has_taken_too_long(
    ask, upstream, start
):
    def trickle(handler):
        handler.wfile.write(start)
        for byte in (b"" if start else b"HTTP/1.1 200 OK\r\nx: ") + b"y" * 300:
            if upstream.released.wait(0.01):
                return
            handler.wfile.write(bytes([byte]))

    with pytest.raises(UnavailableError, match="no answer in time"):
        ask(trickle, deadline=0.3)


def test_a_reset_or_half_an_answer_means_try_later_and_says_what_happened(ask):
    def half(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")

    with pytest.raises(
        UnavailableError, match="the connection was closed in the middle of the answer"
    ):
        ask(half)
    with pytest.raises(UnavailableError, match="the connection was closed before an answer came"):
        ask(lambda handler: None)


def test_the_reason_given_is_that_of_the_attempt_that_failed(ask):
    with pytest.raises(UnavailableError, match="the connection was closed before an answer came"):
        ask(REFUSED, lambda handler: None)


def test_something_that_is_not_http_means_try_later(ask):
    with pytest.raises(UnavailableError, match="GET /thing: "):
        ask(lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"))


def test_an_answer_that_is_too_large_is_not_read_to_its_end(ask, monkeypatch):
    monkeypatch.setattr(transport, "LARGEST_BODY", 100_000)

    with pytest.raises(UnavailableError, match="larger than 100000 bytes"):
        ask((200, {}, b" " * 10**7))


def test_an_upstream_that_is_not_there_is_named_as_such(api, upstream):
    upstream.stop()

    with pytest.raises(UnavailableError, match=r"POST /auth/token: .*refused"):
        api.verify_keys()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that no authority has signed but itself, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path: Path = tmp_path / "upstream.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def test_tls_needs_a_certificate_of_an_authority_that_the_environment_knows(
    upstream, certificate, monkeypatch
):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    upstream.server.socket = context.wrap_socket(upstream.server.socket, server_side=True)
    upstream.answers["/auth/verify_keys"] = [(200, {}, {"keys": []})]
    url = upstream.url.replace("http", "https")
    credentials = Credentials(url, str(uuid4()), "a secret", str(uuid4()), KEY)

    with pytest.raises(UnavailableError, match="certificate verify failed"):
        InvestmentAPI(credentials, Budget(1000)).verify_keys()

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert InvestmentAPI(credentials, Budget(1000)).verify_keys() == []


class Announced:
    """A lock that tells how many have come to it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.comers = threading.Semaphore(0)

    def acquire(self, timeout):
        self.comers.release()
        return self.lock.acquire(timeout=timeout)

    def release(self):
        self.lock.release()


def test_who_waited_for_a_token_in_vain_does_not_ask_for_it_again(api, upstream, monkeypatch):
    lock, refuse = Announced(), threading.Event()
    monkeypatch.setattr(api._tokens[Scope.READ], "_lock", lock)

    def answer(handler):
        refuse.wait(10)
        reply(handler, 503, {}, {})

    def ask(_):
        with pytest.raises(UnavailableError, match="POST /auth/token: 503"):
            api.verify_keys()

    upstream.answers["/auth/token"] = [answer]
    with ThreadPoolExecutor(3) as pool:
        asked = pool.map(ask, range(3))
        for _ in range(3):
            assert lock.comers.acquire(timeout=10)
        refuse.set()
        list(asked)

    assert len(upstream.requests) == 1


# What we send


def test_every_attempt_is_signed_anew_over_what_is_sent(ask, api, upstream):
    ask(REFUSED, (200, {}, {}))

    def key_of(key_id):
        return KEY.public_key()

    signatures = [verify(request, key_of) for request in upstream.requests]
    assert [request.path for request in upstream.requests] == ["/auth/token", "/thing"] * 2
    assert len({signature.nonce for signature in signatures}) == 4
    for signature in signatures[1::2]:
        assert signature.components == (
            "@method", "@path", "accept", "authorization", "upvest-api-version", "upvest-client-id",
        )  # fmt: skip


def test_a_body_is_signed_as_sent_with_its_length_in_bytes_and_its_key_again_on_a_retry(
    api, upstream
):
    upstream.answers["/thing"] = [REFUSED, (200, {}, {})]
    key = uuid4()

    api.call(
        "POST", "/thing", params={"a": "b c"}, body={"title": "Prüfung €"}, idempotency_key=key
    )

    first, second = (request for request in upstream.requests if request.path == "/thing")
    assert json.loads(first.body) == {"title": "Prüfung €"}
    assert first.body == second.body
    for request in (first, second):
        covered = verify(request, lambda _: KEY.public_key()).components
        assert {"@query", "content-digest", "content-length", "idempotency-key"} <= {*covered}
        assert request.headers["idempotency-key"] == str(key)


def test_a_call_without_a_body_covers_no_length_and_no_digest(api, upstream):
    upstream.answers["/thing"] = [(204, {}, b"")]

    for method in ("POST", "DELETE"):
        api.call(method, "/thing")
        covered = verify(upstream.requests[-1], lambda _: KEY.public_key()).components
        assert not {"content-length", "content-digest"} & {*covered}
