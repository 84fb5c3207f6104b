"""The demo: the real web application, Celery worker and beat as threads of one process.

Only upstream is a stand-in, and it is reached over HTTP with real signatures like the real one.
"""

import contextlib
import fcntl
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from celery.apps.worker import Worker
from celery.beat import EmbeddedService
from celery.exceptions import SecurityWarning
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections

from backoffice.celery import app
from backoffice.sandbox import FaultPlan, Sandbox

FAULTS = FaultPlan(lose=0.006, repeat=0.03, reorder=0.03, delay=0.006)
COLLEAGUE = "maria"  # the second person: what she proposes, another has to approve
PACE = timedelta(seconds=6)  # between two placements
PACE_AFTER = timedelta(minutes=1)  # a demo that is left open keeps moving
WORKER_THREADS = 4


class PortTakenError(OSError):
    """Another process listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


class AlreadyRunningError(RuntimeError):
    """Another demo runs in this folder; the text says where."""


class Demo:
    """A running demo; a context that starts and ends everything.

    ``furnish`` tells the desk what happened before: it is called with the sandbox before that runs.
    """

    user = "demo"
    password = "order-desk"  # noqa: S105 -- for a site on loopback that holds made-up orders

    def __init__(
        self, *, port: int, orders: int, fresh: bool, furnish: Callable[[Sandbox], None]
    ) -> None:
        self._folder = FolderLock(Path(f"{settings.SQLITE}-lock"))
        try:
            self._site = _site(port)
        except OSError:
            self._folder.check()  # that the port is in use is not what matters then
            raise
        self.url = f"http://127.0.0.1:{self._site.server_port}/"
        try:
            self._folder.take(self.url)
        except AlreadyRunningError:
            self._site.server_close()
            raise
        self.first = ""  # the page of an order whose webhooks come late, twice and never
        self._orders = orders
        self._furnish = furnish
        self._ended = threading.Event()
        self._prepare_database(fresh=fresh)
        self._sandbox = self._make_sandbox()
        warnings.filterwarnings("ignore", category=SecurityWarning)  # whoever runs it may be root
        self._worker = Worker(
            app=app, pool="threads", concurrency=WORKER_THREADS, quiet=True, without_mingle=True,
            without_gossip=True, without_heartbeat=True,
        )  # fmt: skip
        self._beat: Any = EmbeddedService(
            app, thread=True, max_interval=1, scheduler_cls="backoffice.beat:Scheduler"
        )  # a thread

    def __enter__(self) -> Self:
        self._furnish(self._sandbox)
        self._sandbox.remember()
        settings.INVESTMENT_API_URL = self._sandbox.serve()
        self._site.set_app(get_wsgi_application())
        for name, target in (
            ("site", self._site.serve_forever),
            ("worker", self._worker.start),
        ):
            threading.Thread(target=target, name=name, daemon=True).start()
        self._beat.start()
        self._subscribe()
        first = self._sandbox.place_for_show()
        self.first = f"{self.url}admin/orders/portfolioorder/{first}/change/"
        self._sandbox.place_steadily(self._orders, every=PACE, then=PACE_AFTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # From the source of events to where they go, so that nothing is cut off half way.
        self._sandbox.stop()
        self._site.shutdown()
        self._site.server_close()
        if self._beat.is_alive():  # one that has died never says that it stopped
            self._beat.stop()
        self._worker.stop()
        connections.close_all()
        self._folder.release()

    def _subscribe(self) -> None:
        """Subscribe and have a test event delivered: from the first webhook on, the desk expects them."""
        settings.WEBHOOK_PUBLIC_URL = f"{self.url}webhooks/investment-api"
        call_command("subscriptions", "ensure", stdout=StringIO())
        self._sandbox.run()  # not before: what happens while nobody subscribes is lost
        while self._sandbox.courier.pending() and not self._ended.wait(0.05):
            pass

    def wait(self) -> None:
        """Return when the process is told to end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._ended.set())
        self._ended.wait()

    def _prepare_database(self, *, fresh: bool) -> None:
        if fresh:
            connections.close_all()  # Django's own checks may have opened the file already
            for suffix in ("", "-wal", "-shm", "-sandbox"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{settings.SQLITE}{suffix}").unlink()
        call_command("migrate", verbosity=0)
        password = make_password(self.password)  # slow on purpose: once for both
        for name, is_superuser in ((self.user, True), (COLLEAGUE, False)):
            staff, _ = get_user_model().objects.get_or_create(
                username=name, defaults={"is_staff": True, "is_superuser": is_superuser}
            )
            staff.password = password
            staff.save()
        staff.groups.add(Group.objects.get(name="Trader"))

    def _make_sandbox(self) -> Sandbox:
        """Make the stand-in and give our client its credentials; keys live in memory only."""
        key = ec.generate_private_key(ec.SECP521R1())
        settings.INVESTMENT_API_CLIENT_ID = str(uuid4())
        settings.INVESTMENT_API_CLIENT_SECRET = str(uuid4())
        settings.INVESTMENT_API_KEY_ID = str(uuid4())
        settings.INVESTMENT_API_PRIVATE_KEY = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        return Sandbox(
            client_id=settings.INVESTMENT_API_CLIENT_ID,
            client_secret=settings.INVESTMENT_API_CLIENT_SECRET,
            client_key_id=settings.INVESTMENT_API_KEY_ID,
            client_public_key=key.public_key(),
            faults=FAULTS,
            memory=Path(f"{settings.SQLITE}-sandbox"),
        )


class FolderLock:
    """A file that one demo at a time holds: two would share one database, each with its own orders.

    The lock is the system's, so that of a demo that crashed is free; the file holds where it runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def check(self) -> None:
        """Raise AlreadyRunningError where another demo holds it; makes no file."""
        if self._path.exists():
            self.take("")
            self.release()

    def take(self, url: str) -> None:
        """Take it for the demo at ``url``. Raises AlreadyRunningError."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = os.read(file, 200).decode(errors="replace").strip()
            os.close(file)
            raise AlreadyRunningError(where) from None
        os.ftruncate(file, 0)
        os.write(file, url.encode())
        self._file = file

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _QuietHandler(WSGIRequestHandler):
    """Serves without a log line for each request: the address and the log-in stay on the screen."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name in the library
        pass


def _site(port: int) -> ThreadedWSGIServer:
    """Take the port first: nothing is touched when another has it, or when it may not be had."""
    with socket.socket() as probe:
        if port and probe.connect_ex(("127.0.0.1", port)) == 0:
            raise PortTakenError(port)
    try:
        return ThreadedWSGIServer(("127.0.0.1", port), _QuietHandler)
    except PermissionError:  # below 1024 on many machines
        raise
    except OSError:
        raise PortTakenError(port) from None
