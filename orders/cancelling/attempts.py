"""An attempt to send a cancellation: committed before the request goes out, so that a dead process leaves UNKNOWN."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from orders.actors import requested
from orders.asking.leases import MODELS
from orders.cancelling import schedule, steps, words
from orders.cancelling.models import SENDABLE
from orders.models import Cancellation, CancellationState
from orders.timeline.reports import ENDS
from orders.timeline.sentences import status_word

TOO_LATE = "An hour has passed since the request. Check the order and request it again if needed."


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to send one cancellation until ``until``, and how the cancellation was before."""

    pk: int
    at: datetime
    until: datetime
    state: str
    attempts: int
    sent_at: datetime | None

    @property
    def number(self) -> int:
        """Return which attempt it is, from 1 on."""
        return self.attempts + 1


def locked(pk: int) -> Cancellation:
    """Return a cancellation, locked until the transaction ends."""
    return Cancellation.objects.select_for_update(no_key=True).get(pk=pk)


def status_of(held: Cancellation) -> str:
    """Return the status of what it is to end, as we hold it; "" where we do not."""
    rows = MODELS[held.kind].objects.filter(pk=held.about)
    return rows.values_list("status", flat=True).first() or ""


def begin(pk: int, *, is_pressed: bool = False, now: datetime) -> Attempt | None:
    """Commit that a cancellation is being sent; None if it is not due, another sends it, or it is over.

    ``is_pressed``: who asked for it waits at the screen; else the desk sends it by itself.

    From here on nobody knows whether upstream has it until an answer says so. Refuses to run in a
    transaction, which could take it back.
    """
    with transaction.atomic(durable=True):
        held = locked(pk)
        if not _is_due(held, now):
            return None
        _note_if_cut_short(held, now=now)
        if reason := _why_over(held, now):
            _end(held, reason, now=now)
            return None
        attempt = Attempt(
            pk=pk,
            at=now,
            until=now + schedule.LEASE,
            state=held.state,
            attempts=held.attempts,
            sent_at=held.sent_at,
        )
        held.state = CancellationState.UNKNOWN
        held.attempts, held.sent_at = attempt.number, now
        held.sending_until = held.next_attempt_at = attempt.until
        held.save()
        actor = held.requested_by if is_pressed else ""
        how = "" if is_pressed else f", automatic{requested(held.requested_by)}"
        steps.note(held, words.SENT, f"Attempt {attempt.number}{how}", actor=actor, now=now)
    return attempt


def _is_due(held: Cancellation, now: datetime) -> bool:
    is_free = held.sending_until is None or held.sending_until < now
    is_due = held.next_attempt_at is not None and held.next_attempt_at <= now
    return held.state in SENDABLE and is_free and is_due


def _note_if_cut_short(held: Cancellation, *, now: datetime) -> None:
    """Note that the process of the last attempt died: nobody knows whether the request arrived."""
    if held.sending_until is not None:
        held.sending_until = None
        held.reason = f"Attempt {held.attempts} was interrupted on our side."
        steps.note(held, words.UNKNOWN, held.reason, now=now)


def _why_over(held: Cancellation, now: datetime) -> str:
    """Return why it is not sent any more; "" if it is."""
    status = status_of(held)
    if status in ENDS:
        return f"The order is already {status_word(status)}."
    return TOO_LATE if schedule.is_over(held.requested_at, now=now) else ""


def _end(held: Cancellation, reason: str, *, now: datetime) -> None:
    held.next_attempt_at = None
    held.save()
    steps.note(held, words.OVER, reason, now=now)
