from datetime import UTC, datetime

import pytest
from django.db import DataError, connection, transaction

pytestmark = pytest.mark.django_db


def read(text):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        return cursor.fetchone()[0]


@pytest.fixture(autouse=True)
def _postgresql_only():
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL's own text")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 2, 9, tzinfo=UTC),
        datetime(2026, 3, 2, 9, 0, 0, 500000, tzinfo=UTC),
        datetime(2026, 3, 2, 9, 0, 0, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_moment_comes_back_to_the_microsecond_and_in_utc(moment):
    found = read(moment.isoformat())

    assert found == moment
    assert found.tzinfo is UTC


def test_a_moment_in_another_zone_comes_back_in_utc():
    assert read("2026-03-02T10:00:00+01:00").isoformat() == "2026-03-02T09:00:00+00:00"


@pytest.mark.parametrize("text", ["infinity", "0044-03-15 12:00:00+00 BC"])
def test_a_moment_that_python_cannot_hold_is_an_error_of_the_database(text):
    with pytest.raises(DataError, match="not a moment"), transaction.atomic():
        read(text)
