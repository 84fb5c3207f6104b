"""From signed bytes to rows: what the inbox makes of any body."""

import json
import threading
from bisect import bisect
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backoffice import database
from backoffice.http_signatures import Message, Verified, Version
from backoffice.limits import ROLES
from orders import journal, projection
from orders.models import JournalEntry, Outcome, PortfolioOrder
from tests import stories
from tests.signed import envelope, post, publish, sample
from webhooks import body as bodies
from webhooks import inbox, reading, refusals
from webhooks.models import Delivery, Verdict

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EVENT = sample("webhook.single_event")["payload"][0]
ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")

pytestmark = pytest.mark.django_db


def body_of(delivery):
    """Return the body as it is in the database."""
    return reading.raw_body_of(Delivery.objects.get(pk=delivery.pk))


def store(body, now=NOW, **headers):
    """Store the bytes ``body`` as a delivery whose signature was found good."""
    signature = Verified("a key", NOW, None, "n", ("@method", "@path"), Version.V6, "sig1")
    message = Message("POST", "/", "", headers, body)
    return inbox.receive(message, signature=signature, now=now)


def receive(body, now=NOW, **headers):
    """Store a delivery and read the inbox; return the delivery as it is then."""
    delivery = store(body, now, **headers)
    reading.read_next(now=now)
    return Delivery.objects.get(pk=delivery.pk)


def event(**changes):
    return EVENT | {"id": str(uuid4())} | changes


def many(number):
    """Return that many events about as many portfolio orders."""
    return [
        event(object=EVENT["object"] | {"id": str(uuid4()), "orders": []}) for _ in range(number)
    ]


def test_an_envelope_a_bare_event_and_a_bare_list_are_read():
    for body in (envelope(event()), json.dumps(event()).encode(), json.dumps([event()]).encode()):
        delivery = receive(body)

        assert (delivery.verdict, delivery.events) == (Verdict.ACCEPTED, 1)
    assert JournalEntry.objects.count() == 3
    assert not JournalEntry.objects.filter(outcome=Outcome.PENDING).exists()


@pytest.mark.parametrize("body", [b'{"payload": []}', b"[]"])
def test_a_delivery_without_events_is_accepted(body):
    delivery = receive(body)

    assert (delivery.verdict, delivery.events, delivery.repeats) == (Verdict.ACCEPTED, 0, 0)
    assert not JournalEntry.objects.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is not JSON"),
        (b'{"payload": [1', "the body is not JSON"),
        (b"\xff\xfe\x00", "the body is not JSON"),
        (b'"\xc3\x28"', "the body is not JSON"),
        (b"\x1f\x8b\x08\x00", "the body is not JSON"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "the body is nested too deeply"),
        (b'{"payload":' * 100_000, "the body is nested too deeply"),
        (b"17", "the body is neither"),
        (b"null", "the body is neither"),
        (b"NaN", "the body is neither"),
        (b"{}", "the body is neither"),
        (b'{"payload": null}', "the body is neither"),
        (b'{"payload": {"id": "1"}}', "the body is neither"),
    ],
)
def test_a_body_that_holds_no_events_is_kept_raw_with_the_reason(body, reason):
    delivery = receive(body)

    kept = Delivery.objects.get(pk=delivery.pk)
    assert kept.verdict == Verdict.UNREADABLE
    assert kept.reason.startswith(reason)
    assert body_of(kept) == body
    assert kept.size == len(body)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_is_read_in_each_of_its_encodings(encoding):
    delivery = receive(json.dumps([event()]).encode(encoding))

    assert (delivery.verdict, delivery.events) == (Verdict.ACCEPTED, 1)


def test_no_digit_of_a_number_is_lost():
    digits = "1234567890123456789012345678901234567890.123456789012345678901234567"
    body = b'[{"type": "TOPUP.NEW", "a": %s, "b": %s, "c": NaN, "d": -7}]' % (
        digits.encode(),
        b"9" * 5000,
    )
    receive(body)

    payload = json.loads(bytes(JournalEntry.objects.get().payload))
    assert payload == {"type": "TOPUP.NEW", "a": digits, "b": "9" * 5000, "c": "NaN", "d": -7}


def test_text_that_a_database_refuses_is_stored_all_the_same():
    receive(
        b'[{"type": "ORDER.\\u0000NEW\\ud800", "id": "\\udfff", "object": '
        b'{"id": "%s", "status": "N\\u0000EW"}}]' % str(uuid4()).encode()
    )

    entry = JournalEntry.objects.get()
    assert (entry.type, entry.status) == ("ORDER.NEW", "NEW")
    assert rb"\u0000NEW\ud800" in bytes(entry.payload)


@pytest.mark.parametrize("member", [None, 1, "x", [], {}, {"type": []}, {"type": "ORDER.NEW"}])
def test_one_event_that_cannot_be_read_is_quarantined_and_its_neighbours_go_on(member):
    delivery = receive(json.dumps([event(), member, event()]).encode())

    assert (delivery.verdict, delivery.events) == (Verdict.ACCEPTED, 3)
    assert JournalEntry.objects.get(outcome=Outcome.QUARANTINED).message
    assert not JournalEntry.objects.filter(outcome=Outcome.PENDING).exists()


