"""One reading of REDIS_URL for all who use it, tried with real servers in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backoffice import redis_address
from tests import workers
from tests.processes import free_port, wait_until
from tests.redis_servers import certificates, needs_redis_server, running
from tests.test_settings import environment

ROOT = Path(__file__).resolve().parent.parent
USED = """
import django, uuid
django.setup()
from datetime import timedelta
from django.conf import settings
from django.core.cache import cache
from backoffice import doorbell, health
from backoffice.celery import app
from backoffice.investment_api.budget import Budget, Urgency
from orders import tasks
cache.set("a", "cached", 60)
shared = Budget(2, redis_url=settings.REDIS_URL, name=uuid.uuid4().hex)
shared.take(Urgency.PERSON, timeout=timedelta())
assert doorbell.ring(tasks.drain), "not rung"
with app.connection_for_read() as connection:
    taken = connection.SimpleQueue("order-desk").get(timeout=5)
    uri = connection.as_uri()
print(cache.get("a"), shared._shared_log.look() is not None, health._ask_broker() or "ready",
      taken.headers["task"], uri)
"""


def use(url):
    """Have a process use the Redis at ``url`` as cache, budget, broker, and for its readiness."""
    environment = {
        "PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        "REDIS_URL": url, "DEBUG": "1", "DATABASE_URL": "sqlite:///:memory:",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", USED], env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def is_used(url):
    done = use(url)
    assert done.returncode == 0, done.stderr
    return done.stdout.startswith("cached True ready orders.tasks.drain ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="module")
def server(folder):
    """A Redis with a password, on a port and on a Unix socket with an awkward name."""
    options = ["--unixsocket", str(folder / "a socket;1.sock"), "--requirepass", "pass/w%rd"]
    with running(folder, *options) as server:
        yield server


@pytest.fixture(scope="module")
def tls(folder):
    """The port where a Redis speaks TLS; its certificate is of an authority that no system trusts."""
    port = free_port()
    with running(folder, *certificates(folder), "--tls-port", str(port)):
        yield port


@needs_redis_server
@pytest.mark.parametrize(
    "options",
    [
        "",
        "?health_check_interval=30&socket_keepalive=true&client_name=order-desk",
    ],
)
def test_a_port_with_password_database_and_options_is_served_everywhere(server, options):
    assert is_used(f"redis://default:pass%2Fw%25rd@127.0.0.1:{server.port}/3{options}")


@needs_redis_server
@pytest.mark.parametrize("options", ["?db=2&health_check_interval=30", ""])
def test_a_unix_socket_is_served_everywhere(server, folder, options):
    path = f"{folder}/a%20socket%3B1.sock"

    assert is_used(f"unix://:pass%2Fw%25rd@{path}{options}")
    glue = "&" if options else "?"
    assert is_used(f"unix://{path}{options}{glue}password=pass%2Fw%25rd")


@needs_redis_server
def test_no_log_line_of_the_broker_shows_the_password(server, folder):
    for url in (
        f"redis://:pass%2Fw%25rd@127.0.0.1:{server.port}/0",
        f"unix://:pass%2Fw%25rd@{folder}/a%20socket%3B1.sock",
    ):
        done = use(url)
        assert done.returncode == 0
        assert "pass" not in done.stdout + done.stderr
        assert "pass" not in repr(redis_address.read(url))


@needs_redis_server
@pytest.mark.parametrize("word", ["", "&ssl_cert_reqs=CERT_REQUIRED"])
def test_tls_with_a_known_authority_is_served_everywhere(tls, folder, word):
    assert is_used(f"rediss://localhost:{tls}/1?ssl_ca_certs={folder}/ca.pem{word}")


@needs_redis_server
def test_a_certificate_of_an_unknown_authority_is_believed_by_nobody(tls):
    done = use(f"rediss://localhost:{tls}/1")

    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@needs_redis_server
@pytest.mark.parametrize("reader", ["cache.get('a')", "app.connection_for_read().connect()"])
def test_each_reader_by_itself_verifies_the_certificate(tls, reader):
    program = (
        "import django; django.setup()\n"
        "from django.core.cache import cache\n"
        f"from backoffice.celery import app\n{reader}"
    )
    environment = {
        "PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "backoffice.settings", "DEBUG": "1",
        "REDIS_URL": f"rediss://localhost:{tls}/1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@needs_redis_server
def test_who_says_so_verifies_nothing_or_not_the_name(tls, folder):
    assert is_used(f"rediss://localhost:{tls}/1?ssl_cert_reqs=none")
    ca = f"ssl_ca_certs={folder}/ca.pem"
    assert use(f"rediss://127.0.0.1:{tls}/1?{ca}").returncode != 0
    assert is_used(f"rediss://127.0.0.1:{tls}/1?{ca}&ssl_check_hostname=false")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://h:port/0", "is not like redis://host:6379/0"),
        ("sentinel://h", "is not like redis://host:6379/0"),
        ("redis+socket:///run/x.sock", "is not like redis://host:6379/0"),
        ("redis://h,k/0", "does not name one host"),
        ("redis://h /0", "does not name one host"),
        ("redis://h/orders", "does not name its database by a number"),
        ("redis://h/1?db=2", "names two databases"),
        ("redis://h?db", "has options that are not like name=value"),
        ("redis://h?db=1&db=1", "has the option 'db' twice"),
        ("redis://h?socket_timeout=9", "has the option 'socket_timeout', which is not served"),
        ("redis://h?protocol=3", "has the option 'protocol', which is not served"),
        ("redis://h?health_check_interval=often", "'health_check_interval' that is no whole number"),
        ("redis://h?ssl_cert_reqs=none", "'ssl_cert_reqs', which is for rediss:// only"),
        ("rediss://h?ssl_cert_reqs=maybe", "'ssl_cert_reqs' that is none of required, optional, none"),
        ("rediss://h?ssl_ca_certs=/no/such", "'ssl_ca_certs' that names no file that can be read"),
        ("rediss://h?ssl_check_hostname=perhaps", "'ssl_check_hostname' that is neither"),
        ("unix://run/redis.sock", "is not like unix:///run/redis/redis.sock"),
        ("unix://", "is not like unix:///run/redis/redis.sock"),
        ("redis://:a@h?password=b", "gives a password twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_name(url, reason):
    variables = environment(REDIS_URL=url)

    assert variables.redis("REDIS_URL") == ""
    [problem] = variables.problems
    assert problem.startswith("REDIS_URL ")
    assert reason in problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@h:port/0", "redis://:hunter2/@h", "redis://:hunter2#@h", "redis://:hun?ter2@h",
        "redis://:1/hunter2@h", "redis://h?hunter2", "redis://:hunter2[@h",
        "redis://:x@h?password=hunter2", "redis://:hunter2@h?nothing=1", "redis://:7?hunter2=@h",
    ],
)  # fmt: skip
def test_no_refusal_shows_the_password(url):
    variables = environment(REDIS_URL=url)
    variables.redis("REDIS_URL")

    [problem] = variables.problems
    assert "hunter2" not in problem
    assert "ter2" not in problem


@needs_redis_server
@pytest.mark.parametrize("kind", ["socket", "tls"])
def test_a_worker_runs_tasks_over_a_unix_socket_and_over_tls(kind, server, tls, folder, tmp_path):
    url = (
        f"unix://:pass%2Fw%25rd@{folder}/a%20socket%3B1.sock?health_check_interval=30"
        if kind == "socket"
        else f"rediss://localhost:{tls}/0?ssl_ca_certs={folder}/ca.pem"
    )
    variables = workers.environment(tmp_path, url)
    with workers.worker(tmp_path, variables) as process:
        call = [*workers.CELERY, "call", "orders.tasks.drain"]
        subprocess.run(call, env=variables, cwd=ROOT, check=True, capture_output=True)
        wait_until(
            lambda: "Task orders.tasks.drain" in process.log() and "succeeded" in process.log(),
            seconds=60,
            told=process.log,
        )
