"""gunicorn as in production, on a database of its own, and strangers at its door."""

import os
import socket
import sys
import time
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backoffice.sandbox import Sandbox
from tests.processes import ROOT, Process, answers, free_port, wait_until
from tests.signed import PATH, headers_for

OWN = ec.generate_private_key(ec.SECP521R1())


class Upstream(Sandbox):
    """The stand-in, which counts how often its keys are fetched, and takes its time over it."""

    fetches = 0
    seconds = 0.0

    def answer(self, message):
        """Answer one request."""
        if message.path.endswith("/auth/verify_keys"):
            self.fetches += 1
            time.sleep(self.seconds)
        return super().answer(message)


class Door:
    """A web process, or several, and the stand-in that they fetch the keys from; a context."""

    def __init__(self, folder, *, workers=1, threads=8, redis_url="", **settings):
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        client_id, key_id = str(uuid4()), str(uuid4())
        self.sandbox = Upstream(
            client_id=client_id, client_secret="a secret", client_key_id=key_id,
            client_public_key=OWN.public_key(), oddities=0,
        )  # fmt: skip
        pem = OWN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        upstream_url = self.sandbox.serve()
        self.upstream = urlsplit(upstream_url).netloc
        environment = {
            "PATH": os.environ["PATH"],
            "SECRET_KEY": "of a desk that lives for one test, long enough for every check of its length",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "0",
            "DATABASE_URL": f"sqlite:///{folder / 'door.sqlite3'}",
            "REDIS_URL": redis_url,
            "DEBUG": "" if redis_url else "1",  # lenient: a process alone needs no broker
            "INVESTMENT_API_URL": upstream_url,
            "INVESTMENT_API_CLIENT_ID": client_id,
            "INVESTMENT_API_CLIENT_SECRET": "a secret",
            "INVESTMENT_API_KEY_ID": key_id,
            "INVESTMENT_API_PRIVATE_KEY": pem,
            **settings,
        }
        python = sys.executable
        self._migrate = Process(
            "migrate", python, "manage.py", "migrate", "--verbosity=0",
            environment=environment, folder=folder,
        )  # fmt: skip
        self.web = Process(
            "web", python, "-m", "gunicorn", "backoffice.wsgi", f"--workers={workers}",
            f"--threads={threads}", f"--bind=127.0.0.1:{self._port}",
            environment=environment, folder=folder, cwd=ROOT,
        )  # fmt: skip

    def __enter__(self):
        self._migrate.start()
        assert self._migrate.wait(120) == 0, self._migrate.log()
        self.web.start()
        wait_until(lambda: answers(f"{self.url}/health/live"), seconds=60, told=self.web.log)
        return self

    def __exit__(self, kind, error, traceback):
        self.web.kill()
        self.sandbox.stop()
        if kind is not None:
            print(self.web.log()[-6000:])  # noqa: T201 -- shown by pytest

    def headers(self, body, **signing):
        """Return the headers of a delivery signed by the key that upstream has now."""
        key_id, key = self.sandbox.keys.current()
        return {"host": "desk", **headers_for(body, **({"key": key, "key_id": key_id} | signing))}

    def connect(self, data=b"", *, receive=0):
        """Return a connection on which ``data`` was sent, and which has ``receive`` bytes of room."""
        sock = socket.socket()
        sock.settimeout(60)
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.connect(("127.0.0.1", self._port))
        sock.sendall(data)
        return sock

    def ask(self, data):
        """Send bytes on a connection of its own; return the status, and the seconds to the answer."""
        start = time.monotonic()
        with self.connect(data) as sock:
            status = status_of(sock)
        return status, time.monotonic() - start

    def deliver(self, body=b'{"payload": []}', **signing):
        """Deliver; return the status and the seconds."""
        return self.ask(request("POST", PATH, self.headers(body, **signing), body))


def request(method, path, headers, body=b"", version="1.1"):
    """Return the bytes of a request."""
    lines = [
        f"{method} {path} HTTP/{version}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status_of(sock):
    """Return the status of the answer that comes next, 0 where the connection ends without one."""
    answer = b""
    with suppress(ConnectionResetError):
        while b"\r\n" not in answer and (part := sock.recv(65536)):
            answer += part
    return int(answer.split(b" ", 2)[1]) if answer else 0


def ended(sock, seconds):
    """Return whether the other side ends the connection within so many seconds."""
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@contextmanager
def strangers(door, data, *, number=8):
    """Have so many connections send ``data`` and then nothing more."""
    socks = [door.connect(data) for _ in range(number)]
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()