def nested_event(place, depth):
    brackets = "[" * depth + "]" * depth
    return f'[{{"id": "{uuid4()}", "type": "ORDER.NEW", "{place}": {brackets}}}]'.encode()


@pytest.mark.parametrize("place", ["type", "created_at", "object"])
def test_an_event_of_any_depth_is_stored(place):
    readable = bisect(
        range(10_000), False, key=lambda depth: not is_read(nested_event(place, depth))
    )
    # Close to where reading ends, each further step on the way has a limit of its own.
    for depth in range(readable - 30, readable + 30):
        assert receive(nested_event(place, depth)).pk


def is_read(body):
    try:
        bodies.events_in(body)
    except bodies.UnreadableBodyError:
        return False
    return True


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["payload", "type", "object", "id", "status", "orders", "x"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_is_correctly_signed_is_stored(body):
    delivery = receive(body)

    assert body_of(delivery) == body
    assert JournalEntry.objects.filter(delivery_id=delivery.pk).count() == delivery.events


def test_an_event_delivered_twice_is_stored_once_and_the_repeat_is_counted():
    one, two = event(), event()
    receive(envelope(one))
    again = receive(envelope(one, two))

    assert (again.events, Delivery.objects.get(pk=again.pk).repeats) == (2, 1)
    assert JournalEntry.objects.filter(event_id__isnull=False).count() == 2
    assert JournalEntry.objects.get(repeat_of__isnull=False).delivery_id == again.pk


def test_the_first_delivery_of_one_event_twice_in_a_body_is_its_own_repeat():
    one = event()

    delivery = receive(envelope(one, one))

    assert (delivery.events, delivery.repeats) == (2, 1)


def test_a_stored_delivery_waits_unread_and_nothing_of_it_is_in_the_journal():
    delivery = store(envelope(event()))

    kept = Delivery.objects.unread().get()
    assert (kept.pk, kept.verdict, kept.events) == (delivery.pk, Verdict.ACCEPTED, 0)
    assert not JournalEntry.objects.exists()


def test_a_delivery_is_stored_with_one_statement():
    with CaptureQueriesContext(connection) as queries:
        store(envelope(*many(100)))

    assert len(queries) == 1


def fail_to_record(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(journal, "store", fail)


def test_events_that_cannot_be_recorded_are_kept_as_bytes_and_do_not_hold_up_the_feed(monkeypatch):
    real = journal.store

    def fail(fresh):
        if any(b"poison" in entry.payload for entry in fresh.new):
            JournalEntry.objects.create(source="nonsense", occurred_at=NOW, recorded_at=NOW)
        return real(fresh)

    monkeypatch.setattr(journal, "store", fail)
    body = envelope(event(note="poison"))
    bad, good = store(body), store(envelope(event()))

    reading.read_next(now=NOW)

    kept = Delivery.objects.get(pk=bad.pk)
    assert (kept.verdict, kept.read_at, body_of(kept)) == (Verdict.UNREADABLE, NOW, body)
    assert kept.reason.startswith("its events cannot be recorded: IntegrityError")
    assert JournalEntry.objects.get().delivery_id == good.pk


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("the connection is lost"),
        OperationalError("no such column: journal.news"),
        IntegrityError("NOT NULL constraint failed: orders_journalentry.news"),
        MemoryError(),
        SoftTimeLimitExceeded(),
    ],
)
def test_what_is_not_the_fault_of_a_delivery_leaves_it_unread(monkeypatch, error):
    store(envelope(event()))
    fail_to_record(monkeypatch, error)

    with pytest.raises(type(error)):
        reading.read_next(now=NOW)

    assert Delivery.objects.unread().count() == 1


def test_a_delivery_with_more_events_than_the_database_takes_at_once_does_not_hold_up_the_feed(
    monkeypatch,
):
    fail_to_record(monkeypatch, OperationalError("too many SQL variables"))

    assert receive(envelope(event())).verdict == Verdict.UNREADABLE


def statements(number):
    body = envelope(*many(number))
    with CaptureQueriesContext(connection) as queries:
        receive(body)
    return len(queries)


def test_the_number_of_statements_does_not_grow_with_the_number_of_events():
    few, all_ = statements(1), statements(500)

    # The delivery; then the claim, the bodies, a look for known events, the rows, the entries, the deliveries.
    assert few <= 19
    # SQLite takes 999 parameters in one statement, PostgreSQL takes arrays.
    assert all_ == few if ON_POSTGRESQL else all_ <= few + 16


def test_the_number_of_statements_does_not_grow_with_the_number_of_deliveries():
    def statements_for(number):
        for one in many(number):
            store(envelope(one))
        with CaptureQueriesContext(connection) as queries:
            assert reading.read_next(now=NOW).read == number
        return len(queries)

    assert statements_for(2) == statements_for(50) if ON_POSTGRESQL else statements_for(50) < 20


