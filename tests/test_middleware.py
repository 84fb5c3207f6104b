import logging

import pytest
from django.http import HttpResponse

from backoffice import log
from backoffice.middleware import OPEN_PATHS, OpenPathMiddleware, RequestIdMiddleware

CALLED_FROM_MACHINES = sorted(OPEN_PATHS | {f"{path}/" for path in OPEN_PATHS})


@pytest.fixture
def production(settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["desk.example.com"]


def must_not_be_called(_request):
    raise AssertionError("an open path reached the further middleware")


@pytest.mark.parametrize("path", CALLED_FROM_MACHINES)
def test_neither_redirect_nor_host_check_reaches_an_open_path(client, db, production, path):
    response = client.get(path, headers={"host": "10.0.0.7"})

    assert response.status_code not in {301, 302, 400}


def test_every_other_path_is_redirected_to_https(client, production):
    response = client.get("/admin/", headers={"host": "desk.example.com"})

    assert response.status_code == 301
    assert response["Location"] == "https://desk.example.com/admin/"


def test_an_open_path_skips_all_further_middleware(rf):
    middleware = OpenPathMiddleware(must_not_be_called)

    assert middleware(rf.get("/health/live")).status_code == 200


def test_the_root_leads_to_the_admin(client):
    assert client.get("/")["Location"] == "/admin/"


def test_every_page_forbids_what_does_not_come_from_here(client, db):
    policy = client.get("/admin/login/")["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "nonce" not in policy


def test_a_sound_request_id_of_the_caller_is_kept_and_sent_back(client):
    response = client.get("/health/live", headers={"X-Request-ID": "abc-123"})

    assert response["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "ünsound"])
def test_an_unsound_request_id_is_replaced(client, sent):
    response = client.get("/health/live", headers={"X-Request-ID": sent})

    assert len(response["X-Request-ID"]) == 32


def test_a_record_is_one_line_with_the_id_of_its_request(rf):
    lines = []

    def view(_request):
        record = logging.LogRecord("desk", logging.INFO, "", 0, "two\nlines", (), None)
        lines.append(log.LineFormatter().format(record))
        return HttpResponse()

    RequestIdMiddleware(view)(rf.get("/", headers={"X-Request-ID": "abc-123"}))

    assert lines[0].endswith("INFO desk [abc-123] two\\nlines")


def test_the_id_does_not_outlive_its_request(client):
    client.get("/health/live", headers={"X-Request-ID": "abc-123"})

    assert log.request_id.get() == log.NO_REQUEST
