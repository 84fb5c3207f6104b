from datetime import UTC, date, datetime

import pytest
from django.db import connection

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


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("infinity", datetime(9999, 12, 31, tzinfo=UTC)),
        ("20000-01-01 00:00:00+00", datetime(9999, 12, 31, tzinfo=UTC)),
        ("-infinity", datetime(1, 1, 1, tzinfo=UTC)),
        ("0044-03-15 12:00:00+00 BC", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_that_python_cannot_hold_is_the_nearest_that_it_can(text, nearest):
    assert read(text) == nearest


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("infinity", date(9999, 12, 31)),
        ("20000-01-01", date(9999, 12, 31)),
        ("-infinity", date(1, 1, 1)),
        ("0044-03-15 BC", date(1, 1, 1)),
    ],
)
def test_so_is_a_date(text, nearest):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::date", [text])
        assert cursor.fetchone()[0] == nearest