def test_at_most_sixty_refused_deliveries_a_minute_are_kept():
    message = Message("POST", "/", "", {"Signature": "x", "Cookie": "secret"}, b"body")
    for second in range(70):
        refusals.refuse(message, "no", now=NOW + timedelta(milliseconds=second))
    assert Delivery.objects.count() == 60

    refusals.refuse(message, "no", now=NOW + timedelta(minutes=2))
    assert Delivery.objects.count() == 61


def test_a_refused_delivery_keeps_its_signature_headers_and_neither_body_nor_credentials():
    headers = {
        "Signature-Input": 'sig1=("@path");keyid="k\u00e9y"',
        "Signature": "sig1=:AAAA:",
        "User-Agent": "stranger\0",
        "Authorization": "Bearer secret",
        "Cookie": "sessionid=secret",
    }
    refusals.refuse(Message("POST", "/", "", headers, b"personal"), "because", now=NOW)

    kept = Delivery.objects.get()
    assert (kept.verdict, kept.reason) == (Verdict.REFUSED, "because")
    assert (kept.body, kept.size) == (None, 8)
    assert kept.headers == {
        "signature": "sig1=:AAAA:",
        "signature-input": 'sig1=("@path");keyid="k\u00e9y"',
        "user-agent": "stranger",
    }


@pytest.mark.django_db(transaction=True)
def test_overlapping_batches_from_two_threads_store_each_event_once_without_a_deadlock():
    events = many(60)
    batches = [events[:40], events[20:][::-1]]
    answers: list[int] = []
    start = threading.Barrier(2)

    def send(batch):
        start.wait()
        answers.extend(post(Client(), envelope(*batch)).status_code for _ in range(4))
        connection.close()

    threads = [threading.Thread(target=send, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while reading.read_next(now=NOW).read:
        pass

    assert answers == [200] * 8
    firsts = JournalEntry.objects.filter(event_id__isnull=False).values_list("event_id", flat=True)
    assert len(firsts) == 60
    assert set(firsts) == {UUID(each["id"]) for each in events}
    assert JournalEntry.objects.filter(repeat_of__isnull=False).count() == 8 * 40 - 60


def test_a_stored_event_is_applied_by_a_drain():
    store(envelope(stories.event("PORTFOLIO_ORDER.NEW", stories.portfolio_order())))

    projection.drain(now=NOW)

    assert PortfolioOrder.objects.get().status == "NEW"


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite has no server that could go away")
@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_taken_on_a_new_connection_where_the_server_has_ended_the_old_one(client):
    publish()
    connection.ensure_connection()
    with psycopg.connect(**connection.connection.info.get_parameters()) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    connection.health_check_enabled = True  # type: ignore[attr-defined]
    connection.close_if_unusable_or_obsolete()  # as at the begin of each request

    assert post(client, envelope(event())).status_code == 200


@pytest.mark.skipif(ON_POSTGRESQL, reason="PostgreSQL has always known it")
def test_an_sqlite_of_before_2021_stores_deliveries_too():
    with CaptureQueriesContext(connection) as queries:
        first, repeat = store(envelope(EVENT)), store(envelope(EVENT))

    assert not any("RETURNING" in it["sql"] for it in queries)
    assert list(Delivery.objects.order_by("pk").values_list("pk", "same_body_as")) == [
        (first.pk, None),
        (repeat.pk, first.pk),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_purge_takes_no_body_from_a_delivery_that_comes_at_the_same_moment():
    first = store(envelope(EVENT))

    def delete():
        try:
            inbox.delete([first.pk])
        finally:
            connection.close()

    with transaction.atomic():
        repeat = store(envelope(EVENT))
        purge = threading.Thread(target=delete)
        purge.start()
        purge.join(0.5)  # it waits
    purge.join()

    assert list(Delivery.objects.values_list("pk", flat=True)) == [repeat.pk]
    assert body_of(repeat) == envelope(EVENT)


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_gave_up_on_a_database_that_hangs_does_not_try_again(monkeypatch):
    tries: list[bool] = []

    def hang():
        tries.append(True)
        connection.work.give_up()  # type: ignore[attr-defined]
        raise OperationalError("no answer of the database within 4.0 s")

    monkeypatch.setattr(connection, "is_lost", lambda: True)
    with database.limits("delivery"):
        with pytest.raises(OperationalError, match="no answer"):
            database.once_more(hang)
        is_well = connection.work.is_well  # type: ignore[attr-defined]

    assert (len(tries), is_well) == (1, False)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite's limits are the client's")
@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_stored_under_the_limits_of_a_delivery():
    JournalEntry.objects.exists()  # under those of other work

    with database.limits("delivery"):
        store(envelope(event()))

    limit = connection.connection.execute("SHOW statement_timeout").fetchone()[0]
    assert limit == f"{ROLES['delivery'].statement}s"
