"""The hours in which the market is open, read from ``MARKET_HOURS``. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = timedelta(days=1)
GREENWICH = ZoneInfo("UTC")
SHAPE = re.compile(
    r"(?P<days>[A-Za-z,-]+)\s+(?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)\s+(?P<zone>\S+)"
)


@dataclass(frozen=True, slots=True)
class MarketHours:
    """Opening hours, the same on each of ``weekdays`` (0 is Monday), in the market's own zone.

    Without weekdays there are no hours to count: the market is always open.
    """

    weekdays: frozenset[int] = frozenset()
    opens: timedelta = timedelta()
    closes: timedelta = DAY
    zone: ZoneInfo = GREENWICH

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "Mon-Fri 07:30-22:00 Europe/Berlin"; "" is always open.

        Days are single ("Sat"), ranges ("Mon-Fri", "Sun-Thu") or both with commas between; the
        day may end at 24:00. Raises ValueError with the reason.
        """
        if not text.strip():
            return cls()
        match = SHAPE.fullmatch(text.strip())
        if match is None:
            raise ValueError("it does not read like 'Mon-Fri 07:30-22:00 Europe/Berlin'")
        opens, closes = _time_of_day(match["opens"]), _time_of_day(match["closes"])
        if closes <= opens:
            raise ValueError("it closes before it opens")
        return cls(_weekdays(match["days"]), opens, closes, _zone(match["zone"]))

    def before(self, now: datetime, open_time: timedelta) -> datetime:
        """Return the moment, in UTC, since which the market was open for ``open_time`` until now.

        Where a closed stretch leaves a choice, the latest such moment.
        """
        now = now.astimezone(UTC)
        if not self.weekdays or not open_time:
            return now - open_time
        left = open_time
        for opening, closing in self._sessions_back_from(now):
            end = min(closing, now)
            if end - opening >= left:
                return end - left
            left -= max(end - opening, timedelta())
        raise AssertionError("a market with weekdays has endless sessions")

    def _sessions_back_from(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield opening and closing in UTC, the latest first, from the one of today."""
        day = now.astimezone(self.zone).date()
        while True:
            if day.weekday() in self.weekdays:
                yield self._moment(day, self.opens), self._moment(day, self.closes)
            day -= DAY

    def _moment(self, day: date, since_midnight: timedelta) -> datetime:
        # Added to a naive midnight: the wall clock counts, also on a day of 23 or 25 hours.
        wall = datetime.combine(day, time()) + since_midnight
        return wall.replace(tzinfo=self.zone).astimezone(UTC)


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start, end = _weekday(first), _weekday(last if dash else first)
        found.update((start + n) % 7 for n in range((end - start) % 7 + 1))
    return frozenset(found)


def _weekday(name: str) -> int:
    try:
        return DAYS.index(name.capitalize())
    except ValueError:
        raise ValueError(f"{name!r} is not a day: Mon, Tue, Wed, Thu, Fri, Sat, Sun") from None


def _time_of_day(text: str) -> timedelta:
    hours, minutes = map(int, text.split(":"))
    since_midnight = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or since_midnight > DAY:
        raise ValueError(f"{text!r} is not a time of day")
    return since_midnight


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone") from None
