"""What became of a cancellation: derived from the request and from what is held of the order. Pure.

Never stored, for it changes with the order: one that was refused may be carried out all the same by
an earlier attempt, one that was taken may lose to a fill.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from django.utils import timezone

from orders.lifecycle import Kind
from orders.placing.words import NOT_SENT, clock
from orders.timeline.plain import plain
from orders.timeline.reports import ENDS
from orders.timeline.sentences import status_word

BY_CLIENT = "CANCELLED_BY_CLIENT"


class Fate(StrEnum):
    """What became of the request, in a word."""

    WAITING = "To be sent"
    UNKNOWN = "No answer yet"
    TAKEN = "Request accepted"
    REFUSED = "Refused"
    CANCELLED = "Cancelled"
    PARTLY = "Partly cancelled"
    FILLED = "Filled first"


@dataclass(frozen=True, slots=True)
class Result:
    """A word for a list, and the sentence for a page."""

    fate: Fate
    sentence: str


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of the order that is to end.

    ``orders`` counts those of a portfolio order by status, ``traded`` those of the cancelled ones
    (or it) of which a part was traded before; ``rejected`` of how many the broker announced that it
    could not cancel them, ``is_rejected`` whether it announced so of what was to be cancelled as a
    whole, ``rejection`` why.
    """

    kind: Kind
    status: str = ""
    reason: str = ""
    orders: Mapping[str, int] = field(default_factory=dict)
    traded: int = 0
    rejected: int = 0
    is_rejected: bool = False
    rejection: str = ""

    @property
    def total(self) -> int:
        """Return how many orders a portfolio order has."""
        return sum(self.orders.values())


class Asked(Protocol):
    """The columns of a cancellation that the outcome depends on."""

    state: str
    attempts: int
    reason: str
    requested_at: datetime
    sent_at: datetime | None
    sending_until: datetime | None
    next_attempt_at: datetime | None


def outcome(asked: Asked, held: Held, *, now: datetime) -> Result:
    """Return what became of a request: the end of the order says most, then upstream's answer."""
    if held.status in ENDS:
        fate = _fate(held)
        return Result(fate, " ".join(_end(fate, asked, held)))
    if asked.state == "TAKEN":
        return _taken(asked, held)
    if asked.state == "REFUSED":
        return _refused(asked)
    return _ready(asked, now) if asked.state == "READY" else _unknown(asked, now)


def _fate(held: Held) -> Fate:
    cancelled, filled = held.orders.get("CANCELLED", 0), held.orders.get("FILLED", 0)
    if held.status == "CANCELLED":
        is_mixed = filled or held.traded or cancelled < held.total
        return Fate.PARTLY if is_mixed else Fate.CANCELLED
    return Fate.PARTLY if cancelled else Fate.FILLED


def _end(fate: Fate, asked: Asked, held: Held) -> Iterator[str]:
    is_unsent = not asked.attempts
    if fate is Fate.PARTLY:
        yield f"Partly cancelled: {_parts(held)}."
        if held.status != "CANCELLED":
            yield f"The portfolio order ended as {status_word(held.status)}."
    elif fate is Fate.FILLED:
        yield f"Filled before the request {'was sent' if is_unsent else 'arrived'}."
    else:
        yield "Cancelled before the request was sent." if is_unsent else "Cancelled."
    if held.status == "CANCELLED" and held.reason not in ("", BY_CLIENT):
        yield f"The broker gives another reason: {held.reason}."
    if asked.state == "REFUSED":
        yield f"The broker had refused the request: {_reason(asked)}."
    elif held.rejected or held.is_rejected:
        yield _rejected(held)


def _parts(held: Held) -> str:
    if held.kind is Kind.ORDER:
        return "what was already executed stands"
    cancelled, filled = held.orders.get("CANCELLED", 0), held.orders.get("FILLED", 0)
    parts = [f"{cancelled} of {_count(held.total)} cancelled"]
    if filled:
        parts.append(f"{filled} filled")
    if left := held.total - cancelled - filled:
        parts.append(f"{left} still open")
    if held.traded:
        parts.append(f"{held.traded} of the cancelled had traded")
    return ", ".join(parts)


def _rejected(held: Held) -> str:
    why = f": {held.rejection.rstrip('.')}" if held.rejection else ""
    if held.kind is Kind.ORDER or held.is_rejected:
        return f"The broker reported that it could not cancel it{why}."
    return f"The broker reported that it could not cancel {held.rejected} of {_count(held.total)}{why}."


def _ready(asked: Asked, now: datetime) -> Result:
    if asked.next_attempt_at is None:
        return Result(
            Fate.WAITING, f"It was never sent{_because(asked)}. Request it again if needed."
        )
    if not asked.reason:
        return Result(Fate.WAITING, "It is on its way to the broker.")
    again = clock(asked.next_attempt_at, now)
    return Result(
        Fate.WAITING,
        f"{NOT_SENT}: {_reason(asked).removeprefix('not sent: ')}. Next attempt {again}.",
    )


def _unknown(asked: Asked, now: datetime) -> Result:
    if asked.sending_until and asked.sending_until >= now:
        text = "Being sent; the broker has not answered yet."
    elif asked.next_attempt_at:
        again = clock(asked.next_attempt_at, now)
        text = f"No answer from the broker{_because(asked)}. We send it again {again}."
    else:
        text = (
            f"No answer from the broker{_because(asked)}. "
            "It is not sent again: check the order and request it again if needed."
        )
    return Result(Fate.UNKNOWN, text)


def _taken(asked: Asked, held: Held) -> Result:
    if held.is_rejected or (held.rejected and held.kind is Kind.ORDER):
        return Result(
            Fate.REFUSED, f"Request accepted at first. {_rejected(held)} The order stays open."
        )
    if held.rejected:
        return Result(Fate.TAKEN, f"Request accepted. {_rejected(held)} They stay open.")
    if asked.next_attempt_at is None:
        return Result(Fate.TAKEN, "Request accepted, but never confirmed: check the order.")
    return Result(Fate.TAKEN, "Request accepted; waiting for confirmation.")


def _refused(asked: Asked) -> Result:
    text = f"Refused: {_reason(asked)}. The order stays open."
    if asked.attempts > 1:
        text += " An earlier attempt was not answered and may still be carried out."
    return Result(Fate.REFUSED, text)


def _because(asked: Asked) -> str:
    return f": {_reason(asked)}" if asked.reason else ""


def _reason(asked: Asked) -> str:
    """Return why it was refused or not sent, in plain words: it was written for a log."""
    said_at, zone = asked.sent_at or asked.requested_at, timezone.get_current_timezone()
    return plain(asked.reason, zone, said_at=said_at, begins=False).rstrip(".")


def _count(orders: int) -> str:
    return "1 order" if orders == 1 else f"{orders} orders"
