"""A release on the schema of another one: what it cannot write is not lost, and blamed on no delivery."""

from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from orders import projection
from orders.models import JournalEntry, Order
from tests.signed import envelope, post, publish
from tests.stories import event, order
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

BODY = envelope(event("ORDER.NEW", order("A")))
ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
CHANGES = {
    "a column that the old release does not fill": (
        'ALTER TABLE "{table}" ADD COLUMN "news" text NOT NULL',
        'ALTER TABLE "{table}" DROP COLUMN "news"',
    ),
    "a column under another name": (
        'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "news"',
        'ALTER TABLE "{table}" RENAME COLUMN "news" TO "{column}"',
    ),
}


@pytest.fixture(autouse=True)
def _keys():
    publish()


@contextmanager
def newer_schema(change, table, column):
    """Change a table as a newer release may, and change it back."""
    there, back = (statement.format(table=table, column=column) for statement in CHANGES[change])
    with connection.cursor() as cursor:
        cursor.execute(there)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(back)


def changes():
    only_postgresql = "SQLite adds no column without a default"
    for name in CHANGES:
        skips = [pytest.mark.skipif("fill" in name and not ON_POSTGRESQL, reason=only_postgresql)]
        yield pytest.param(name, marks=skips)


@pytest.mark.parametrize("change", [*changes()])
def test_a_delivery_that_this_release_cannot_store_is_answered_503_and_comes_again(client, change):
    with newer_schema(change, "webhooks_delivery", "headers"):
        assert post(client, BODY).status_code == 503

    assert not Delivery.objects.exists()
    assert post(client, BODY).status_code == 200


@pytest.mark.parametrize("change", [*changes()])
def test_a_delivery_whose_events_this_release_cannot_record_waits_for_the_right_one(client, change):
    with newer_schema(change, "orders_journalentry", "message"):
        assert post(client, BODY).status_code == 200
        with pytest.raises(DatabaseError):
            projection.drain(now=timezone.now())

    assert Delivery.objects.unread().count() == 1
    assert projection.drain(now=timezone.now()).applied == 1


@pytest.mark.parametrize("change", [*changes()])
def test_an_event_that_this_release_cannot_apply_is_not_quarantined(client, change):
    assert post(client, BODY).status_code == 200

    with newer_schema(change, "orders_order", "fee"), pytest.raises(DatabaseError):
        projection.drain(now=timezone.now())

    assert Delivery.objects.unread().count() == 1
    assert not JournalEntry.objects.exists()
    assert projection.drain(now=timezone.now()).applied == 1
    assert Order.objects.get().status == "NEW"


def test_what_the_old_release_stored_and_read_at_once_is_not_read_again():
    columns = "received_at, verdict, reason, key_id, headers, size, events, repeats"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO webhooks_delivery ({columns})"
            " VALUES (%s, 'ACCEPTED', '', '', '{}', 2, 1, 0)",
            [timezone.now()],
        )

    assert not Delivery.objects.unread().exists()
