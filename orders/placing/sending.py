"""Sending placements: one attempt at a time, and looking up what can no longer be sent."""

import logging
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.calls import DEADLINE
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from orders import projection
from orders.asking import asks, checking
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome, Placement
from orders.placing import attempts, concluding, looking_up, schedule
from orders.placing.attempts import Attempt
from orders.placing.errors import NotPossibleError

logger = logging.getLogger(__name__)


def due(*, now: datetime, most: int | None = None) -> list[UUID]:
    """Return what to send or look up now, the longest overdue first; nothing while upstream wants no requests."""
    if asks.paused_until(Urgency.SUBMISSION):
        return []
    rows = Placement.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
    return list(rows.values_list("pk", flat=True)[:most])


def send(
    pk: UUID, *, patience: float | None = None, actor: str = "", is_early: bool = False
) -> Placement:
    """Make one attempt if it is due and nobody else makes one; look it up instead where it is too late.

    Not to be called in a transaction. ``patience`` is how many seconds a person at a screen waits;
    what is not answered by then is sent again later, as after any other silence. With ``is_early``
    it does not wait for the time of the next attempt. Returns the placement as it is then. May be
    called twice, or never: the sweep calls too.
    """
    client = api()
    attempt = attempts.begin(pk, actor=actor, now=timezone.now(), is_early=is_early)
    if attempt is None:
        _look_up(pk)
        return Placement.objects.get(pk=pk)
    urgency = Urgency.SUBMISSION if patience is None else Urgency.PERSON
    deadline = DEADLINE if patience is None else patience
    try:
        answer = client.place_portfolio_order(
            attempt.body, idempotency_key=pk, urgency=urgency, deadline=deadline
        )
    except InvestmentAPIError as error:
        if concluding.fail(attempt, error, now=timezone.now()):
            _look_up_refused(attempt, error, urgency, deadline)
    else:
        told = concluding.conclude(attempt, answer, now=timezone.now())
        _show(told)
    return Placement.objects.get(pk=pk)


def _show(told: JournalEntry | UUID | None) -> None:
    """Have the row of the new portfolio order at once. Whatever fails here, others make up for it."""
    try:
        if isinstance(told, JournalEntry):
            if told.outcome == Outcome.PENDING:
                projection.drain(now=timezone.now(), only=[told.pk])
                return
            told = told.portfolio_order_id
        if told is not None:
            checking.check_at_once(Kind.PORTFOLIO_ORDER, told, patience=checking.PATIENCE)
    except DatabaseError as error:
        logger.warning("An accepted order is shown later: %s: %s", type(error).__name__, error)


def _look_up_refused(
    attempt: Attempt, error: InvestmentAPIError, urgency: Urgency, deadline: float
) -> None:
    """Look up what was refused after an attempt that was not answered: that one may have been accepted.

    If that cannot be done now, the next attempt brings it here again.
    """
    held = Placement.objects.get(pk=attempt.pk)
    try:
        found = looking_up.look_up(held, urgency=urgency, deadline=deadline)
    except (InvestmentAPIError, NotPossibleError) as lost:
        logger.warning("Placement %s could not be looked up: %s", attempt.pk, lost)
    else:
        concluding.end_doubt(attempt, error, found, now=timezone.now())


def _look_up(pk: UUID) -> None:
    """Look up a placement that can no longer be sent, if it is time; then a person decides."""
    held = attempts.begin_look_up(pk, now=timezone.now())
    if held is None:
        return
    try:
        looking_up.look_up(held, urgency=Urgency.SUBMISSION)
    except InvestmentAPIError as error:
        logger.warning("Placement %s could not be looked up: %s", pk, error)
        attempts.end_look_up(held, next_at=timezone.now() + schedule.LONGEST_WAIT)
    except NotPossibleError:  # resolved meanwhile
        attempts.end_look_up(held, next_at=None)
    else:
        attempts.end_look_up(held, next_at=None)
