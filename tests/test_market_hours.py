from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.market_hours import MarketHours

BERLIN = ZoneInfo("Europe/Berlin")
XETRA = MarketHours.parse("Mon-Fri 07:30-22:00 Europe/Berlin")
HOUR = timedelta(hours=1)


def berlin(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def test_without_hours_the_market_is_always_open():
    now = berlin("2026-11-22T03:00")

    assert MarketHours.parse("").before(now, 5 * HOUR) == now - 5 * HOUR


def test_within_one_day_open_time_is_plain_time():
    now = berlin("2026-11-20T15:00")

    assert XETRA.before(now, 4 * HOUR) == berlin("2026-11-20T11:00")


def test_the_night_does_not_count():
    now = berlin("2026-11-20T09:30")

    assert XETRA.before(now, 4 * HOUR) == berlin("2026-11-19T20:00")


def test_the_weekend_does_not_count():
    sunday = berlin("2026-11-22T12:00")

    assert XETRA.before(sunday, 1 * HOUR) == berlin("2026-11-20T21:00")


def test_before_the_opening_today_nothing_of_today_has_passed():
    monday = berlin("2026-11-23T05:00")

    assert XETRA.before(monday, 1 * HOUR) == berlin("2026-11-20T21:00")


def test_where_the_time_is_used_up_at_an_opening_it_is_that_opening():
    now = berlin("2026-11-20T09:30")

    assert XETRA.before(now, 2 * HOUR) == berlin("2026-11-20T07:30")


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)], ids=["spring", "autumn"]
)
def test_a_day_of_the_clock_change_has_as_many_hours_as_it_really_has(day, hours):
    always = MarketHours.parse("Mon-Sun 00:00-24:00 Europe/Berlin")
    midnight_after = berlin(f"{day}T00:00") + timedelta(days=1)

    assert always.before(midnight_after, hours * HOUR) == berlin(f"{day}T00:00")


def test_the_wall_clock_opens_the_market_on_the_day_of_the_clock_change():
    sundays = MarketHours.parse("Sun 08:00-10:00 Europe/Berlin")
    now = berlin("2026-03-29T12:00")

    assert sundays.before(now, 2 * HOUR) == datetime(2026, 3, 29, 6, tzinfo=UTC)


@given(
    st.integers(1_700_000_000, 1_900_000_000).map(
        lambda second: datetime.fromtimestamp(second, UTC)
    ),
    st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
)
def test_open_time_adds_up(now, one, other):
    assert XETRA.before(XETRA.before(now, one), other) == XETRA.before(now, one + other)


def test_days_are_single_ranges_and_over_the_end_of_the_week():
    hours = MarketHours.parse("Sat-Mon,Wed 08:00-09:00 UTC")

    assert hours.weekdays == {5, 6, 0, 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("always", "does not read like"),
        ("Mon-Fry 07:30-22:00 Europe/Berlin", "'Fry' is not a day"),
        ("Mon-Fri 22:00-07:30 Europe/Berlin", "closes before it opens"),
        ("Mon-Fri 07:30-24:30 Europe/Berlin", "'24:30' is not a time of day"),
        ("Mon-Fri 07:60-22:00 Europe/Berlin", "'07:60' is not a time of day"),
        ("Mon-Fri 07:30-22:00 Europe/Atlantis", "'Europe/Atlantis' is not a time zone"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        MarketHours.parse(text)
