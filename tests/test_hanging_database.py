"""A database that hangs: everybody is told so soon, the process stays alive, and all is well after."""

import json
import shutil
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.core.cache.backends.redis import RedisCache

from backoffice.http_signatures import jwk_from_public_key
from tests import servers
from tests.processes import Installation, database, wait_until
from tests.signed import KEY, KEY_ID, PATH, envelope, headers_for, sample
from webhooks.key_set import CACHED_SET

BODY = envelope(sample("webhook.single_event")["payload"][0])
ALIVE, NAMED, REFUSED, WELL = 1, 3, 6, 5  # seconds: the longest that each may take
ROUNDS = 8  # seconds of asking whether it is alive, longer than anything may hang

pytestmark = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="there is no redis-server here"
)


class Desk(Installation):
    """One web process with eight threads, and what a proxy and upstream ask of it."""

    def __init__(self, folder, database_url):
        super().__init__(folder, database_url)
        self.web.command = [
            sys.executable, "-m", "gunicorn", "backoffice.wsgi", "--threads=8",
            f"--bind={urlsplit(self.web_url).netloc}", "--access-logfile=-",
            "--access-logformat=%(U)s %(s)s %(L)s",
        ]  # fmt: skip

    def begin(self):
        """Start, with upstream's key in the cache."""
        self.redis.start()
        keys = [jwk_from_public_key(KEY_ID, KEY.public_key())]
        held = json.dumps({"keys": keys, "fetched_at": time.time()})
        cache = RedisCache(f"redis://127.0.0.1:{self._redis_port}/0", {"KEY_PREFIX": "order-desk"})
        wait_until(lambda: _is_set(cache, held), seconds=20)
        self.start_web()

    def start_web(self):
        """Start the web process and let each of its threads serve something."""
        self.web.start()
        wait_until(self.is_up, seconds=60, told=self.web.log)
        wait_until(lambda: self.deliver()[0] == 200, seconds=20, told=self.web.log)

    def ask(self, method, path, body=None, headers=None):
        """Return status, text and seconds of one request on a connection of its own."""
        began = time.monotonic()
        connection = HTTPConnection(urlsplit(self.web_url).netloc, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), time.monotonic() - began
        finally:
            connection.close()

    def deliver(self):
        """Deliver one event."""
        return self.ask("POST", PATH, BODY, headers_for(BODY))

    def see_it_hang(self):
        """Ask for all at once, as a busy minute does, and check what is promised of a hang."""
        page = {"Cookie": "sessionid=abcdefghijklmnopqrstuvwxyz012345", "Host": "desk.example.com"}
        page["X-Forwarded-Proto"] = "https"
        with ThreadPoolExecutor(40) as pool:
            until = time.monotonic() + ROUNDS
            ready = [pool.submit(self.ask, "GET", "/health/ready") for _ in range(8)]
            deliveries = [pool.submit(self.deliver) for _ in range(8)]
            pages = [pool.submit(self.ask, "GET", "/admin/", None, page) for _ in range(8)]
            slow = 0
            while time.monotonic() < until:
                status, text, seconds = self.ask("GET", "/health/live")
                # One that is slow is the machine of the test; of a process that hangs all are.
                slow = slow + 1 if seconds >= ALIVE else 0
                assert (status, slow < 2) == (200, True), f"alive: {status} {seconds} {text}"
                time.sleep(0.1)
                deliveries.append(pool.submit(self.deliver))
            for status, text, seconds in (it.result() for it in ready):
                assert (status, seconds < NAMED) == (503, True), f"ready: {status} {seconds} {text}"
                assert json.loads(text)["database"] not in {"ok", "not known"}, text
            for status, _, seconds in (it.result() for it in deliveries):
                assert (status, seconds < REFUSED) == (503, True), f"delivery: {status} {seconds}"
            return pages

    def is_well(self):
        """Return whether deliveries and readiness are answered as on any day."""
        return self.deliver()[0] == 200 and self.ask("GET", "/health/ready")[0] == 200


def _is_set(cache, held):
    try:
        cache.set(CACHED_SET, held, None)
    except redis.ConnectionError:
        return False
    return True


@pytest.fixture(scope="module")
def server():
    if not servers.is_at_hand():
        pytest.skip("there is no PostgreSQL here to start")
    with servers.PostgreSQL() as server:
        yield server


@pytest.fixture(scope="module")
def desk(server, tmp_path_factory):
    with database(server.url) as url, Desk(tmp_path_factory.mktemp("desk"), url) as desk:
        desk.begin()
        yield desk


@contextmanager
def held(url, *statements):
    """Execute ``statements`` in a transaction that is left open."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
        yield
        connection.rollback()


def test_while_the_server_is_frozen_all_are_told_soon_and_all_is_well_after(desk, server):
    server.freeze()
    try:
        pages = desk.see_it_hang()
    finally:
        server.thaw()
    wait_until(desk.is_well, seconds=WELL, told=desk.web.log)

    assert {page.result(timeout=30)[0] for page in pages} == {503}


def test_while_the_table_of_deliveries_is_locked_all_are_told_soon_and_all_is_well_after(desk):
    with held(desk._database_url, "LOCK TABLE webhooks_delivery IN ACCESS EXCLUSIVE MODE"):
        desk.see_it_hang()
    wait_until(desk.is_well, seconds=WELL, told=desk.web.log)


def test_while_a_change_of_a_table_waits_for_a_reader_all_are_told_soon_and_all_is_well_after(desk):
    reader, waiting = "SELECT count(*) FROM webhooks_delivery", threading.Event()

    def change():
        waiting.set()
        with psycopg.connect(desk._database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE webhooks_delivery ALTER COLUMN size SET DEFAULT 0")

    with ThreadPoolExecutor(1) as pool:
        with held(desk._database_url, reader):
            changed = pool.submit(change)
            waiting.wait(10)
            wait_until(lambda: desk.deliver()[0] == 503, seconds=10, told=desk.web.log)
            desk.see_it_hang()
        changed.result(10)
    wait_until(desk.is_well, seconds=WELL, told=desk.web.log)


def test_a_process_that_starts_while_the_server_is_frozen_says_so_and_is_well_after(desk, server):
    desk.web.kill()
    server.freeze()
    try:
        desk.web.start()
        wait_until(desk.is_up, seconds=60, told=desk.web.log)
        desk.see_it_hang()
    finally:
        server.thaw()
    wait_until(desk.is_well, seconds=WELL, told=desk.web.log)


def test_the_server_is_told_the_role_and_the_process_of_each_connection(desk):
    desk.deliver()

    names = {row["application_name"] for row in desk.rows("SELECT * FROM pg_stat_activity")}

    assert "order-desk web delivery" in names


def test_while_sqlite_is_locked_all_are_told_soon_and_all_is_well_after(tmp_path):
    file = tmp_path / "desk.sqlite3"
    with SQLiteDesk(tmp_path, f"sqlite:///{file}") as desk:
        desk.begin()
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        desk.see_it_hang()
        connection.execute("ROLLBACK")
        connection.close()
        wait_until(desk.is_well, seconds=WELL, told=desk.web.log)


class SQLiteDesk(Desk):
    def __enter__(self):
        self.manage("migrate", "--verbosity=0")
        self._connection: Any = sqlite3.connect(":memory:")  # to be closed like the other
        return self
