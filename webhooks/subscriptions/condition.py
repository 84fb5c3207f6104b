"""Whether the feed is as it should be, from what the watch last learned. Pure.

Judged whenever somebody looks, so that a watch that has stopped is itself an alarm.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils import timezone

from orders.timeline.durations import duration

PATIENCE = timedelta(minutes=15)  # three checks: one that fails is no alarm


class State(StrEnum):
    """The condition of the feed."""

    OK = "OK"
    MISSING = "MISSING"
    DISABLED = "DISABLED"
    DRIFTED = "DRIFTED"
    SILENT = "SILENT"
    UNCHECKED = "UNCHECKED"


HEADLINES = {
    State.OK: "The webhook feed is OK",
    State.MISSING: "We are not subscribed at the broker",
    State.DISABLED: "Our subscription is disabled at the broker",
    State.DRIFTED: "Our subscription has wrong settings",
    State.SILENT: "No webhooks are arriving",
    State.UNCHECKED: "The subscription is not being checked",
}
REGISTERED_WRONG = {State.MISSING, State.DISABLED, State.DRIFTED}


@dataclass(frozen=True, slots=True)
class Learned:
    """What the watch last learned; its columns are those of ``webhooks.models.FeedWatch``."""

    found: str = ""  # by the last list of upstream's: OK or what is wrong; "" before any
    differs: str = ""  # in what it drifted
    since: datetime | None = None  # since when it is found so
    listed_at: datetime | None = None  # the last list
    tried_at: datetime | None = None  # the last attempt at one
    failing_since: datetime | None = None
    error: str = ""
    silent_since: datetime | None = None  # nothing has come since, and something should have


COLUMNS = tuple(it.name for it in fields(Learned))


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the feed and one sentence on it."""

    state: State
    sentence: str
    is_alarm: bool
    since: datetime | None = None

    @property
    def headline(self) -> str:
        """Return the state in a few words that tell strangers nothing."""
        return HEADLINES[self.state]


def condition(learned: Learned, *, url: str, now: datetime) -> Condition:
    """Return the condition of the feed that should lead to ``url``; times are in the display zone."""
    if url and learned.found in REGISTERED_WRONG:
        state = State(learned.found)
        return Condition(state, _wrong(state, learned, url, now), True, learned.since)
    if learned.silent_since:
        since = learned.silent_since
        return Condition(State.SILENT, _silent(since, now), True, since)
    if not url:
        said = "WEBHOOK_PUBLIC_URL is not set, so the subscription at the broker is not checked."
        return Condition(State.UNCHECKED, said, False)
    is_old = not learned.listed_at or learned.listed_at < now - PATIENCE
    if is_old or learned.found != State.OK:
        return Condition(State.UNCHECKED, _unchecked(learned, now), True, learned.listed_at)
    said = f"The subscription to {url} is registered and enabled, with the right topics."
    return Condition(State.OK, said, False, learned.since)


def _wrong(state: State, learned: Learned, url: str, now: datetime) -> str:
    since = f" (Detected {at(learned.since, now)}.)" if learned.since else ""
    said = {
        State.MISSING: f"No updates arrive at {url}. Set up the subscription.",
        State.DISABLED: "No updates arrive until it is enabled. Press Set up.",
        State.DRIFTED: f"Different: {learned.differs}. Press Set up to correct it.",
    }
    return said[state] + since


def _silent(since: datetime, now: datetime) -> str:
    return (
        f"No webhook has arrived since {at(since, now)}, for {duration(now - since)}, although orders "
        "are open. Test the subscription. Meanwhile the orders are checked at the broker."
    )


def _unchecked(learned: Learned, now: datetime) -> str:
    last = f"since {at(learned.listed_at, now)}" if learned.listed_at else "yet"
    if learned.failing_since and _is_running(learned, now):
        return (
            f"The subscription could not be checked {last}: the broker's API has not answered since "
            f"{at(learned.failing_since, now)} ({learned.error})."
        )
    return f"The subscription has not been checked {last}: are a worker and a beat running?"


def _is_running(learned: Learned, now: datetime) -> bool:
    return bool(learned.tried_at and learned.tried_at >= now - PATIENCE)


def at(moment: datetime, now: datetime) -> str:
    """Return a moment in the display zone, with its day where that is not today."""
    local, today = timezone.localtime(moment), timezone.localtime(now).date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%d %b %H:%M}"
