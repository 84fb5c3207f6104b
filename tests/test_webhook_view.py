"""What the webhook answers, and that nothing but a good signature decides it."""

import io
import logging
import socket
import weakref

import pytest
from django.db import OperationalError, connection
from django.urls import resolve
from django.utils import timezone

from backoffice import doorbell
from backoffice.celery import app
from orders import projection
from orders.models import JournalEntry
from orders.tasks import drain
from tests.signed import PATH, envelope, headers_for, post, publish, sample
from webhooks import reading, refusals
from webhooks.models import Delivery, Verdict

EVENT = sample("webhook.single_event")["payload"][0]
BODY = envelope(EVENT)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keys():
    publish()


def stored():
    """Return what the inbox made of each delivery, once it was read."""
    reading.read_next(now=timezone.now())
    return [(row.verdict, row.events) for row in Delivery.objects.order_by("pk")]


def post_stream(client, stream, *, headers, **environ):
    """Post what ``stream`` gives, whatever the headers say about its length."""
    length = headers.get("content-length", "")
    environ = {"wsgi.input": stream, "CONTENT_LENGTH": length} | environ
    return client.generic("POST", PATH, b"", "application/json", headers=headers, **environ)


def fail_with(error):
    def execute(*args):
        raise error

    return connection.execute_wrapper(execute)


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_a_signed_delivery_is_stored_and_answered_200_with_and_without_the_slash(client, path):
    answer = post(client, BODY, path=path)

    assert answer.status_code == 200
    assert stored() == [(Verdict.ACCEPTED, 1)]
    assert JournalEntry.objects.get().delivery_id == Delivery.objects.get().pk


def test_a_delivery_keeps_its_evidence(client):
    post(client, BODY, created=1795300000)

    kept = Delivery.objects.get()
    assert bytes(kept.body or b"") == BODY
    assert kept.signed_at is not None
    assert int(kept.signed_at.timestamp()) == 1795300000
    assert kept.headers["digest"].startswith("SHA-256=")
    assert kept.headers["signature-input"].startswith("sig1=(")


@pytest.mark.parametrize("body", [b"nonsense", b"[" * 100_000, b'{"payload": 1}'])
def test_a_signed_body_that_cannot_be_read_is_kept_and_answered_200(client, body):
    assert post(client, body).status_code == 200
    assert stored() == [(Verdict.UNREADABLE, 0)]


def test_a_signed_request_without_a_body_is_kept_and_answered_200(client):
    assert post(client, b"").status_code == 200
    assert stored() == [(Verdict.UNREADABLE, 0)]


def test_no_redirect_host_check_or_csrf_check_reaches_a_delivery(settings, client):
    settings.SECURE_SSL_REDIRECT = True
    settings.APPEND_SLASH = True
    settings.ALLOWED_HOSTS = ["desk.example.com"]
    client.handler.enforce_csrf_checks = True

    headers = headers_for(BODY) | {"host": "elsewhere.example"}

    assert post(client, BODY, headers=headers).status_code == 200


def test_a_request_never_runs_in_a_transaction_of_its_own():
    assert vars(resolve(PATH).func)["_non_atomic_requests"] == {"default"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
def test_another_method_is_answered_405(client, method):
    answer = client.generic(method, PATH, BODY, "application/json", headers=headers_for(BODY))

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert stored() == []


def unread(client, **headers):
    """Send a request whose body cannot be read; return the answer."""
    return post_stream(
        client, BrokenStream(), headers={"content-length": "1000", **headers}, CONTENT_LENGTH="1000"
    )


def test_an_unsigned_delivery_is_answered_401_before_its_body_is_read_and_without_the_database(
    client, django_assert_num_queries
):
    with django_assert_num_queries(0):
        answer = unread(client)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Signature")
    assert stored() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signature-input": ""}, "the header signature-input cannot be read"),
        ({"signature-input": "sig1=()"}, "the signature names no key"),
        ({"signature-input": 'sig1=();keyid="stranger"'}, "the key stranger is not known"),
        ({"signature": None}, "the header signature is missing"),
        ({"signature-input": None}, "the header signature-input is missing"),
    ],
)
def test_what_names_no_signature_by_a_known_key_is_refused_before_its_body_is_read(
    client, change, reason
):
    headers = {
        name: value for name, value in (headers_for(BODY) | change).items() if value is not None
    }

    assert unread(client, **headers).status_code == 401
    assert Delivery.objects.get().reason == reason


