"""What an attempt came to: taken, refused, not sent, or open. Each in one transaction with its step."""

from datetime import datetime, timedelta

from django.db import transaction

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from orders.attributes import clean
from orders.cancelling import attempts, schedule, steps, words
from orders.cancelling.answers import Meaning, meaning
from orders.cancelling.attempts import Attempt, locked
from orders.models import Cancellation, CancellationState


def take(attempt: Attempt, answer: Answer, *, now: datetime) -> None:
    """Write down a 2xx, whichever: upstream has the request. What it makes of it is told later."""
    with transaction.atomic():
        held = locked(attempt.pk)
        if held.state == CancellationState.TAKEN:  # a later attempt was faster
            return
        held.state, held.answered_at, held.reason = CancellationState.TAKEN, now, ""
        held.sending_until = None
        held.next_attempt_at = schedule.next_look(now, now=now)
        held.save()
        request = f", request {clean(answer.request_id, 64)}" if answer.request_id else ""
        steps.note(held, words.TAKEN, f"Answer {answer.status}{request}", now=now)


def fail(attempt: Attempt, error: InvestmentAPIError, *, now: datetime) -> None:
    """Write down an attempt without a 2xx: refused for now, never sent, or open. Never a fact of the order."""
    what, reason = meaning(error), clean(error, 2000)
    wait = error.retry_after if isinstance(error, UnavailableError) else None
    with transaction.atomic():
        held = locked(attempt.pk)
        if held.sending_until != attempt.until:  # after its lease: a later attempt has decided
            reason = f"Attempt {attempt.number} ended late: {reason}"
            steps.note(held, words.UNKNOWN, reason, now=now)
            return
        held.sending_until, held.reason = None, reason
        if what is Meaning.NOT_SENT:
            _take_back(held, attempt, wait=wait, now=now)
        elif what is Meaning.REFUSED:
            held.state, held.answered_at = CancellationState.REFUSED, now
            held.next_attempt_at = None
        else:
            held.next_attempt_at = schedule.next_attempt(
                attempts=held.attempts,
                about=held.about,
                requested_at=held.requested_at,
                now=now,
                wait=wait,
            )
        held.save()
        steps.note(held, _WORDS[what], reason, now=now)
        if what is not Meaning.REFUSED and held.next_attempt_at is None:
            steps.note(held, words.OVER, attempts.TOO_LATE, now=now)


_WORDS = {
    Meaning.NOT_SENT: words.NOT_SENT,
    Meaning.REFUSED: words.REFUSED,
    Meaning.OPEN: words.UNKNOWN,
}


def _take_back(
    held: Cancellation, attempt: Attempt, *, wait: timedelta | None, now: datetime
) -> None:
    held.state, held.attempts, held.sent_at = attempt.state, attempt.attempts, attempt.sent_at
    held.next_attempt_at = schedule.wait_unsent(requested_at=held.requested_at, now=now, wait=wait)
