"""Messages that were written for a log, on a page: no paths, and one time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.timeline.plain import plain

BERLIN = ZoneInfo("Europe/Berlin")
FIRST, LAST = datetime(2020, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001 -- hypothesis adds the zone
SAID_AT = datetime(2026, 11, 27, 15, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", ""),
        (
            "GET /portfolios/orders/0454dcf4: not sent, rate limited by upstream until 15:06:31 UTC",
            "Not sent: rate limited by the broker until 16:06:31",
        ),
        ("GET /orders/1: 503 from the broker", "503 from the broker"),
        (
            "It was not sent after all: POST /portfolios/orders: no connection in time",
            "It was not sent after all: no connection in time",
        ),
        (
            "the broker has not answered since 22:59:00 UTC; next try 23:30:00 UTC",
            "the broker has not answered since 23:59:00; next try 00:30:00 on 28 Nov 2026",
        ),
        ("until 2026-11-27T15:06:31Z", "until 16:06:31"),
        ("until 2026-11-28T15:06:31.250+00:00.", "until 16:06:31 on 28 Nov 2026."),
        ("99:61:00 UTC", "99:61:00 UTC"),
        ("It gets better: wait", "It gets better: wait"),
    ],
)  # fmt: skip
def test_a_message_is_shown_in_the_zone_of_the_page_and_without_paths(message, text):
    assert plain(message, BERLIN, said_at=SAID_AT) == text


def test_within_a_sentence_it_begins_with_no_capital():
    said = plain("GET /orders/1: no answer in time", BERLIN, said_at=SAID_AT, begins=False)

    assert said == "no answer in time"


@given(
    at=st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
    off=st.timedeltas(timedelta(hours=-11, minutes=-59), timedelta(hours=11, minutes=59)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]),
)
def test_a_time_without_a_day_is_the_nearest_one(at, off, zone):
    moment, there = (at + off).replace(microsecond=0), ZoneInfo(zone)

    text = plain(f"until {moment:%H:%M:%S} UTC", there, said_at=at)

    local = moment.astimezone(there)
    is_near = local.date() == at.astimezone(there).date()
    day = "" if is_near else f" on {local.day} {local:%b %Y}"
    assert text == f"until {local:%H:%M:%S}{day}"
