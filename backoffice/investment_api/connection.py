"""Connections that keep the deadline of a call, however slowly the other side sends.

The read timeout of ``requests`` starts anew with every byte, and covers neither a status line nor
headers that trickle in. Here each read of the socket is given no more than what is left.
"""

import http.client
import io
import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_call = threading.local()  # what this thread is waiting for, and how long


def new_session(url: str, *, is_local: bool) -> requests.Session:
    """Return a session for one thread and the host of ``url``, without the library's retries.

    Authorities and proxies are taken from the environment, once; no proxy for this machine.
    """
    session = requests.Session()
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.verify = found["verify"] or True
    session.proxies = {} if is_local else dict(found["proxies"])
    session.trust_env = False
    adapter = _Adapter(max_retries=0, pool_connections=1, pool_maxsize=1)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def keep_deadline(until: float, *, longest_silence: float) -> None:
    """Let this thread's next reads end at ``until`` (monotonic), or after so many silent seconds."""
    _call.until, _call.longest_silence = until, longest_silence


class _BoundedReader(io.RawIOBase):
    """The receiving side of a socket."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _call.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._sock.settimeout(min(left, _call.longest_silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedReader(sock, self.fp.detach()))


class _HTTPConnection(HTTPConnection):
    response_class = _BoundedResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _bound(super().proxy_manager_for(*args, **kwargs))


def _bound(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager
