"""What became of a cancellation: derived from the request and from what is held of the order. Pure.

Never stored, for it changes with the order: one that was refused may be carried out all the same by
an earlier attempt, one that was taken may lose to a fill.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from orders.lifecycle import Kind
from orders.placing.words import clock
from orders.timeline.reports import ENDS
from orders.timeline.sentences import status_word

BY_CLIENT = "CANCELLED_BY_CLIENT"


class Fate(StrEnum):
    """What became of the request, in a word."""

    WAITING = "To be sent"
    UNKNOWN = "Unknown"
    TAKEN = "Taken"
    REFUSED = "Refused"
    CANCELLED = "Cancelled"
    PARTLY = "Cancelled in part"
    FILLED = "Filled before"


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
    could not cancel them, ``rejection`` why.
    """

    kind: Kind
    status: str = ""
    reason: str = ""
    orders: Mapping[str, int] = field(default_factory=dict)
    traded: int = 0
    rejected: int = 0
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
        yield f"Cancelled in part: {_parts(held)}."
        if held.status != "CANCELLED":
            yield f"The portfolio order ended as {status_word(held.status)}."
    elif fate is Fate.FILLED:
        yield f"Filled before the cancel {'was sent' if is_unsent else 'arrived'}."
    else:
        yield "Cancelled before the request was sent." if is_unsent else "Cancelled."
    if held.status == "CANCELLED" and held.reason not in ("", BY_CLIENT):
        yield f"The broker's reason is another: {held.reason}."
    if asked.state == "REFUSED":
        yield f"The broker had refused the cancel: {_plain(asked.reason)}."
    elif held.rejected:
        yield _rejected(held)


def _parts(held: Held) -> str:
    if held.kind is Kind.ORDER:
        return "what had been traded before stays"
    cancelled, filled = held.orders.get("CANCELLED", 0), held.orders.get("FILLED", 0)
    parts = [f"{cancelled} of {_count(held.total)} cancelled"]
    if filled:
        parts.append(f"{filled} filled")
    if left := held.total - cancelled - filled:
        parts.append(f"{left} not ended yet")
    if held.traded:
        parts.append(f"{held.traded} of the cancelled traded in part")
    return ", ".join(parts)


def _rejected(held: Held) -> str:
    why = f": {_plain(held.rejection)}" if held.rejection else ""
    if held.kind is Kind.ORDER:
        return f"The broker announced that it could not cancel it{why}."
    return f"The broker announced that it could not cancel {held.rejected} of {_count(held.total)}{why}."


def _ready(asked: Asked, now: datetime) -> Result:
    if asked.next_attempt_at is None:
        return Result(Fate.WAITING, f"It was never sent{_because(asked)}. Decide anew.")
    if not asked.reason:
        return Result(Fate.WAITING, "It is on its way to the broker.")
    again = clock(asked.next_attempt_at, now)
    return Result(
        Fate.WAITING, f"Not sent yet: {_plain(asked.reason)}. The next attempt is {again}."
    )


def _unknown(asked: Asked, now: datetime) -> Result:
    if asked.sending_until and asked.sending_until >= now:
        text = "It is being sent, and the broker has not answered yet."
    elif asked.next_attempt_at:
        again = clock(asked.next_attempt_at, now)
        text = f"Unknown whether the broker has it, sent again {again}{_because(asked)}."
    else:
        text = (
            f"Unknown whether the broker has it{_because(asked)}. "
            "It is not sent again: look at the order and decide anew."
        )
    return Result(Fate.UNKNOWN, text)


def _taken(asked: Asked, held: Held) -> Result:
    if held.rejected and held.kind is Kind.ORDER:
        return Result(Fate.REFUSED, f"Taken at first. {_rejected(held)} It goes on.")
    if held.rejected:
        return Result(Fate.TAKEN, f"Taken by the broker. {_rejected(held)} They go on.")
    if asked.next_attempt_at is None:
        return Result(
            Fate.TAKEN, "Taken by the broker, and no word of it since: look at the order."
        )
    return Result(Fate.TAKEN, "Taken by the broker, waiting for its word.")


def _refused(asked: Asked) -> Result:
    text = f"Refused: {_plain(asked.reason)}. It goes on."
    if asked.attempts > 1:
        text += " An earlier attempt was not answered and may yet be carried out."
    return Result(Fate.REFUSED, text)


def _because(asked: Asked) -> str:
    return f": {_plain(asked.reason)}" if asked.reason else ""


def _plain(reason: str) -> str:
    return reason.rstrip(".")


def _count(orders: int) -> str:
    return "1 order" if orders == 1 else f"{orders} orders"