def test_refusals_beyond_sixty_a_minute_are_not_stored_and_cost_no_query(
    client, django_assert_num_queries
):
    headers = headers_for(BODY, key_id="stranger")
    for _ in range(refusals.MOST_KEPT):
        assert unread(client, **headers).status_code == 401

    with django_assert_num_queries(0):
        assert unread(client, **headers).status_code == 401
    assert len(stored()) == refusals.MOST_KEPT


def test_other_processes_count_too_where_refusals_are_counted(client):
    for _ in range(2):
        refusals.rows.forget()  # as another process
        for _ in range(refusals.MOST_KEPT):
            unread(client, **headers_for(BODY, key_id="stranger"))

    assert len(stored()) == refusals.MOST_KEPT


def test_a_refusal_does_not_tell_the_sender_why(client):
    answer = post(client, BODY, headers=headers_for(BODY) | {"digest": "SHA-256=AAAA"})

    assert answer.status_code == 401
    assert "digest" not in answer.text
    assert "digest" in Delivery.objects.get().reason


def test_a_refusal_that_cannot_be_recorded_is_401_all_the_same(client):
    with fail_with(OperationalError("no space left")):
        assert post(client, BODY, key_id="stranger").status_code == 401


@pytest.mark.parametrize("content_type", ["text/html", "multipart/form-data; boundary=x"])
def test_a_form_or_page_without_a_signature_is_answered_415(client, content_type):
    assert client.generic("POST", PATH, b"x", content_type).status_code == 415
    assert stored() == []


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "application/json; charset=latin-1; x=y", "text/html", "\u00e9"],
)
def test_a_signed_delivery_is_never_lost_to_its_content_type(client, content_type):
    assert post(client, BODY, content_type=content_type).status_code == 200


@pytest.mark.parametrize("accept", ["application/pdf", "text/html", "*/*;q=0", "\u00e9"])
def test_answers_are_small_json_whatever_the_sender_accepts(client, accept):
    unsigned = client.post(PATH, BODY, "application/json", headers={"accept": accept})
    signed = post(client, BODY, accept=accept)

    assert (unsigned.status_code, signed.status_code) == (401, 200)
    assert unsigned.json() == {"detail": "The request is not signed by a known key."}
    assert signed.json() == {"status": "stored"}


@pytest.mark.parametrize("query", ["format=xml", "a=%2F&a=b+c", "x"])
def test_a_query_is_verified_and_changes_no_answer(client, query):
    headers = headers_for(BODY, query=query)

    assert post(client, BODY, path=f"{PATH}?{query}", headers=headers).status_code == 200
    assert post(client, BODY, path=f"{PATH}?{query}&more", headers=headers).status_code == 401


def test_a_path_is_verified_as_it_was_sent_not_as_it_was_decoded(client):
    sent = "/webhooks/investment%2Dapi"
    headers = headers_for(BODY, path=sent)

    def answer(**environ):
        stream = io.BytesIO(BODY)
        return post_stream(client, stream, headers=headers, **environ).status_code

    assert answer(RAW_URI=f"{sent}?") == 200
    assert answer(RAW_URI=f"https://desk.example.com{sent}") == 200
    assert answer() == 401


