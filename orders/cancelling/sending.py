"""Sending cancellations, one attempt at a time, and looking what became of what upstream has taken."""

import logging
import time
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.utils import timezone

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.calls import DEADLINE
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from orders.asking import asks
from orders.cancelling import attempts, concluding, looking
from orders.lifecycle import Kind
from orders.models import Cancellation, CancellationState

logger = logging.getLogger(__name__)


def due(*, now: datetime, most: int | None = None) -> list[int]:
    """Return what to send or to look after now, the longest overdue first; nothing while upstream wants no requests."""
    if asks.paused_until(Urgency.SUBMISSION):
        return []
    rows = Cancellation.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
    return list(rows.values_list("pk", flat=True)[:most])


def send(pk: int, *, patience: float | None = None) -> Cancellation:
    """Make one attempt if it is due and nobody else makes one; look after the order once it was taken.

    Not to be called in a transaction. ``patience`` is how many seconds a person at a screen waits;
    what is not answered by then is sent again later, as after any other silence. Returns the
    cancellation as it is then. May be called twice, or never: the sweep calls too.
    """
    client = api()
    until = None if patience is None else time.monotonic() + patience
    attempt = attempts.begin(pk, is_pressed=patience is not None, now=timezone.now())
    held = Cancellation.objects.get(pk=pk)
    if attempt is None:
        if held.state == CancellationState.TAKEN:
            looking.look_again(held)
        return Cancellation.objects.get(pk=pk)
    call = client.cancel_order if held.kind is Kind.ORDER else client.cancel_portfolio_order
    try:
        answer = call(
            held.about,
            urgency=Urgency.SUBMISSION if patience is None else Urgency.PERSON,
            deadline=DEADLINE if patience is None else patience,
        )
    except InvestmentAPIError as error:
        concluding.fail(attempt, error, now=timezone.now())
    else:
        concluding.take(attempt, answer, now=timezone.now())
    held = Cancellation.objects.get(pk=pk)
    if held.answered_at is not None and held.answered_at >= attempt.at:
        _look(held, until)
    return held


def _look(held: Cancellation, until: float | None) -> None:
    """Ask at once what became of the order. Whatever fails here, others make up for it."""
    left = None if until is None else timedelta(seconds=max(until - time.monotonic(), 1.0))
    try:
        looking.look(held, patience=left)
    except DatabaseError as error:
        logger.warning(
            "A cancelled order is asked about later: %s: %s", type(error).__name__, error
        )
