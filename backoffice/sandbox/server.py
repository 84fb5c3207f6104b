"""The API over HTTP, on loopback only, with requests as raw as signatures need them."""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, BytesIO
from threading import Event, Lock, Thread
from typing import Any, cast

from backoffice.http_signatures import Message

from .answers import ProblemError, Response
from .cuts import Cut, Point

HOST = "127.0.0.1"

_MAX_BODY = 1024 * 1024

Answer = Callable[[Message], Response]
CutOf = Callable[[str, str, Point], Cut | None]  # by method, path and how far the request is read


class Server:
    """Serves ``answer`` in a thread for each connection, from ``start`` to ``stop``.

    ``cut_of`` says which requests are cut before they are read to their end.
    """

    def __init__(self, answer: Answer, *, port: int = 0, cut_of: CutOf = lambda *_: None) -> None:
        self._server = _HTTPServer(port, answer, cut_of)
        serve = self._server.serve_forever
        self._thread = Thread(
            target=serve, kwargs={"poll_interval": 0.05}, name="sandbox-http", daemon=True
        )

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection, also those that hang, and end."""
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, answer: Answer, cut_of: CutOf) -> None:
        self.answer, self.cut_of = answer, cut_of
        self.stopping = Event()
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        super().__init__((HOST, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the client may have closed it already
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    server: _HTTPServer

    def handle_one_request(self) -> None:
        """Read a request and answer it, unless it is cut before it is read."""
        begin = cast(BufferedReader, self.rfile).peek(1).decode("latin-1")
        line = begin.partition("\r\n")[0].split(" ")
        if len(line) == 3 and self._is_cut(line[0], line[1], "unread"):
            return
        super().handle_one_request()

    def _handle(self) -> None:
        if self._is_cut(self.command, self.path, "fields"):
            return
        try:
            response = self.server.answer(self._message())
        except ProblemError as problem:
            self.close_connection = True
            response = problem.response("")
        self._send(response)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 - looked up by name

    def _message(self) -> Message:
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            raise ProblemError(400, "The length of the body must be given.")
        if int(length) > _MAX_BODY:
            raise ProblemError(413)
        body = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        return Message(self.command, path, query, headers, body)

    def _send(self, response: Response) -> None:
        head, body = self._head(response), response.body
        if response.cut is None:
            self.wfile.write(head + body)
            return
        self.wfile.write(response.cut.bytes_sent(head, body))
        self._cut(response.cut)

    def _head(self, response: Response) -> bytes:
        wire, self.wfile = self.wfile, BytesIO()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), wire
        return head

    def _is_cut(self, method: str, path: str, point: Point) -> bool:
        if cut := self.server.cut_of(method, path.partition("?")[0], point):
            self._cut(cut)
        return cut is not None

    def _cut(self, cut: Cut) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.server.stopping.wait(cut.after)
        cut.end(self.connection)

    def log_message(self, *args: object) -> None:
        """Say nothing: the access log of a stand-in is noise beside that of the desk."""
