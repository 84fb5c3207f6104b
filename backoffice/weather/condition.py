"""How it stands with the broker's API, in one word and one sentence. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils import timezone

from backoffice.investment_api.adaptive import EVERY
from backoffice.investment_api.budget import Outlook
from backoffice.investment_api.weather import Report


class State(StrEnum):
    """The weather, the worst first: of several the first is told."""

    UNSET = "Not set up"
    SILENT = "Not answering"
    PAUSED = "Paused"
    THROTTLED = "Throttled"
    UNKNOWN = "Unknown"
    QUIET = "Quiet"
    ANSWERING = "Answering"


BAD = frozenset({State.UNSET, State.SILENT, State.PAUSED, State.THROTTLED, State.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Condition:
    """The weather in a word and a sentence; ``summary`` is the short one of Today."""

    state: State
    sentence: str
    summary: str

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return self.state in BAD


def condition(report: Report | None, outlook: Outlook, *, now: datetime) -> Condition:
    """Return how it stands; without a ``report`` the counters are not to be had."""
    if report is not None and report.outage is not None:
        return _silent(report.outage.since, report.outage.next_try, now)
    if until := outlook.paused_until:
        sentence = (
            f"The broker asked us to wait: background work, placing and cancelling wait until {_clock(until)}. "
            "Requests by staff are always sent."
        )
        summary = f"background work, placing and cancelling paused until {_clock(until)}"
        return Condition(State.PAUSED, sentence, summary)
    if outlook.resting_until or outlook.background < outlook.whole:
        return _throttled(outlook)
    if report is None:
        return Condition(State.UNKNOWN, "Counters unavailable", "counters unavailable")
    if not report.minutes:
        return Condition(
            State.QUIET, "No requests in the last hour.", "no requests in the last hour"
        )
    return Condition(State.ANSWERING, "The broker answers.", "answering")


def unset(reason: str) -> Condition:
    """Return the condition of an API that cannot be called, for a setting is missing or wrong."""
    return Condition(State.UNSET, f"The broker's API cannot be called: {reason}.", "not set up")


def _silent(since: datetime, next_try: datetime, now: datetime) -> Condition:
    then = (
        f"the next try is at {_clock(next_try)}"
        if next_try > now
        else "their next request tries again"
    )
    sentence = (
        f"The broker has not answered since {_clock(since)}. Background work, placing and cancelling wait; "
        f"{then}. Requests by staff are always sent."
    )
    return Condition(State.SILENT, sentence, f"not answering since {_clock(since)}")


def _throttled(outlook: Outlook) -> Condition:
    whole = f"{outlook.whole} requests per second"
    if until := outlook.resting_until:
        sentence = (
            f"The broker answered 429: background work is paused until {_clock(until)}, "
            f"then gets at most half of its {whole}. Requests by staff, placing and cancelling continue."
        )
        return Condition(
            State.THROTTLED, sentence, f"429: background work paused until {_clock(until)}"
        )
    sentence = (
        f"The broker answered 429: background work may use {outlook.background} of its {whole}, and "
        f"more every {EVERY:.0f} s. Requests by staff, placing and cancelling continue."
    )
    share = f"{outlook.background} of {outlook.whole}"
    return Condition(State.THROTTLED, sentence, f"429: background work limited to {share}")


def _clock(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%H:%M:%S")