def test_a_body_longer_than_the_limit_is_answered_413_without_being_read(settings, client):
    settings.WEBHOOK_MAX_BODY_BYTES = len(BODY)
    assert post(client, BODY).status_code == 200

    settings.WEBHOOK_MAX_BODY_BYTES = len(BODY) - 1
    unread = io.BytesIO(BODY)
    answer = post_stream(client, unread, headers=headers_for(BODY))
    assert (answer.status_code, unread.tell()) == (413, 0)
    assert len(stored()) == 1


def test_a_body_in_chunks_is_read_to_its_end(settings, client):
    settings.WEBHOOK_MAX_BODY_BYTES = len(BODY)
    headers, chunks = headers_for(BODY, chunked=True), {"wsgi.input_terminated": True}

    answer = post_stream(client, io.BytesIO(BODY), headers=headers, **chunks)

    assert answer.status_code == 200
    assert stored() == [(Verdict.ACCEPTED, 1)]


def test_a_body_in_chunks_is_not_read_beyond_the_limit(settings, client):
    settings.WEBHOOK_MAX_BODY_BYTES = 100
    headers, chunks = headers_for(BODY, chunked=True), {"wsgi.input_terminated": True}
    stream = io.BytesIO(BODY)

    answer = post_stream(client, stream, headers=headers, **chunks)

    assert (answer.status_code, stream.tell()) == (413, 101)


def test_a_body_that_ends_too_early_is_answered_503_and_is_no_refusal(client):
    answer = post_stream(client, io.BytesIO(BODY[:-5]), headers=headers_for(BODY))

    assert (answer.status_code, stored()) == (503, [])


class BrokenStream(io.BytesIO):
    def read(self, size=-1):
        raise ConnectionResetError("the sender hung up")


def test_a_connection_that_breaks_is_answered_503_and_is_no_refusal(client):
    answer = post_stream(client, BrokenStream(), headers=headers_for(BODY))

    assert (answer.status_code, stored()) == (503, [])


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_cannot_be_stored_now_is_answered_503_with_a_time_to_come_back(
    client, caplog
):
    with fail_with(OperationalError("the database is starting up")):
        answer = post(client, BODY)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "the database is starting up" in caplog.text
    assert post(client, BODY).status_code == 200


def test_an_error_that_nobody_expected_is_answered_503_and_logged_with_its_traceback(
    client, caplog
):
    with fail_with(RuntimeError("a bug")), caplog.at_level(logging.ERROR):
        answer = post(client, BODY)

    assert answer.status_code == 503
    assert any(record.exc_info and "a bug" in str(record.exc_info[1]) for record in caplog.records)


@pytest.fixture
def dead_broker(monkeypatch):
    """A Redis that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
    connect = app.connection_for_write
    monkeypatch.setattr(app, "connection_for_write", lambda **kw: connect(url, **kw))
    monkeypatch.setattr(doorbell, "breaker", doorbell.Breaker())
    doorbell._hang_up()
    yield
    doorbell._hang_up()


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_changes_nothing_about_the_answer(client, dead_broker, caplog):
    assert post(client, BODY).status_code == 200
    assert stored() == [(Verdict.ACCEPTED, 1)]
    assert doorbell.breaker.is_open()


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_rung_for_once_the_delivery_is_committed(client):
    with app.connection_for_read() as broker, broker.SimpleQueue("order-desk") as queue:
        queue.clear()
        doorbell.answer(drain)
        assert post(client, BODY).status_code == 200

        assert queue.get(timeout=2).headers["task"] == "orders.tasks.drain"


def test_nobody_is_rung_for_before_the_commit(client, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        post(client, BODY)

    assert len(callbacks) == 1


def test_a_process_holds_the_bodies_of_few_deliveries_however_many_come(client):
    projection.drain(now=timezone.now())  # which looks for cycles less often, while it lasts

    requests = [weakref.ref(post(client, BODY).wsgi_request) for _ in range(200)]

    assert sum(request() is not None for request in requests) < 100
