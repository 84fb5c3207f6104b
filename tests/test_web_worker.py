"""When a request has come far enough to be given to a thread. Pure; with real processes: test_strangers."""

import socket
import time

import pytest

from backoffice.connections import Body, BoundedConnections, Deadlines, hang_up
from backoffice.web_worker import LOOKED_AT, has_come

SIGNED = b"POST /hook HTTP/1.1\r\nHost: a\r\nSignature-Input: sig1=()\r\n"
FORM = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
OTHER = b"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = SIGNED + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "is_enough"),
    [
        (b"", False),
        (b"POST /", False),
        (SIGNED, False),
        (SIGNED + b"\r\n", True),
        (SIGNED + b"content-LENGTH :  5\r\n\r\n1234", False),
        (SIGNED + b"Content-Length: 5\r\n\r\n12345", True),
        (SIGNED + b"Content-Length: 5\r\n\r\n12345GET /", True),
        (SIGNED + b"Content-Length: 99999999999\r\n\r\n" + b"x" * LOOKED_AT, True),
        (SIGNED + b"Content-Length: many\r\n\r\n", True),
        (SIGNED + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", True),
        (FORM + b"Content-Length: 5\r\n\r\n", False),
        (OTHER + b"Content-Length: 5\r\n\r\n", True),
        (CHUNKED, False),
        (CHUNKED + b"5\r\n12345\r\n", False),
        (CHUNKED + b"5\r\n12345\r\n0\r\n", False),
        (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", True),
        (CHUNKED + b"5;a=b\r\n12345\r\n00;c\r\nX-Trailer: 1\r\n\r\n", True),
        (b"x" * LOOKED_AT, True),
    ],
)
def test_a_request_is_given_to_a_thread_once_what_is_read_of_it_has_come(received, is_enough):
    assert has_come(received) is is_enough


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_deadline_ends_what_reads_from_a_socket_and_one_that_was_cleared_does_not(pair):
    ours, theirs = pair
    deadlines = Deadlines()
    deadlines.set(ours, time.monotonic() + 60)
    deadlines.clear(ours)
    deadlines.set(ours, time.monotonic() + 0.1)

    assert ours.recv(1) == b""  # it would wait for ever
    deadlines.set(theirs, time.monotonic() + 0.1)
    deadlines.clear(theirs)
    time.sleep(3 * Deadlines.TICK)
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"


def test_a_body_is_read_once_all_of_it_was(pair):
    ours, theirs = pair
    theirs.sendall(b"one\ntwo\nthree")
    with ours.makefile("rb") as stream:
        body = Body(stream, ours, length=13)
        assert (body.readline(), body.is_read) == (b"one\n", False)
        assert (body.read(4), body.is_read) == (b"two\n", False)
        assert (body.read(), body.is_read) == (b"three", True)
        assert body.read() == body.readline() == b""


def test_a_body_whose_connection_ends_early_is_not_read(pair):
    ours, theirs = pair
    theirs.sendall(b"one")
    theirs.shutdown(socket.SHUT_WR)
    with ours.makefile("rb") as stream:
        body = Body(stream, ours, length=13)
        assert (body.read(), body.is_read) == (b"one", False)


def test_the_end_of_a_connection_waits_no_longer_than_a_moment(pair):
    ours, theirs = pair
    theirs.sendall(b"x" * 1000)
    start = time.monotonic()

    hang_up(ours)

    assert time.monotonic() - start < 2
    assert theirs.recv(1) == b""


def test_where_no_socket_is_handed_on_nothing_is_changed():
    environ = {"wsgi.input": object()}

    def application(given, start):
        assert given is environ
        assert set(given) == {"wsgi.input"}
        return [b"answer"]

    assert BoundedConnections(application)(environ, lambda *_: None) == [b"answer"]
