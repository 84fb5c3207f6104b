"""What is compared each night: what was placed lately, by list; then what is open and older, one by one."""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders.reconciliation import runs
from orders.reconciliation.models import Reconciliation, Scope

PATIENCE = timedelta(
    hours=6
)  # a night that nobody began by then is left out: days belong to people


def begin_if_due(*, now: datetime) -> list[Reconciliation]:
    """Start the reconciliations of the night, unless another has: the database takes one of a scope."""
    night = night_of(now)
    if night is None:
        return []
    since = now - timedelta(days=settings.RECONCILE_DAYS)
    begun = Reconciliation.objects.filter(night=night).values_list("scope", flat=True)
    started = []
    for scope in sorted({Scope.WINDOW, Scope.OPEN} - set(begun), reverse=True):
        is_window = scope is Scope.WINDOW
        try:
            with transaction.atomic():
                run = runs.start(
                    scope,
                    actor="",
                    now=now,
                    night=night,
                    since=since if is_window else None,
                    until=None if is_window else since,  # what came later is in the window's list
                )
        except IntegrityError:
            continue  # another beat was faster
        started.append(run)
    return started


def night_of(now: datetime) -> date | None:
    """Return the night whose reconciliations are due, by the day on which it began; None if none is."""
    if settings.RECONCILE_AT is None:
        return None
    here = timezone.localtime(now)
    for day in (here.date(), here.date() - timedelta(days=1)):
        began = timezone.make_aware(datetime.combine(day, settings.RECONCILE_AT))
        if began <= now < began + PATIENCE:
            return day
    return None
