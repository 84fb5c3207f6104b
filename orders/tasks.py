"""The tasks: bells, nothing more. The rows are the queue, so each may run twice, or never.

No retries: what failed is in the journal and sets its own next check. Where the database is away,
the next sweep finds the work.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.utils import timezone

from backoffice import doorbell
from backoffice.audit import asked_from
from backoffice.investment_api.errors import InvestmentAPIError
from orders import intake, projection, pulse
from orders.asking import checking, discovery, polling
from orders.cancelling import sending as cancelling
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome
from orders.placing import sending as placing
from orders.reconciliation import nightly, runs, work

logger = logging.getLogger(__name__)

BATCHES = 10  # of one drain: then others get their turn
SWEEP = 15  # seconds between two sweeps


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def drain() -> None:
    """Apply what is pending; ring again if there is more."""
    doorbell.answer(drain)
    with _left_to_the_next_sweep("Applying"):
        if projection.drain(now=timezone.now(), most=BATCHES).is_cut_short:
            doorbell.ring_once(drain)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def sweep() -> None:
    """Ring for all that nobody rang for: what is pending, and what is due to be asked about."""
    with _left_to_the_next_sweep("The sweep"):
        pulse.note(now=timezone.now())
        for task, *arguments in _to_ring_for(timezone.now()):
            if not doorbell.ring(task, *arguments):
                return


def _to_ring_for(now: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the tasks that have work, with their arguments: what people wait for first."""
    if intake.is_waiting() or JournalEntry.objects.filter(outcome=Outcome.PENDING).exists():
        yield (drain,)
    # As many as the budget lets through before the next sweep finds the rest.
    most = settings.INVESTMENT_API_MAX_RPS * SWEEP
    for placement in placing.due(now=now, most=most):
        yield send_placement, str(placement)
    for cancellation in cancelling.due(now=now, most=most):
        yield send_cancellation, cancellation
    if checking.due(now=now, most=1):
        yield (check_due,)
    for run in runs.waiting(now):
        yield reconcile, run.pk


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def send_placement(placement_id: str) -> None:
    """Send a placement, if it is due."""
    with _left_to_the_next_sweep("Sending"):
        placing.send(UUID(placement_id))


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def send_cancellation(cancellation_id: int) -> None:
    """Send a cancellation, or look what became of one that was taken, if it is due."""
    with _left_to_the_next_sweep("Cancelling"):
        cancelling.send(cancellation_id)


# It claims for a short while only, but a call that has begun is brought to its end, with those that follow.
@shared_task(acks_late=True, ignore_result=True, soft_time_limit=150, time_limit=180)
def check_due() -> None:
    """Ask upstream about what is due, for a while, unless another process does; ring again if there is more."""
    with _left_to_the_next_sweep("Checking"):
        if polling.take_turn(now=timezone.now()):
            doorbell.ring(check_due)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def check_portfolio_order(portfolio_order_id: str) -> None:
    """Ask upstream about one portfolio order, if it is due."""
    with _left_to_the_next_sweep("A check"):
        checking.check(Kind.PORTFOLIO_ORDER, UUID(portfolio_order_id))


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def check_order(order_id: str) -> None:
    """Ask upstream about one order without a portfolio order here, if it is due."""
    with _left_to_the_next_sweep("A check"):
        checking.check(Kind.ORDER, UUID(order_id))


# After an outage the list is long.
@shared_task(acks_late=True, ignore_result=True, soft_time_limit=780, time_limit=840)
def discover() -> None:
    """List what upstream has, if this quarter of an hour has not had its round."""
    with _left_to_the_next_sweep("Discovery"):
        try:
            discovery.discover(now=timezone.now())
        except InvestmentAPIError as error:
            logger.warning("Discovery failed: %s", error)


# Longer than its time at work: a part that has begun is brought to its end.
@shared_task(acks_late=True, ignore_result=True, soft_time_limit=420, time_limit=440)
def reconcile(pk: int) -> None:
    """Work on a reconciliation for a while, if nobody does; ring again if there is more."""
    with _left_to_the_next_sweep("A reconciliation"):
        if work.shift(pk):
            doorbell.ring(reconcile, pk)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def reconcile_nightly() -> None:
    """Start what is compared each night, if it is time and nobody has."""
    with _left_to_the_next_sweep("The start of a night's reconciliations"):
        for run in nightly.begin_if_due(now=timezone.now()):
            doorbell.ring(reconcile, run.pk)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def refetch_portfolio_order(portfolio_order_id: str, actor: str, address: str = "") -> None:
    """Ask upstream about one portfolio order because ``actor`` at ``address`` wants it."""
    with asked_from(address), _left_to_the_next_sweep("A refetch"):
        checking.refetch(Kind.PORTFOLIO_ORDER, UUID(portfolio_order_id), actor=actor)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def refetch_order(order_id: str, actor: str, address: str = "") -> None:
    """Ask upstream about one order because ``actor`` at ``address`` wants it."""
    with asked_from(address), _left_to_the_next_sweep("A refetch"):
        checking.refetch(Kind.ORDER, UUID(order_id), actor=actor)


@contextmanager
def _left_to_the_next_sweep(what: str) -> Iterator[None]:
    try:
        yield
    except DatabaseTrouble as error:
        logger.warning("%s was cut short: %s: %s", what, type(error).__name__, error)
