import socket

import pytest
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from backoffice import health
from orders import pulse
from tests import redis_servers
from tests.redis_servers import needs_redis_server

TOKEN = "a token for the scraper"


@pytest.fixture
def frozen_broker(settings):
    """Return the address of a broker that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        yield settings.REDIS_URL


def test_a_process_is_alive_without_a_database(client):
    response = client.get("/health/live")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_a_process_is_ready_with_database_migrations_and_a_worker(client, db):
    pulse.note(now=timezone.now())

    response = client.get("/health/ready")

    assert response.status_code == 200
    asked = ("status", "database", "broker", "feed", "events", "asks", "worker", "clock")
    assert response.json() == dict.fromkeys(asked, "ok")


def test_a_process_without_its_migrations_is_not_ready(client, db):
    MigrationRecorder.Migration.objects.filter(app="axes").delete()

    response = client.get("/health/ready")

    assert response.status_code == 503
    assert "migrations are not applied" in response.json()["database"]


def test_a_process_without_its_database_is_not_ready_and_tells_no_address(client, monkeypatch):
    def refuse():
        raise OperationalError("connection to db.example.com failed")

    monkeypatch.setattr(health, "_ask_database", refuse)

    response = client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["database"] == "does not answer"


def test_a_frozen_broker_is_named_but_deliveries_are_still_taken(client, db, frozen_broker):
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["broker"] == "does not answer"


@needs_redis_server
def test_a_broker_that_answers_and_takes_no_writes_is_named(client, db, settings, tmp_path):
    with redis_servers.running(tmp_path) as server:
        settings.REDIS_URL = server.url
        assert client.get("/health/ready").json()["broker"] == "ok"

        server.fill()

        assert client.get("/health/ready").json()["broker"] == "answers, but takes no writes"


HOSTS = ["127.0.0.1:8000", "localhost", "desk.example.com"]  # nginx sends the first by itself


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-For": "203.0.113.9"}])
def test_without_a_token_nobody_reads_the_metrics_for_a_proxy_on_this_machine_is_local_too(
    client, host, forwarded
):
    response = client.get("/metrics", headers={"host": host, **forwarded})

    assert response.status_code == 401
    assert response.text == "metrics need METRICS_TOKEN to be set\n"


@pytest.mark.django_db
def test_in_development_the_metrics_are_for_loopback(client, settings):
    settings.LENIENT = True

    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 401


@pytest.mark.parametrize(
    ("header", "status"),
    [(f"Bearer {TOKEN}", 200), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), ("", 401)],
)
@pytest.mark.django_db
def test_with_a_token_only_its_bearer_reads_the_metrics(client, settings, header, status):
    settings.METRICS_TOKEN = TOKEN

    response = client.get("/metrics", headers={"Authorization": header}, REMOTE_ADDR="10.0.0.7")

    assert response.status_code == status


@pytest.mark.django_db
def test_metrics_are_in_the_format_of_prometheus(client, scraper):
    response = scraper.get("/metrics")

    assert response["Content-Type"].startswith("text/plain")
    assert b"# TYPE python_info gauge" in response.content


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_nothing_here_can_be_posted_to_or_cached(client, db, path):
    assert client.post(path).status_code == 405
    assert "no-store" in client.get(path)["Cache-Control"]
