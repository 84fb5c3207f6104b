"""What to tell a person about a placement, in a sentence. Pure."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.utils import timezone

from orders.placing.schedule import may_be_sent, settled_from
from orders.timeline.plain import plain

SAID = {
    "PROPOSED": "Submitted by {submitted_by}. Nothing is sent until another person approves it.",
    "ACCEPTED": "Accepted by the broker: portfolio order {order}.",
    "REFUSED": "Refused by the broker: {reason}.",
    "DECLINED": "Declined by {decided_by}: {reason}. Nothing was sent.",
    "NOT_PLACED": "Resolved as not placed by {decided_by}: {reason}.",
}

NOT_SENT = "Not sent yet"  # and the reason does not say it once more
BY_PEOPLE = frozenset({"DECLINED", "NOT_PLACED"})  # the reason is theirs


class Told(Protocol):
    """The columns of a placement that the sentence speaks of."""

    state: str
    submitted_by: str
    decided_by: str
    reason: str
    portfolio_order_id: UUID | None
    submitted_at: datetime
    first_sent_at: datetime | None
    sent_at: datetime | None
    sending_until: datetime | None
    next_attempt_at: datetime | None

    @property
    def is_withdrawn(self) -> bool:
        """Whether who submitted it took it back."""


def sentence(placement: Told, *, now: datetime) -> str:
    """Return how far a placement is, and what happens next."""
    reason = _reason(placement).rstrip(".")
    if placement.is_withdrawn:
        return f"Withdrawn by {placement.decided_by}. Nothing was sent."
    if placement.state == "READY":
        return _ready(placement, reason, now)
    if placement.state == "UNKNOWN":
        return _unknown(placement, now)
    return SAID[placement.state].format(
        order=placement.portfolio_order_id,
        submitted_by=placement.submitted_by,
        decided_by=placement.decided_by,
        reason=reason,
    )


def _reason(placement: Told) -> str:
    """Return why, in plain words where it was written for a log; what a person typed stays as it was typed."""
    if placement.state in BY_PEOPLE:
        return placement.reason
    said_at = placement.sent_at or placement.submitted_at
    zone = timezone.get_current_timezone()
    return plain(placement.reason, zone, said_at=said_at, begins=False)


def _ready(placement: Told, reason: str, now: datetime) -> str:
    if not reason:
        return "It is on its way to the broker."
    again = clock(placement.next_attempt_at, now)
    return f"{NOT_SENT}: {reason.removeprefix('not sent: ')}. Next attempt {again}."


def _unknown(placement: Told, now: datetime) -> str:
    if placement.sending_until and placement.sending_until >= now:
        return "Being sent; the broker has not answered yet."
    begin = "Sent, no answer yet."
    if placement.next_attempt_at is None:
        return (
            f"{begin} It was looked up at the broker. Look it up again to link the order, or to "
            "resolve it as not placed."
        )
    again = clock(placement.next_attempt_at, now)
    first = placement.first_sent_at
    if first is not None and not may_be_sent(first, now=max(placement.next_attempt_at, now)):
        again = clock(max(placement.next_attempt_at, settled_from(first)), now)
        return f"{begin} It is not sent again; we look it up at the broker {again}."
    return f"{begin} We retry {again} with the same key, so it cannot be placed twice."


def clock(moment: datetime | None, now: datetime) -> str:
    """Return when something is going to happen: "in a moment", "at 14:03:07"."""
    if moment is None or moment <= now:
        return "in a moment"
    local, today = timezone.localtime(moment), timezone.localtime(now).date()
    form = "%H:%M:%S" if local.date() == today else "%d %b %H:%M"
    return f"at {local:{form}}"
