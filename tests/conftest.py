"""The environment and the fixtures that tests share.

Without services: SQLite in a file (threads and WAL as in real life) and the in-memory broker. With
``TEST_DATABASE_URL`` and ``TEST_REDIS_URL``: PostgreSQL and Redis. What the developer's own
environment sets for the product does not count.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import pytest
from django.conf import settings

pytest_plugins = ["tests.browser"]

SERVICES = {"DATABASE_URL": "TEST_DATABASE_URL", "REDIS_URL": "TEST_REDIS_URL"}
OWN_PREFIXES = (
    "INVESTMENT_API_", "PLACING_", "POLL_", "RECONCILE_", "STALE_", "WEBHOOK_",
)  # fmt: skip
OWN_NAMES = {
    "ALLOWED_HOSTS", "APPLY_WITHIN", "ASK_WITHIN", "CLOCK_TOLERANCE", "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL", "DEBUG", "ENVIRONMENT", "ENVIRONMENT_COLOUR", "GAP_GRACE",
    "LATE_AFTER", "MARKET_HOURS", "METRICS_TOKEN", "REDIS_URL", "REQUIRE_SECOND_FACTOR",
    "SECRET_KEY", "SECURE_SSL_REDIRECT", "SWEEP_WITHIN",
    "TIME_ZONE",
}  # fmt: skip


def pytest_configure() -> None:
    """Set the environment before Django reads it, then set Django up."""
    if settings.configured:
        pytest.exit(
            "unset DJANGO_SETTINGS_MODULE: the tests set it with an environment of their own"
        )
    for name in list(os.environ):
        if name.removesuffix("_FILE") in OWN_NAMES or name.startswith(OWN_PREFIXES):
            del os.environ[name]
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        "SECRET_KEY": "a key for tests, long enough for every check of its length",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "REQUIRE_SECOND_FACTOR": "0",
        "SECURE_SSL_REDIRECT": "0",
        "TIME_ZONE": "Europe/Berlin",
        "SESSION_IDLE_MINUTES": "0",  # tests travel in time
    }
    _take_own_redis()
    os.environ |= {
        name: os.environ[test] for name, test in SERVICES.items() if os.environ.get(test)
    }
    # Slow on purpose in real life, and each test that logs in would pay for it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    django.setup()
    _bring_groups_back_after_a_flush()
    _keep_no_log_ins()
    del os.environ["DJANGO_SETTINGS_MODULE"]  # a test process that starts from here comes this way


def _bring_groups_back_after_a_flush() -> None:
    """Let a test with real transactions leave the groups that the migrations made, as it leaves the permissions."""
    from django.apps import apps  # noqa: PLC0415 -- settings come first
    from django.db.models.signals import post_migrate  # noqa: PLC0415

    def make(**_: object) -> None:
        for name, step in (
            ("0002_groups", "make_groups"),
            ("0005_groups_that_write", "extend_groups"),
            ("0012_groups_that_audit", "extend_groups"),
        ):
            getattr(import_module(f"webhooks.migrations.{name}"), step)(apps, None)

    post_migrate.connect(make, sender=apps.get_app_config("webhooks"), weak=False)


def _keep_no_log_ins() -> None:
    """Let the people and groups that tests make leave no entries; tests of that are marked ``audited``."""
    from backoffice import audit  # noqa: PLC0415 -- settings come first

    audit.step_taken.disconnect(dispatch_uid="orders.audited")


def _take_own_redis() -> None:
    """Let each of several test processes have a database of Redis of its own, counted from the one given."""
    url, worker = os.environ.get("TEST_REDIS_URL"), os.environ.get("PYTEST_XDIST_WORKER")
    if url and worker:
        server, _, number = url.rpartition("/")
        os.environ["TEST_REDIS_URL"] = f"{server}/{int(number) + int(worker.removeprefix('gw'))}"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """Keep SQLite's test database in a file: in memory, threads lock each other out at once."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        folder: Path = tmp_path_factory.mktemp("database")
        database["TEST"] = {**database.get("TEST", {}), "NAME": str(folder / "test.sqlite3")}
        # A test's database need not survive a power cut.
        database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"


@pytest.fixture(autouse=True)
def _no_log_ins_in_the_journal(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep no log-in of a test's own people in the journal, but in tests of that: they are marked."""
    from backoffice import audit  # noqa: PLC0415 -- settings come first
    from orders import audited  # noqa: PLC0415

    if request.node.get_closest_marker("audited"):
        audit.step_taken.connect(audited.keep, dispatch_uid="orders.audited")
    yield
    audit.step_taken.disconnect(dispatch_uid="orders.audited")


@pytest.fixture(autouse=True)
def _fresh_installation() -> None:
    """Forget what a process remembers of its database and caches: each test has its own."""
    from django.core.cache import cache  # noqa: PLC0415 -- settings come first

    from orders import clocks  # noqa: PLC0415
    from webhooks import refusals  # noqa: PLC0415

    clocks.forget_first_webhook()
    refusals.rows.forget()
    refusals.notes.forget()
    cache.clear()


@pytest.fixture(autouse=True)
def _rings_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ring before a view answers: else a thread of one test would ring in the next."""
    from backoffice import doorbell  # noqa: PLC0415 -- settings come first

    ring = SimpleNamespace(ring=doorbell.ring_once)
    monkeypatch.setattr(doorbell, "ringer", ring)


@pytest.fixture(autouse=True)
def _database_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database's clock be that of the test, which may travel; the real one is ``Now``."""
    from django.db.models import DateTimeField, Value  # noqa: PLC0415 -- settings come first
    from django.utils import timezone  # noqa: PLC0415

    from orders import pulse  # noqa: PLC0415

    monkeypatch.setattr(
        pulse, "database_now", lambda: Value(timezone.now(), output_field=DateTimeField())
    )


@pytest.fixture
def clocked_cache(settings: Any) -> None:
    """Have a cache that goes by the clock of the test: Redis goes by its own."""
    from django.core.cache import cache  # noqa: PLC0415 -- settings come first

    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()


@pytest.fixture
def scraper(settings: Any) -> Any:
    """Return a client that reads the metrics as a scraper does, with the token."""
    from django.test import Client  # noqa: PLC0415 -- settings come first

    settings.METRICS_TOKEN = "a token for the scraper"
    return Client(headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
