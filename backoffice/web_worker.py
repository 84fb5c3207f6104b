"""gunicorn's threaded worker, taught to give no thread to a client that has not sent its request yet.

gunicorn's own waits for the head of a request in a thread, for as long as it takes, and for the end
of a connection in its only loop, two seconds for each. Eight strangers are enough to stop the feed.

The application teaches the worker that loads it (``install``): gunicorn takes settings only from its
command line or from a file in the directory where it is started, and the feed must not depend on either.
"""

import re
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from backoffice import starting
from backoffice.connections import deadlines, end_receiving, hang_up

PATIENCE = 5.0  # seconds in which a head, and a body no longer than LOOKED_AT, has to come
LOOKED_AT = 16 * 1024  # bytes of a request that are waited for without a thread
END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
LAST_CHUNK = re.compile(rb"(?:^|\r\n)0+[ \t]*(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n$")
# The only bodies that we read: of signed requests, and of forms. No other is waited for.
IS_READ = re.compile(
    rb"\r\n(?:signature-input[ \t]*:|content-type[ \t]*:[ \t]*"
    rb"(?:application/x-www-form-urlencoded|multipart/form-data))",
    re.IGNORECASE,
)
WANTS_ANSWER = re.compile(rb"\r\n(?:expect|upgrade)[ \t]*:", re.IGNORECASE)


def has_come(received: bytes) -> bool:
    """Return whether these first bytes of a connection are enough to give the request to a thread."""
    head, end, body = received.partition(END_OF_HEAD)
    if len(received) >= LOOKED_AT:
        return True
    if not end:
        return False
    head += end
    if WANTS_ANSWER.search(head) or not IS_READ.search(head):
        return True
    if length := LENGTH.search(head):
        return len(received) >= min(len(head) + int(length[1]), LOOKED_AT)
    return LAST_CHUNK.search(body) is not None if CHUNKED.search(head) else True


class Arrivals:
    """The connections whose requests are still on their way, watched by one thread together.

    Calls ``hand_over`` with each whose request has come, whose client is gone, or whose time is
    over; the last finds the end of what it reads.
    """

    TICK = 0.25  # seconds

    def __init__(self, hand_over: Callable[[Any], None]) -> None:
        self._hand_over = hand_over
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Any, float]] = {}
        self._epoll = select.epoll()
        threading.Thread(target=self._run, name="arrivals", daemon=True).start()

    def wait_for(self, connection: Any) -> None:
        """Hand over a connection as soon as its request has come."""
        number = connection.sock.fileno()
        with self._lock:
            self._waiting[number] = (connection, time.monotonic() + PATIENCE)
        # Edge by edge: what has come already does not wake us again and again.
        self._epoll.register(number, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def _run(self) -> None:
        while True:
            for number, events in self._epoll.poll(self.TICK):
                self._look(number, is_gone=bool(events & ~select.EPOLLIN))
            now = time.monotonic()
            with self._lock:
                late = [number for number, (_, until) in self._waiting.items() if until <= now]
            for number in late:
                self._leave(number, is_late=True)

    def _look(self, number: int, *, is_gone: bool) -> None:
        with self._lock:
            found = self._waiting.get(number)
        if found and (is_gone or is_ready(found[0])):
            self._leave(number)

    def _leave(self, number: int, *, is_late: bool = False) -> None:
        with self._lock:
            found = self._waiting.pop(number, None)
        if found is None:
            return
        self._epoll.unregister(number)
        if is_late:
            end_receiving(found[0].sock)
        self._hand_over(found[0])


def is_ready(conn: Any) -> bool:
    """Return whether a thread can serve what has come, or find out that nothing more will come."""
    held = _read_ahead(conn)
    conn.sock.setblocking(False)  # with a timeout, Python would wait for it
    try:
        received = conn.sock.recv(LOOKED_AT, socket.MSG_PEEK)
    except BlockingIOError:
        return has_come(held)
    except OSError:
        return True
    return not received or has_come(held + received)


def _read_ahead(conn: Any) -> bytes:
    """Return what the server has read already of a request, behind the one before."""
    unreader = getattr(conn.parser, "unreader", None)
    return bytes(unreader.buf.getvalue()) if unreader else b""


def install() -> None:
    """Teach the threaded worker of this process, which has not begun to serve. May be called twice.

    Its own methods go on doing the work; ours decide when, and how a connection ends.
    """
    if getattr(ThreadWorker, "gives_no_thread_away", False):
        return
    run, give_thread, serve = ThreadWorker.run, ThreadWorker.enqueue_req, ThreadWorker.handle

    def prepare_and_run(worker: Any) -> None:
        """Get ready in the process that serves: upstream's keys are there when a delivery comes."""
        starting.prepare()
        run(worker)

    def enqueue_req(worker: Any, conn: Any) -> None:
        """Give a connection to a thread, once its request has come."""
        if worker.cfg.is_ssl or is_ready(conn):
            give_thread(worker, conn)
        else:
            _arrivals_of(worker, give_thread).wait_for(conn)

    def handle(worker: Any, conn: Any) -> Any:
        """Serve a request in a thread; here, not in the loop of all, wait for the end of a connection."""
        sock = conn.sock
        deadlines.set(sock, time.monotonic() + PATIENCE)  # of a head that came in part
        try:
            goes_on = serve(worker, conn)
        finally:
            deadlines.clear(sock)
        if goes_on is False:
            hang_up(conn.sock)
        return goes_on

    ThreadWorker.run = prepare_and_run
    ThreadWorker.enqueue_req, ThreadWorker.handle = enqueue_req, handle
    ThreadWorker.gives_no_thread_away = True


def _arrivals_of(worker: Any, give_thread: Callable[[Any, Any], None]) -> Arrivals:
    """Return those of this worker; begun by its only loop, in the process that serves."""

    def hand_over(conn: Any) -> None:
        try:
            give_thread(worker, conn)
        except RuntimeError:  # the pool was shut down: this process ends
            conn.close()

    arrivals: Arrivals | None = getattr(worker, "arrivals", None)
    if arrivals is None:
        arrivals = worker.arrivals = Arrivals(hand_over)
    return arrivals
