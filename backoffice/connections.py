"""What a client may cost a thread that serves it: how long a body may take, and an answer to be taken.

Whoever connects decides how fast to send and to read, with or without a log-in. A proxy in front
that buffers takes this off us; here it is bounded also without one.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SILENCE = 3.0  # seconds without a byte after which a body is given up
GRACE = 3.0  # seconds that any body may take
PACE = 64 * 1024  # bytes a second at which a longer body has to come
PIECE = 64 * 1024  # bytes read at once
SENDING = (
    2.0  # seconds until a client has to have room for the rest of an answer, or its next piece
)
STREAMING = 60.0  # the same for each piece of a file that is written as it is read: an export
ROOM = 4 * 1024 * 1024  # bytes of an answer that the system shall keep for a slow client, if it may
FAREWELL = 0.3  # seconds in which a client may end a connection that we end
MOST_FAREWELL = 1024 * 1024  # bytes thrown away meanwhile

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Deadlines:
    """Ends the receiving side of sockets at a given moment, whatever trickles in. One thread for all.

    The timeout of a socket starts anew with every byte, and the server reads in loops of its own.
    """

    TICK = 0.25  # seconds

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[int, tuple[float, socket.socket]] = {}
        self._is_running = False  # the thread starts when it is needed: after a fork

    def set(self, sock: socket.socket, until: float) -> None:
        """End the receiving side of ``sock`` at ``until``, monotonic, unless cleared before."""
        with self._lock:
            self._due[id(sock)] = (until, sock)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def clear(self, sock: socket.socket) -> None:
        """Forget ``sock``."""
        with self._lock:
            self._due.pop(id(sock), None)

    def _run(self) -> None:
        while True:
            time.sleep(self.TICK)
            now = time.monotonic()
            with self._lock:  # so that no socket is closed, and its number taken anew, meanwhile
                for key, (until, sock) in list(self._due.items()):
                    if until <= now:
                        del self._due[key]
                        end_receiving(sock)


deadlines = Deadlines()


class Body:
    """``wsgi.input`` with a deadline, which knows whether all of the body was read."""

    def __init__(self, stream: Any, sock: socket.socket, *, length: int | None) -> None:
        self._stream, self._sock = stream, sock
        self._left = length  # None: in chunks
        self._taken = 0
        self._began: float | None = None
        self.is_read = length == 0

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, fewer only where the body ends, or where its time is over."""
        wanted = float("inf") if size is None or size < 0 else size
        parts: list[bytes] = []
        while wanted > 0 and not self.is_read:
            most = int(min(wanted, PIECE if self._left is None else min(PIECE, self._left)))
            part = self._timed(self._stream.read, most)
            parts.append(part)
            wanted -= len(part)
            if len(part) < most:
                break
        return b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line, or a part of a long one."""
        most = PIECE if size is None or size < 0 else min(size, PIECE)
        return b"" if self.is_read else self._timed(self._stream.readline, most)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines."""
        while line := self.readline():
            yield line

    def _timed(self, read: Callable[[int], bytes], most: int) -> bytes:
        self._began = self._began or time.monotonic()
        deadlines.set(self._sock, self._began + GRACE + self._taken / PACE)
        self._sock.settimeout(SILENCE)
        try:
            part = read(most)
        finally:
            deadlines.clear(self._sock)
            self._sock.settimeout(SENDING)
        self._taken += len(part)
        if self._left is None:
            self.is_read = not part
        else:
            self._left -= len(part)
            self.is_read = self._left == 0
        return part


class BoundedConnections:
    """Gives each request a deadline, and ends the connection of one whose body was not read.

    For what runs below gunicorn, which hands on the socket; elsewhere nothing is changed.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer."""
        sock = environ.get("gunicorn.socket")
        if sock is None or environ.get("SERVER_PROTOCOL", "").startswith("HTTP/2"):
            return self._application(environ, start_response)
        deadlines.clear(sock)  # that of its head
        sock.settimeout(SENDING)
        # A page or a script then fits into the system's buffer, and no thread waits for its reader.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        body = environ["wsgi.input"] = Body(environ["wsgi.input"], sock, length=_length(environ))

        def start(*args: Any) -> Any:
            if not body.is_read:
                _say_that_it_closes(start_response)
            return start_response(*args)

        answer = self._application(environ, start)
        if getattr(answer, "streaming", False):
            sock.settimeout(STREAMING)
        return answer if body.is_read else _Last(answer, sock)


class _Last:
    """The last answer on a connection: what is left of the body is not read, but thrown away."""

    def __init__(self, answer: Iterable[bytes], sock: socket.socket) -> None:
        self._answer, self._sock = answer, sock

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()
        hang_up(self._sock)


def hang_up(sock: socket.socket) -> None:
    """End a connection within ``FAREWELL``: our side at once, the other's as soon as it is done.

    Closed with bytes unread, a socket is reset, and the client may never see the answer.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        until, taken = time.monotonic() + FAREWELL, 0
        while taken < MOST_FAREWELL and (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            part = sock.recv(PIECE)
            if not part:
                break
            taken += len(part)
    end_receiving(sock)


def end_receiving(sock: socket.socket) -> None:
    """Let whoever reads from ``sock`` find its end, now and from now on."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)


def _length(environ: dict[str, Any]) -> int | None:
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        return int(length)
    return None if environ.get("HTTP_TRANSFER_ENCODING") else 0


def _say_that_it_closes(start_response: StartResponse) -> None:
    """Have gunicorn answer with ``Connection: close``: it drops such a header of an application."""
    response: Any = getattr(start_response, "__self__", None)
    if hasattr(response, "force_close"):
        response.force_close()
