"""What strangers who connect cost others: nothing, with real processes and without a proxy in front."""

import json
import socket
import threading
import time

import pytest

from tests.door import Door, ended, request, status_of, strangers
from tests.signed import PATH

HOST = {"host": "desk"}
JSON = {**HOST, "content-type": "application/json"}
PROMPT = 4.0  # seconds; a delivery is answered well within five, also on a busy machine


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with Door(tmp_path_factory.mktemp("door")) as door:
        assert door.deliver()[0] == 200  # the keys are there
        yield door


def signed_by(door, key_id, **more):
    """Return the headers of a delivery that names a key, of 1,000 bytes."""
    return {**door.headers(b"x" * 1000, key_id=key_id), **more}


def head(method="POST", path=PATH, sent=b"", **headers):
    """Return a request with a body of 1,000 bytes of which only ``sent`` is sent."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(method, path, {**JSON, "content-length": "1000", **named}, sent)


CHUNKED = {**JSON, "transfer-encoding": "chunked"}
STALLED = {
    "nothing at all": b"",
    "a byte of a head": b"P",
    "half a head": b"POST /webhooks/investment-api HTTP/1.1\r\nHost: desk\r\nContent-",
    "an unsigned body": head(sent=b"{"),
    "an unsigned body without a byte": head(),
    "a PUT": head("PUT"),
    "text/html": head(content_type="text/html"),
    "half a signature": head(sent=b"{", signature="sig1=:AAAA:"),
    "a longer body than any": head(content_length="999999999"),
    "a made-up key": head(sent=b"{", signature_input='sig1=();keyid="x"', signature="sig1=:AA==:"),
    "a chunk that is announced": request("POST", PATH, CHUNKED, b"3e8\r\n{"),
    "no chunk": request("POST", PATH, CHUNKED),
    "a body that waits for 100 Continue": head(expect="100-continue"),
    "the log-in": head(path="/admin/login/", content_type="application/x-www-form-urlencoded"),
    "a form of parts": head(
        path="/admin/login/", content_type="multipart/form-data; boundary=x", sent=b"--x\r\n"
    ),
    "health": head(path="/health/live"),
    "metrics": head("GET", path="/metrics"),
    "an unknown path": head(path="/nowhere"),
    "a static file": head("GET", path="/static/orders/desk.css"),
    "HTTP/1.0": request("GET", "/health/live", HOST, version="1.0"),
    "a connection that is to close": request(
        "GET", "/health/live", {**HOST, "connection": "close"}
    ),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two requests at once": request("GET", "/health/live", HOST) + head(sent=b"{"),
    "one and a half requests": request("GET", "/health/live", HOST) + b"GET / HT",
}


@pytest.mark.parametrize("data", STALLED.values(), ids=STALLED.keys())
def test_eight_connections_that_stall_keep_no_delivery_waiting(door, data):
    with strangers(door, data), strangers(door, data):
        for _ in range(3):
            status, seconds = door.deliver()
            assert (status, seconds < PROMPT) == (200, True), seconds


@pytest.mark.parametrize(
    "path", ["/static/admin/js/vendor/jquery/jquery.js", "/admin/login/", "/health/live"]
)
def test_clients_that_read_no_answer_keep_no_delivery_waiting(door, path):
    socks = []
    for _ in range(8):
        sock = door.connect(receive=1024)
        sock.sendall(request("GET", path, {"host": "127.0.0.1"}) * 20)
        socks.append(sock)
    time.sleep(1)
    for _ in range(3):
        status, seconds = door.deliver()
        assert (status, seconds < PROMPT) == (200, True), seconds
    for sock in socks:
        sock.close()


def test_a_signed_body_that_stalls_keeps_no_delivery_waiting_and_is_given_up(door):
    key_id, _ = door.sandbox.keys.current()
    with strangers(door, request("POST", PATH, signed_by(door, key_id), b"x")) as socks:
        for _ in range(3):
            status, seconds = door.deliver()
            assert (status, seconds < PROMPT) == (200, True), seconds
        assert [status_of(sock) for sock in socks] == [503] * 8
        assert all(ended(sock, 10) for sock in socks)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_signed_body_that_trickles_is_given_up_after_seconds(door, size):
    key_id, _ = door.sandbox.keys.current()
    headers = {**door.headers(b"x" * size, key_id=key_id)}
    with door.connect(request("POST", PATH, headers, b"x" * (size // 2))) as sock:
        start, status = time.monotonic(), []
        reader = threading.Thread(target=lambda: status.append(status_of(sock)))
        reader.start()
        while reader.is_alive() and time.monotonic() - start < 30:
            try:
                sock.sendall(b"x")
            except OSError:
                break
            time.sleep(0.5)
        reader.join(30)
        assert status == [503]
        assert time.monotonic() - start < 15


def test_a_large_body_that_comes_slowly_but_steadily_is_taken(door):
    body = json.dumps({"payload": [], "x": "y" * 1_000_000}).encode()
    data = request("POST", PATH, door.headers(body), body)
    with door.connect() as sock:
        for start in range(0, len(data), 50_000):
            sock.sendall(data[start : start + 50_000])
            time.sleep(0.2)
        assert status_of(sock) == 200


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_a_delivery_in_pieces_is_taken(door, pause):
    body = b'{"payload": []}'
    data = request("POST", PATH, door.headers(body), body)
    with door.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), 200):
            sock.sendall(data[start : start + 200])
            time.sleep(pause)
        assert status_of(sock) == 200


def test_a_delivery_in_chunks_without_the_length_that_was_signed_is_taken(door):
    body = b'{"payload": []}'
    headers = door.headers(body)
    del headers["content-length"]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:]))
    for end in (b"0\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n"):
        data = request("POST", PATH, {**headers, "transfer-encoding": "chunked"}, chunks + end)
        status, seconds = door.ask(data)
        assert (status, seconds < PROMPT) == (200, True)


def test_deliveries_share_a_connection_that_is_kept_alive(door):
    with door.connect() as sock:
        for number in range(5):
            body = json.dumps({"payload": [], "n": number}).encode()
            sock.sendall(request("POST", PATH, door.headers(body), body))
            answer = b""
            while not answer.endswith(b"\r\n0\r\n\r\n"):
                answer += sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"Connection: keep-alive" in answer


@pytest.mark.parametrize("name", ["an unsigned body", "a PUT", "text/html", "the log-in", "health"])
def test_who_left_a_body_unsent_is_told_that_the_connection_ends_and_it_does(door, name):
    start = time.monotonic()
    with door.connect(STALLED[name]) as sock:
        answer = sock.recv(65536)

        # Only a form is waited for, by no thread.
        assert name == "the log-in" or time.monotonic() - start < PROMPT
        assert b"\r\nConnection: close\r\n" in answer
        assert ended(sock, 10)


def test_a_client_that_sends_a_long_body_sees_why_it_was_refused(door):
    with door.connect(head(content_length="300000")) as sock:
        sock.sendall(b"x" * 300_000)

        assert status_of(sock) == 401


def test_made_up_keys_make_no_delivery_with_a_known_key_wait_while_upstream_hangs(tmp_path):
    with Door(tmp_path) as door:
        assert door.deliver()[0] == 200
        key = door.sandbox.keys.current()
        host, _, port = door.upstream.partition(":")
        door.sandbox.stop()
        hung = socket.create_server((host, int(port)))  # takes connections, and answers nothing
        is_over = threading.Event()
        statuses = []

        def stranger():
            while not is_over.wait(1):
                data = request("POST", PATH, signed_by(door, "made-up"), b"x" * 1000)
                statuses.append(door.ask(data))

        threads = [threading.Thread(target=stranger) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                status, seconds = door.deliver(key_id=key[0], key=key[1])
                assert (status, seconds < PROMPT) == (200, True), seconds
                time.sleep(0.5)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
            hung.close()
        assert {status for status, _ in statuses} <= {401, 503}
        assert max(seconds for _, seconds in statuses) < PROMPT
