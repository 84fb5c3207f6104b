"""What an attempt came to: accepted, refused, not sent, or open. Each in one transaction with its step."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from orders import journal
from orders.attributes import UnreadableError, clean, uuid
from orders.lifecycle import Kind
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing import looking_up, schedule, steps
from orders.placing.attempts import Attempt, locked
from orders.placing.looking_up import Candidate
from orders.placing.verdicts import (
    Acceptance,
    Verdict,
    is_the_end,
    read_acceptance,
    verdict,
)
from orders.tracked import Source

logger = logging.getLogger(__name__)


def conclude(attempt: Attempt, answer: Answer, *, now: datetime) -> JournalEntry | UUID | None:
    """Write down a 2xx: whenever it comes, upstream has the order.

    Returns what is to be shown of it: the journal entry to apply, or the portfolio order to ask for.
    """
    with transaction.atomic():
        held, said = locked(attempt.pk), read_acceptance(answer.payload)
        if held.state == PlacementState.ACCEPTED:  # a later attempt was faster
            _compare(held, said, now=now)
            return None
        if reason := _why_not_ours(held, said, answer.payload):
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
            actor="",  # the broker says it, nobody here
            now=now,
            request_id=answer.request_id,
            placement_id=held.pk,
        )


def accept(held: Placement, portfolio_order_id: UUID) -> None:
    """Resolve a locked placement as that portfolio order."""
    held.state, held.portfolio_order_id = PlacementState.ACCEPTED, portfolio_order_id
    held.sending_until = held.next_attempt_at = None
    held.reason = ""
    held.save()


def fail(attempt: Attempt, error: InvestmentAPIError, *, now: datetime) -> bool:
    """Write down an attempt without a 2xx: refused only where that is sure, never sent, or open.

    Returns whether it is to be looked up now: it was refused, but an earlier attempt was not answered.
    """
    with transaction.atomic():
        held = locked(attempt.pk)
        what = verdict(error, unanswered_at=held.unanswered_at, now=now)
        wait = error.retry_after if isinstance(error, UnavailableError) else None
        if held.sending_until != attempt.until or what is Verdict.OPEN:
            _leave_open(held, attempt, str(error), wait=wait, now=now)
            return False
        if what is Verdict.NOT_SENT:
            _take_back(held, attempt, str(error), wait=wait, now=now)
        elif what is Verdict.REFUSED:
            _refuse(held, error, now=now)
        else:
            _leave_refused(held, error, now=now)
    return what is Verdict.REFUSED_IN_DOUBT


def end_doubt(
    attempt: Attempt, error: InvestmentAPIError, found: Sequence[Candidate], *, now: datetime
) -> None:
    """Take a refusal for the end of a placement that was looked up since, where nothing speaks against it.

    Else it stays unknown and goes on: the same key may yet be answered like the attempt that succeeded.
    """
    with transaction.atomic():
        held = locked(attempt.pk)
        is_last = held.attempts == attempt.number and held.sending_until is None
        if held.state != PlacementState.UNKNOWN or not is_last:
            return
        if is_the_end(error) and not any(it.may_be_it for it in found):
            _refuse(held, error, now=now)


def _take_back(
    held: Placement, attempt: Attempt, reason: str, *, wait: timedelta | None, now: datetime
) -> None:
    held.state, held.attempts = attempt.state, attempt.attempts
    held.first_sent_at, held.sent_at = attempt.first_sent_at, attempt.sent_at
    held.sending_until, held.reason = None, clean(reason, 2000)
    pause = schedule.wait_unsent(held.submitted_at, now=now)
    held.next_attempt_at = now + max(pause, wait or pause)
    held.save()
    steps.note(held, steps.NOT_SENT, f"Not sent: {reason}", now=now)


def _refuse(held: Placement, error: InvestmentAPIError, *, now: datetime) -> None:
    held.state, held.problem = PlacementState.REFUSED, error.body
    held.sending_until = held.next_attempt_at = None
    held.reason = clean(error, 2000)
    held.save()
    steps.note(held, steps.REFUSED, f"Refused by the broker: {error}", now=now)


def _leave_refused(held: Placement, error: InvestmentAPIError, *, now: datetime) -> None:
    """Leave the result unknown though this attempt was refused: an earlier one may yet be accepted."""
    earliest = (held.unanswered_at or now) + schedule.OVER_AFTER
    reason = f"{error}. An earlier attempt has no answer yet and may have been accepted"
    said = f"Attempt {held.attempts} was refused, the result is still unknown"
    _go_on(held, reason, said, wait=earliest - now, now=now)


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
        return _go_on(held, reason, f"No answer to attempt {held.attempts}", wait=wait, now=now)
    # It comes after its lease: the next attempt decides, or has decided.
    reason = f"Attempt {attempt.number} ended late: {reason}"
    steps.note(held, steps.UNKNOWN, reason, now=now)
    return None


def _go_on(
    held: Placement, reason: str, said: str, *, wait: timedelta | None, now: datetime
) -> None:
    held.sending_until, held.reason = None, clean(reason, 2000)
    held.next_attempt_at = schedule.next_attempt(
        attempts=held.attempts,
        pk=held.pk,
        first_sent_at=held.first_sent_at or now,
        now=now,
        wait=wait,
    )
    held.save()
    steps.note(held, steps.UNKNOWN, f"{said}: {reason}", now=now)


def _why_not_ours(held: Placement, said: Acceptance, payload: Any) -> str:
    """Return why the portfolio order of an answer is another's, so that ours is still to be found; "" if it is not."""
    rows = Placement.objects.filter(portfolio_order_id=said.portfolio_order_id)
    owner = rows.exclude(pk=held.pk).values_list("pk", flat=True).first()
    if owner:
        return f"The broker answered with the order of placement {owner}."
    try:
        account = uuid(payload, "account_id")
    except UnreadableError:
        return ""
    if account in (None, held.account_id):
        return ""
    return (
        f"The broker answered with portfolio order {said.portfolio_order_id} of account {account}."
    )


def _accepted(held: Placement, said: Acceptance, payload: Any) -> str:
    text = f"Accepted by the broker as portfolio order {said.portfolio_order_id}"
    other = looking_up.difference(held, payload) if said.is_whole else ""
    return f"{text}. It is not what was requested. {other}" if other else text


def _compare(held: Placement, said: Acceptance, *, now: datetime) -> None:
    """Say aloud where upstream answered one key with two orders."""
    if said.portfolio_order_id == held.portfolio_order_id:
        return
    text = (
        f"The broker also answered with portfolio order {said.portfolio_order_id}: check it there"
    )
    logger.error("Placement %s has two orders. %s", held.pk, text)
    steps.note(held, steps.UNKNOWN, text, now=now)
