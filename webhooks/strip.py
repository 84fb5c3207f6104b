"""Webhook health of a day, as bars of half an hour. Pure; positions in percent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

HALF_HOUR = timedelta(minutes=30)
BARS = 48
SLOT = 100 / BARS  # percent
BAD = frozenset({"QUARANTINED", "REFUSED", "UNREADABLE"})
# What each outcome means, in the order of the list; the first four are always shown.
MEANINGS = {
    "APPLIED": "changed an order",
    "NO_CHANGE": "repeated, or older than what we knew",
    "QUARANTINED": "stored, could not be applied; no other event was delayed",
    "REFUSED": "signature check failed",
    "UNREADABLE": "signed, but no event in it could be read",
    "IGNORED": "a topic the order desk does not follow",
    "DISMISSED": "could not be applied; staff decided to leave it out",
    "PENDING": "stored, to be applied in a moment",
}
ALWAYS = 4
OF_DELIVERIES = frozenset(
    {"REFUSED", "UNREADABLE"}
)  # that held no event for us; the others are of events


@dataclass(frozen=True, slots=True)
class Bar:
    """Half an hour; ``begins`` is in the display zone."""

    begins: datetime
    x: float
    counts: Mapping[str, int]

    @property
    def look(self) -> str:
        """How it is drawn: "good", "bad", or "silent" where nothing came."""
        if not any(self.counts.values()):
            return "silent"
        return "bad" if any(self.counts.get(word) for word in BAD) else "good"

    @property
    def hours(self) -> str:
        """From when to when: "09:30 to 10:00"."""
        return f"{self.begins:%H:%M} to {self.ends:%H:%M}"

    @property
    def ends(self) -> datetime:
        """When the half hour is over."""
        return (self.begins.astimezone(UTC) + HALF_HOUR).astimezone(self.begins.tzinfo)

    @property
    def told(self) -> str:
        """What came: "Applied 74, Quarantined 1"."""
        return ", ".join(f"{named(word)} {n}" for word, n in self.parts) or "nothing received"

    @property
    def parts(self) -> list[tuple[str, int]]:
        """The outcomes that occur, each with how often."""
        return [(word, n) for word in MEANINGS if (n := self.counts.get(word))]

    @property
    def events(self) -> int:
        """The number of events that came."""
        return sum(n for word, n in self.parts if word not in OF_DELIVERIES)


@dataclass(frozen=True, slots=True)
class Strip:
    """The bars of a day."""

    bars: tuple[Bar, ...]

    @property
    def sums(self) -> dict[str, int]:
        """How much there was of each outcome."""
        return {word: sum(bar.counts.get(word, 0) for bar in self.bars) for word in MEANINGS}

    @property
    def begins(self) -> datetime:
        """The beginning of the first bar."""
        return self.bars[0].begins

    @property
    def ends(self) -> datetime:
        """The end of the last bar."""
        return self.bars[-1].ends

    @property
    def events(self) -> int:
        """The number of events that came."""
        return sum(bar.events for bar in self.bars)

    @property
    def lines(self) -> list[tuple[str, str, int]]:
        """Outcome, meaning and number; of the rare ones only those that occur."""
        return [
            (word, meaning, self.sums[word])
            for number, (word, meaning) in enumerate(MEANINGS.items())
            if number < ALWAYS or self.sums[word]
        ]

    @property
    def sentence(self) -> str:
        """The whole in words."""
        looks = [bar.look for bar in self.bars]
        return (
            f"Webhooks of 24 hours by half hour: {looks.count('good')} without problems, "
            f"{looks.count('bad')} with something quarantined or refused, "
            f"{looks.count('silent')} without webhooks"
        )


def strip(outcomes: Mapping[datetime, Mapping[str, int]], *, now: datetime, zone: tzinfo) -> Strip:
    """Return a bar for each of the last 48 half hours; ``outcomes`` counts by half hour, in UTC."""
    last = half_hour(now)
    moments = [last - HALF_HOUR * (BARS - 1 - number) for number in range(BARS)]
    return Strip(
        tuple(
            Bar(moment.astimezone(zone), round(number * SLOT, 3), outcomes.get(moment, {}))
            for number, moment in enumerate(moments)
        )
    )


def half_hour(moment: datetime) -> datetime:
    """Return the beginning of the half hour that holds a moment, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 30 * 30, second=0, microsecond=0)


def named(word: str) -> str:
    """Return an outcome as a label: "No change"."""
    return word.capitalize().replace("_", " ")
