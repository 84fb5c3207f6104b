"""One signed HTTP exchange: bounded in time and size, within the budget, logged, errors sorted."""

import http.client
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import requests
import urllib3

from backoffice.env import is_loopback
from backoffice.http_signatures import SignatureError

from .adaptive import REST
from .breaker import Breaker
from .budget import Budget, Urgency
from .connection import keep_deadline, new_session
from .errors import InvestmentAPIError, RefusedError, UnavailableError
from .reading import Answer, Received, Shape, read
from .weather import Weather

logger = logging.getLogger(__name__)

CONNECT = 5.0  # seconds
READ = 15.0  # seconds without a byte
LARGEST_BODY = 16 * 2**20  # bytes
PAUSE = timedelta(seconds=REST)  # after a 429 that does not say how long

_OF_LIBRARIES = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
_PATIENCE = {  # for room in the budget
    Urgency.PERSON: timedelta(seconds=5),
    Urgency.SUBMISSION: timedelta(seconds=20),
    Urgency.BACKGROUND: timedelta(seconds=20),
}


class Transport:
    """Sends requests to one base URL, from any thread; connections are kept for whoever sends next.

    ``sign`` adds the signature to a request that is ready to go. Raises ValueError for plain http
    to another machine.
    """

    def __init__(
        self,
        url: str,
        *,
        sign: Callable[[requests.PreparedRequest], None],
        budget: Budget,
        breaker: Breaker,
        weather: Weather,
    ) -> None:
        parts = urlsplit(url)
        self._is_local = is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._is_local):
            raise ValueError(f"{url} is neither https nor http to this machine")
        self._url = url.rstrip("/")
        self._sign = sign
        self._budget = budget
        self._breaker = breaker
        self._weather = weather
        self._sessions: deque[requests.Session] = deque()  # those that nobody uses now

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        shape: Shape,
        urgency: Urgency,
        until: float,
    ) -> Answer:
        """Sign and send one request, once, and return upstream's answer of that ``shape``.

        ``until`` (monotonic clock) is when the caller stops waiting. Raises RefusedError,
        NotFoundError or UnavailableError.
        """
        call = f"{method} {path}"
        self._wait_for_room(call, urgency, until)
        try:
            request = self._prepare(method, path, headers, params, body)
            _leave_time(until)
        except (requests.RequestException, OSError, SignatureError) as error:
            self._breaker.call_off()
            kind = RefusedError if isinstance(error, SignatureError) else UnavailableError
            raise _not_sent(kind(f"{call}: {_reason(error)}")) from error
        started = time.monotonic()
        try:
            received = self._exchange(request, until)
        except (requests.RequestException, OSError) as error:
            logger.info("%s failed after %.0f ms: %s", call, _ms_since(started), _reason(error))
            silence = UnavailableError(f"{call}: {_reason(error)}")
            self._note(call, urgency, started, silence)
            raise silence from error
        logger.info(
            "%s %d %.0f ms %s", call, received.status, _ms_since(started), received.own_id or "-"
        )
        try:
            answer = read(call, received, shape, now=datetime.now(UTC))
        except InvestmentAPIError as failure:
            self._note(call, urgency, started, failure)
            self._obey(failure)
            raise
        self._note(call, urgency, started, None)
        return answer

    def _note(
        self, call: str, urgency: Urgency, started: float, failure: InvestmentAPIError | None
    ) -> None:
        """Let the breaker and the weather know what a call came to."""
        outage = self._breaker.report(is_answered=failure is None or failure.is_answer)
        self._weather.note(call, urgency, time.monotonic() - started, failure)
        if outage:
            self._weather.note_outage(outage)

    def _wait_for_room(self, call: str, urgency: Urgency, until: float) -> None:
        left = timedelta(seconds=max(0.0, until - time.monotonic()))
        is_admitted = False
        try:
            self._breaker.admit(urgency)
            is_admitted = True
            self._budget.take(urgency, timeout=min(left, _PATIENCE[urgency]))
        except UnavailableError as error:
            if is_admitted:
                self._breaker.call_off()
            message = f"{call}: not sent, {error.message}"
            raise _not_sent(UnavailableError(message, retry_after=error.retry_after)) from error

    def _prepare(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        body: bytes,
    ) -> requests.PreparedRequest:
        request = requests.Request(
            method, self._url + path, headers=dict(headers), params=params, data=body
        ).prepare()
        if not body:
            request.headers.pop("Content-Length", None)  # upstream's list has it with bodies only
        self._sign(request)
        return request

    def _exchange(self, request: requests.PreparedRequest, until: float) -> Received:
        left, started = _leave_time(until), time.monotonic()
        keep_deadline(until, longest_silence=READ)
        timeout = (min(CONNECT, left), min(READ, left))
        with (
            self._session() as session,
            session.send(
                request,
                allow_redirects=False,
                stream=True,
                timeout=timeout,
                verify=session.verify,
                proxies=session.proxies,
            ) as response,
        ):
            content = _read(response)
            took = timedelta(seconds=time.monotonic() - started)
            return Received(response.status_code, response.headers, content, took)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """Lend a session to one thread: the one used last, whose connection is the likeliest to be open."""
        try:
            session = self._sessions.pop()
        except IndexError:
            session = new_session(self._url, is_local=self._is_local)
        try:
            yield session
        finally:
            self._sessions.append(session)

    def _obey(self, error: InvestmentAPIError) -> None:
        """Let what nobody waits for rest as long as upstream asks, and background work take less after a 429."""
        if not isinstance(error, UnavailableError):
            return
        if error.retry_after:
            self._budget.pause(datetime.now(UTC) + error.retry_after)
        if error.status == 429:
            self._budget.throttled(error.retry_after)
            error.retry_after = PAUSE if error.retry_after is None else error.retry_after


def _read(response: requests.Response) -> bytes:
    content = bytearray()
    for piece in response.iter_content(64 * 1024):
        content += piece
        if len(content) > LARGEST_BODY:
            raise OSError(f"the answer is larger than {LARGEST_BODY} bytes")
    return bytes(content)


def _leave_time(until: float) -> float:
    """Return the seconds that are left for a call. Raises TimeoutError if there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left for the call")
    return left


def _not_sent(error: InvestmentAPIError) -> InvestmentAPIError:
    error.was_sent = False
    return error


# What happened to a connection, in place of Python's own sentences; the first that fits.
_CONNECTION: Mapping[type[BaseException], str] = {
    http.client.RemoteDisconnected: "the connection was closed before an answer came",
    http.client.IncompleteRead: "the connection was closed in the middle of the answer",
    ConnectionRefusedError: "the connection was refused",
    ConnectionResetError: "the connection was reset",
    BrokenPipeError: "the connection broke while the request was sent",
}


def _reason(error: Exception) -> str:
    """Return what really happened, from under the layers of the libraries."""
    root: BaseException = error
    while isinstance(inner := root.__cause__ or root.__context__, _OF_LIBRARIES):
        root = inner
    if isinstance(root, TimeoutError):
        is_connecting = isinstance(error, requests.ConnectTimeout)
        return "no connection in time" if is_connecting else "no answer in time"
    for kind, words in _CONNECTION.items():
        if isinstance(root, kind):
            return words
    text = str(getattr(root, "strerror", None) or root) or type(root).__name__
    return " ".join(text.split())[:200]


def _ms_since(started: float) -> float:
    return (time.monotonic() - started) * 1000
