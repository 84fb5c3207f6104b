"""An attempt to send a placement: committed before the request goes out, so that a dead process leaves UNKNOWN."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from orders.actors import requested
from orders.models import Placement, PlacementState
from orders.placing import schedule, steps
from orders.placing.models import SENDABLE


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to send one placement until ``until``, and how the placement was before."""

    pk: UUID
    body: bytes
    at: datetime
    until: datetime
    state: str
    attempts: int
    first_sent_at: datetime | None
    sent_at: datetime | None

    @property
    def number(self) -> int:
        """Return which attempt it is, from 1 on."""
        return self.attempts + 1


def locked(pk: UUID) -> Placement:
    """Return a placement, locked until the transaction ends."""
    return Placement.objects.select_for_update(no_key=True).get(pk=pk)


def begin(pk: UUID, *, actor: str, now: datetime, is_early: bool = False) -> Attempt | None:
    """Commit that a placement is being sent; None if it is not due, if another sends it, or if it is too late.

    ``actor`` is the person who has it sent; "" where the desk does by itself. With ``is_early`` the
    time of the next attempt need not have come: a person does not want to wait for it. From here on
    its result is unknown until an answer says otherwise. Refuses to run in a transaction, which could
    take it back.
    """
    with transaction.atomic(durable=True):
        held = locked(pk)
        is_due = is_sendable(held, now) if is_early else _is_due(held, now)
        if not is_due or not schedule.may_be_sent(held.first_sent_at, now=now):
            return None
        _note_if_cut_short(held, now=now)
        attempt = Attempt(
            pk=pk,
            body=bytes(held.body),
            at=now,
            until=now + schedule.LEASE,
            state=held.state,
            attempts=held.attempts,
            first_sent_at=held.first_sent_at,
            sent_at=held.sent_at,
        )
        held.state = PlacementState.UNKNOWN
        held.attempts, held.sent_at = attempt.number, now
        held.first_sent_at = held.first_sent_at or now
        held.sending_until = held.next_attempt_at = attempt.until
        held.save()
        steps.note(held, steps.SENT, _sent(held, actor), actor=actor, now=now)
    return attempt


def _sent(held: Placement, actor: str) -> str:
    """Return who sends it: the person who pressed a button, or the desk by itself."""
    if actor:
        return f"Sent to the broker by {actor}, attempt {held.attempts}"
    how = "Sent" if held.attempts == 1 else "Sent again"
    return f"{how} automatically, attempt {held.attempts}{requested(held.submitted_by)}"


def begin_look_up(pk: UUID, *, now: datetime) -> Placement | None:
    """Claim a placement that is due and can no longer be sent; None where there is nothing to look up yet."""
    with transaction.atomic(durable=True):
        held = locked(pk)
        if not _is_due(held, now) or schedule.may_be_sent(held.first_sent_at, now=now):
            return None
        _note_if_cut_short(held, now=now)
        known_from = schedule.settled_from(held.first_sent_at)
        is_time = now >= known_from
        held.sending_until = now + schedule.LEASE if is_time else None
        held.next_attempt_at = now + schedule.LEASE if is_time else known_from
        held.save()
    return held if is_time else None


def is_sendable(held: Placement, now: datetime) -> bool:
    """Whether it waits for an attempt, now or later, and nobody makes one at this moment."""
    is_free = held.sending_until is None or held.sending_until < now
    return held.state in SENDABLE and is_free and held.next_attempt_at is not None


def _is_due(held: Placement, now: datetime) -> bool:
    at = held.next_attempt_at
    return at is not None and at <= now and is_sendable(held, now)


def _note_if_cut_short(held: Placement, *, now: datetime) -> None:
    """Note that the process of the last attempt died: nobody knows whether the request arrived."""
    if held.sending_until is None:
        return
    held.sending_until = None
    if held.state == PlacementState.UNKNOWN:
        held.unanswered_at = held.sent_at
        held.reason = f"Attempt {held.attempts} was interrupted on our side."
        steps.note(held, steps.UNKNOWN, held.reason, now=now)


def end_look_up(held: Placement, *, next_at: datetime | None) -> None:
    """Give the claim back; with ``next_at`` it is looked up again then, else it waits for people."""
    rows = Placement.objects.filter(pk=held.pk, sending_until=held.sending_until)
    rows.update(sending_until=None, next_attempt_at=next_at)
