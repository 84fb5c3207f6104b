"""What an attempt came to: accepted, refused, not sent, or open. Each in one transaction with its step."""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from orders import journal
from orders.attributes import UnreadableError, clean
from orders.lifecycle import Kind
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing import looking_up, schedule, steps
from orders.placing.attempts import Attempt, locked
from orders.placing.verdicts import Acceptance, Verdict, read_acceptance, verdict
from orders.tracked import Source

logger = logging.getLogger(__name__)

NO_ID = "The broker answered 2xx without saying which portfolio order it made of it."


def conclude(attempt: Attempt, answer: Answer, *, now: datetime) -> JournalEntry | UUID | None:
    """Write down a 2xx: whenever it comes, upstream has the order.

    Returns what is to be shown of it: the journal entry to apply, or the portfolio order to ask for.
    """
    with transaction.atomic():
        held, said = locked(attempt.pk), read_acceptance(answer.payload)
        if held.state == PlacementState.ACCEPTED:  # a later attempt was faster
            _compare(held, said, now=now)
            return None
        owner = _owner(held, said)
        if said is None or owner:
            reason = f"The broker answered with the order of placement {owner}." if owner else NO_ID
            _leave_open(held, attempt, reason, now=now)
            return None
        steps.note(held, steps.ACCEPTED, _accepted(held, said, answer.payload), now=now)
        accept(held, said.portfolio_order_id)
        if not said.is_whole:
            return said.portfolio_order_id
        return journal.record_answer(
            Kind.PORTFOLIO_ORDER,
            answer.payload,
            about=said.portfolio_order_id,
            source=Source.STAFF,
            actor=held.submitted_by,
            now=now,
            request_id=answer.request_id,
            placement_id=held.pk,
        )


def accept(held: Placement, portfolio_order_id: UUID) -> None:
    """Settle a locked placement as that portfolio order."""
    held.state, held.portfolio_order_id = PlacementState.ACCEPTED, portfolio_order_id
    held.sending_until = held.next_attempt_at = None
    held.reason = ""
    held.save()


def fail(attempt: Attempt, error: InvestmentAPIError, *, now: datetime) -> None:
    """Write down an attempt without a 2xx: refused only where that is sure, never sent, or open."""
    with transaction.atomic():
        held = locked(attempt.pk)
        what = verdict(error, unanswered_at=held.unanswered_at, now=now)
        wait = error.retry_after if isinstance(error, UnavailableError) else None
        if held.sending_until != attempt.until or what is Verdict.OPEN:
            _leave_open(held, attempt, str(error), wait=wait, now=now)
        elif what is Verdict.NOT_SENT:
            _take_back(held, attempt, str(error), wait=wait, now=now)
        elif what is Verdict.REFUSED:
            _refuse(held, error, now=now)
        else:
            _leave_refused(held, error, now=now)


def _take_back(
    held: Placement, attempt: Attempt, reason: str, *, wait: timedelta | None, now: datetime
) -> None:
    held.state, held.attempts = attempt.state, attempt.attempts
    held.first_sent_at, held.sent_at = attempt.first_sent_at, attempt.sent_at
    held.sending_until, held.reason = None, clean(reason, 2000)
    pause = schedule.wait_unsent(held.submitted_at, now=now)
    held.next_attempt_at = now + max(pause, wait or pause)
    held.save()
    steps.note(held, steps.NOT_SENT, f"It was not sent after all: {reason}", now=now)


def _refuse(held: Placement, error: InvestmentAPIError, *, now: datetime) -> None:
    held.state, held.problem = PlacementState.REFUSED, error.body
    held.sending_until = held.next_attempt_at = None
    held.reason = clean(error, 2000)
    held.save()
    steps.note(held, steps.REFUSED, f"Refused by the broker: {error}", now=now)


def _leave_refused(held: Placement, error: InvestmentAPIError, *, now: datetime) -> None:
    """Keep the fate open though this attempt was refused: an earlier one may yet be accepted."""
    earliest = (held.unanswered_at or now) + schedule.OVER_AFTER
    reason = f"{error}. An earlier attempt is still open, so this is not its end"
    _go_on(held, reason, wait=earliest - now, now=now)


def _leave_open(
    held: Placement,
    attempt: Attempt,
    reason: str,
    *,
    wait: timedelta | None = None,
    now: datetime,
) -> None:
    if held.sending_until == attempt.until:
        held.unanswered_at = attempt.at
        return _go_on(held, reason, wait=wait, now=now)
    # It comes after its lease: the next attempt decides, or has decided.
    reason = f"Attempt {attempt.number} ended late: {reason}"
    steps.note(held, steps.UNKNOWN, reason, now=now)
    return None


def _go_on(held: Placement, reason: str, *, wait: timedelta | None, now: datetime) -> None:
    held.sending_until, held.reason = None, clean(reason, 2000)
    held.next_attempt_at = schedule.next_attempt(
        attempts=held.attempts,
        pk=held.pk,
        first_sent_at=held.first_sent_at or now,
        now=now,
        wait=wait,
    )
    held.save()
    steps.note(held, steps.UNKNOWN, f"Attempt {held.attempts} is open: {reason}", now=now)


def _owner(held: Placement, said: Acceptance | None) -> UUID | None:
    """Return which other placement the portfolio order belongs to: that of ours is still to be found."""
    if said is None:
        return None
    rows = Placement.objects.filter(portfolio_order_id=said.portfolio_order_id)
    return rows.exclude(pk=held.pk).values_list("pk", flat=True).first()


def _accepted(held: Placement, said: Acceptance, payload: Any) -> str:
    text = f"Accepted by the broker as portfolio order {said.portfolio_order_id}"
    try:
        other = looking_up.difference(held, payload) if said.is_whole else ""
    except UnreadableError as error:
        other = str(error)
    return f"{text}. It is not as asked for: {other}" if other else text


def _compare(held: Placement, said: Acceptance | None, *, now: datetime) -> None:
    """Say aloud where upstream answered one key with two orders."""
    if said is None or said.portfolio_order_id == held.portfolio_order_id:
        return
    text = f"The broker also answered with portfolio order {said.portfolio_order_id}: look it up"
    logger.error("Placement %s has two orders. %s", held.pk, text)
    steps.note(held, steps.UNKNOWN, text, now=now)
