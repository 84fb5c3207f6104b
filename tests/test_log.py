"""What strangers send and upstream says cannot forge, hide or flood a line of the log."""

import io
import logging
import os
import socket
import sys

import pytest

from backoffice import log
from tests.processes import Process, answers, free_port, wait_until

ABSURD = "\0\r\nERROR forged\x1b[2J\x7f\x85\u2028\u202e\ud800\ufffe"
LOGGERS = [
    "django.request", "django.server", "gunicorn.error", "gunicorn.access", "celery.worker",
    "axes", "orders.asking", "a.library",
]  # fmt: skip


def logged(name, *said, formatter=None, **more):
    """Return what a logger writes through a handler of its own."""
    written, logger = io.StringIO(), logging.getLogger(name)
    handler = logging.StreamHandler(written)
    if formatter:
        handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        logger.critical(*said, **more)
    finally:
        logger.removeHandler(handler)
    return written.getvalue()


@pytest.mark.parametrize("name", LOGGERS)
def test_what_cannot_be_seen_is_escaped_whoever_logs_it_and_through_any_handler(name):
    text = logged(name, "Not Found: %s", f"/a{ABSURD}b")

    assert text.removesuffix("\n").isprintable()
    assert r"/a\x00\r\nERROR forged\x1b[2J\x7f\x85\u2028\u202e\ud800\ufffeb" in text


@pytest.mark.parametrize("formatter", [None, log.LineFormatter()], ids=["any", "ours"])
def test_a_traceback_is_one_line_too(formatter):
    try:
        int(ABSURD)
    except ValueError:
        text = logged("gunicorn.error", "It failed", exc_info=True, formatter=formatter)

    lines = text.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == (1 if formatter else 2)
    assert r"ValueError: invalid literal" in lines[-1]


@pytest.mark.parametrize("formatter", [None, log.LineFormatter()], ids=["any", "ours"])
def test_a_line_has_an_end_and_says_how_much_it_leaves_out(formatter):
    text = logged("django.request", "Not Found: %s!", "x" * 100_000, formatter=formatter)

    assert len(text) < 5_000
    assert "characters left out" in text
    assert text.endswith("x!\n")


def test_words_of_any_script_stay_as_they_are():
    assert logged("desk", "Größe 数 😀 %s", "é") == "Größe 数 😀 é\n"


@pytest.fixture
def web(tmp_path):
    """Start a web process by the documented command, with gunicorn's own logs switched on."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DEBUG": "1",
        "DATABASE_URL": f"sqlite:///{tmp_path}/desk.sqlite3",
    }
    command = [sys.executable, "-m", "gunicorn", "backoffice.wsgi", "--threads=8"]
    logs = ["--access-logfile=-", "--log-level=debug", f"--bind=127.0.0.1:{port}"]
    process = Process("web", *command, *logs, environment=environment, folder=tmp_path)
    try:
        process.start()
        wait_until(
            lambda: answers(f"http://127.0.0.1:{port}/health/live"), seconds=60, told=process.log
        )
        yield process, port
    finally:
        process.kill()


def ask(port, request):
    """Send a request as it is, and return the status of its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stranger:
        stranger.sendall(request)
        return int(stranger.recv(100).split()[1])


def test_a_stranger_cannot_write_into_the_log_of_the_web_process(web):
    process, port = web
    path = b"GET /nothing/%00%0A%1B[2Jhere HTTP/1.1\r\nHost: localhost\r\n"
    assert ask(port, path + b"User-Agent: \x9b2Jagent\r\nConnection: close\r\n\r\n") == 404
    assert ask(port, b"GET / HTTP/1.1\r\nHo\x1b[2Jst: x\x1b[2J\r\n\r\n") == 400

    wait_until(
        lambda: "Invalid" in process.log() and "agent" in process.log(),
        seconds=30,
        told=process.log,
    )
    lines = process.output.read_text(encoding="utf-8").split("\n")
    assert any(r"/nothing/\x00\n\x1b[2Jhere" in line for line in lines)
    assert any(r"\x9b2Jagent" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []
