import socket

import pytest
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder

from backoffice import health

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


def test_a_process_is_ready_with_database_and_migrations(client, db):
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", "broker": "ok", "feed": "ok"}


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
    assert response.json()["database"] == "OperationalError: no answer"


def test_a_frozen_broker_is_named_but_deliveries_are_still_taken(client, db, frozen_broker):
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["broker"] == "TimeoutError: no answer"


@pytest.mark.django_db
def test_metrics_are_for_loopback_where_no_token_is_set(client):
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 401


def test_a_proxy_on_this_machine_does_not_open_the_metrics(client):
    response = client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})

    assert response.status_code == 401


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
def test_metrics_are_in_the_format_of_prometheus(client):
    response = client.get("/metrics")

    assert response["Content-Type"].startswith("text/plain")
    assert b"# TYPE python_info gauge" in response.content


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_nothing_here_can_be_posted_to_or_cached(client, db, path):
    assert client.post(path).status_code == 405
    assert "no-store" in client.get(path)["Cache-Control"]
