"""What to tell a person about a placement, in a sentence. Pure."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.utils import timezone

from orders.placing.schedule import may_be_sent, settled_from

SAID = {
    "PROPOSED": "Submitted by {submitted_by}. Nothing is sent before another person approves it.",
    "ACCEPTED": "Accepted by the broker: portfolio order {order}.",
    "REFUSED": "The broker refused it: {reason}.",
    "DECLINED": "Declined by {decided_by}: {reason}. Nothing was sent.",
    "NOT_PLACED": "Not placed, as {decided_by} found: {reason}.",
}


class Told(Protocol):
    """The columns of a placement that the sentence speaks of."""

    state: str
    submitted_by: str
    decided_by: str
    reason: str
    portfolio_order_id: UUID | None
    first_sent_at: datetime | None
    sending_until: datetime | None
    next_attempt_at: datetime | None


def sentence(placement: Told, *, now: datetime) -> str:
    """Return how far a placement is, and what happens next."""
    reason = placement.reason.rstrip(".")
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


def _ready(placement: Told, reason: str, now: datetime) -> str:
    if not reason:
        return "It is on its way to the broker."
    again = clock(placement.next_attempt_at, now)
    return f"It was not sent yet: {reason}. The next attempt is {again}."


def _unknown(placement: Told, now: datetime) -> str:
    if placement.sending_until and placement.sending_until >= now:
        return "It is being sent, and the broker has not answered yet."
    begin = "Sent, and the broker has not said what it made of it."
    if placement.next_attempt_at is None:
        return f"{begin} It was looked up, and waits for a person to decide."
    again = clock(placement.next_attempt_at, now)
    first = placement.first_sent_at
    if first is not None and not may_be_sent(first, now=max(placement.next_attempt_at, now)):
        again = clock(max(placement.next_attempt_at, settled_from(first)), now)
        return f"{begin} It is never sent again; it is looked up {again}."
    return f"{begin} The same request is sent again {again}, under the same key."


def clock(moment: datetime | None, now: datetime) -> str:
    """Return when something is going to happen: "in a moment", "at 14:03:07"."""
    if moment is None or moment <= now:
        return "in a moment"
    local, today = timezone.localtime(moment), timezone.localtime(now).date()
    form = "%H:%M:%S" if local.date() == today else "%d %b %H:%M"
    return f"at {local:{form}}"
