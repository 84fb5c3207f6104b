"""Who did what an entry of the journal tells: a person, or the desk by itself. Pure.

An entry has an actor where a person did it. What a worker does for somebody (another attempt, a
look-up, a check) and what the broker answers has none; the sentence names who had asked for it.
Entries of older releases have a name there too: they are read as what they were.
"""

from datetime import datetime, timedelta
from typing import Protocol

from orders.timeline.seen import CANCELLATION, PLACEMENT, STAFF

DESK = "Order Desk"
# Steps that the desk takes or the broker causes; a person may be behind sending and looking up.
PLACING = ("SENT", "LOOKED_UP", "NOT_SENT", "UNKNOWN", "ACCEPTED", "REFUSED")
# How the sentence of one begins that a person pressed a button for; " by mira" follows.
BEGINS = ("Sent to the broker", "Looked up at the broker", "Cancel sent to the broker")
CANCELLING = ("SENT", "NOT_SENT", "UNKNOWN", "TAKEN", "REFUSED", "OVER")
ANSWERED = ("TAKEN", "REFUSED")  # the broker answered the request to cancel
SOON = timedelta(minutes=1)
BY_ITSELF = {PLACEMENT: PLACING, CANCELLATION: CANCELLING}


class Recorded(Protocol):
    """The columns of an entry that tell who did it."""

    @property
    def source(self) -> str:
        """Return the source."""

    @property
    def outcome(self) -> str:
        """Return the outcome."""

    @property
    def type(self) -> str:
        """Return the type."""

    @property
    def status(self) -> str:
        """Return the word of a step."""

    @property
    def actor(self) -> str:
        """Return the name that was recorded."""

    @property
    def recorded_at(self) -> datetime:
        """Return when it was recorded."""

    @property
    def message(self) -> str:
        """Return the sentence."""


def person(entry: Recorded) -> str:
    """Return the name of the person who did it; "" where it was the desk, the broker, or nobody known."""
    if not entry.actor or entry.source != STAFF:
        return entry.actor
    if entry.outcome != "NOTED":  # the broker's answer to a placement
        return ""
    if entry.status in BY_ITSELF.get(entry.type, ()) and not _is_pressed(entry):
        return ""
    return entry.actor


def by(entry: Recorded) -> str:
    """Return who did a step, for the line below it: "by mira", "by Order Desk, requested by mira"."""
    if name := person(entry):
        return f"by {name}"
    if entry.outcome != "NOTED":
        return "by the broker"
    return f"by {DESK}, requested by {entry.actor}" if entry.actor else f"by {DESK}"


class Looks:
    """Finds the checks that older releases booked as refetches of who had asked for a cancellation.

    They asked about the order as soon as the broker had answered the request: the first refetch after
    the answer, by the same name. Feed it the entries about one object in the order of arrival.
    """

    def __init__(self) -> None:
        self._answered: Recorded | None = None

    def is_look(self, entry: Recorded) -> bool:
        """Return whether an entry is such a check."""
        if entry.type == CANCELLATION and entry.status in ANSWERED and entry.actor:
            self._answered = entry
            return False
        answered = self._answered
        if entry.source != "REFETCH" or answered is None or entry.actor != answered.actor:
            return False
        self._answered = None
        return entry.recorded_at - answered.recorded_at < SOON


def requested(by: str) -> str:
    """Return in brackets for whom the desk does something by itself; "" where for nobody."""
    return f" (requested by {by})" if by else ""


def sentence(entry: Recorded) -> str:
    """Return what a person did, in a sentence; of a refetch what came of it."""
    if entry.source != "REFETCH":
        return entry.message
    if entry.outcome == "FAILED":
        return f"Refetch failed: {entry.message}"
    if entry.outcome == "NO_CHANGE":
        return "Refetched, no change"
    return f"Refetched: {entry.status.capitalize()}" if entry.status else "Refetched"


def _is_pressed(entry: Recorded) -> bool:
    """Whether a person pressed a button for it: since the desk tells both apart, the sentence says so."""
    ends = (",", ":")
    return any(
        entry.message.startswith(f"{begin} by {entry.actor}{it}") for begin in BEGINS for it in ends
    )
