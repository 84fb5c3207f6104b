"""A reconciliation as a whole: started, stopped, continued. Its row is the queue: the work is found there."""

from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from orders import journal
from orders.audit.subjects import Subject
from orders.reconciliation.models import Reconciliation, RunState, Scope
from orders.reconciliation.sentences import scope_words, sums

STEP = "RECONCILIATION"  # type of the journal's entries about them
LEASE = timedelta(minutes=5)  # longer than any part takes
SAID = {
    "STARTED": "Started",
    "STOPPED": "Stopped",
    "CONTINUED": "Continued",
    RunState.DONE.value: "Finished",
    RunState.FAILED.value: "Failed to finish",
}


class NotPossibleError(Exception):
    """What was asked for cannot be done with a reconciliation; the message says why."""


def start(
    scope: Scope,
    *,
    actor: str,
    now: datetime,
    account_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    night: date | None = None,
    holds: bool = False,
) -> Reconciliation:
    """Start a reconciliation; with ``holds`` the caller works on it, else whoever comes first.

    Raises NotPossibleError: where the same is under way, or nothing can be in it.
    """
    latest = now - settings.LATE_AFTER  # what is younger may still have its webhook under way
    if scope is not Scope.OPEN:
        until = min(until or latest, latest)
    if since and until and since >= until:
        raise NotPossibleError("Nothing can have been placed in that time.")
    run = Reconciliation(
        scope=scope,
        account_id=account_id,
        since=since,
        until=until,
        night=night,
        state=RunState.RUNNING,
        started_by=actor,
        started_at=now,
        leased_until=now + LEASE if holds else None,
    )
    with transaction.atomic():
        if night is None:
            _refuse_twins(run)
        run.save(force_insert=True)
        record(run, "STARTED", actor=actor, now=now)
    return run


def stop(pk: int, *, actor: str, now: datetime, at_once: bool = False) -> Reconciliation:
    """Have a reconciliation stopped: after the part in hand, or at once where nobody works on it.

    With ``at_once`` a part in hand does not count: it is repeated when it goes on.
    """
    rows = Reconciliation.objects.filter(pk=pk, state=RunState.RUNNING)
    with transaction.atomic():
        if not rows.update(stop_requested=True):
            raise NotPossibleError(f"Reconciliation {pk} is not running.")
        waits = rows.exclude(reason="")  # for upstream
        idle = rows if at_once else free(rows, now) | waits
        idle.update(state=RunState.STOPPED, ended_at=now, leased_until=None)
        run = Reconciliation.objects.get(pk=pk)
        record(run, "STOPPED", actor=actor, now=now)
    return run


def go_on(pk: int, *, actor: str, now: datetime, holds: bool = False) -> Reconciliation:
    """Continue one that was stopped or has failed, where it was."""
    with transaction.atomic():
        run = Reconciliation.objects.select_for_update().get(pk=pk)
        if run.state not in {RunState.STOPPED, RunState.FAILED}:
            raise NotPossibleError(f"Reconciliation {pk} is {RunState(run.state).label.lower()}.")
        _refuse_twins(run)
        run.state, run.stop_requested, run.reason = RunState.RUNNING, False, ""
        run.ended_at, run.leased_until = None, now + LEASE if holds else None
        run.save()
        record(run, "CONTINUED", actor=actor, now=now)
    return run


def waiting(now: datetime) -> QuerySet[Reconciliation]:
    """Return those under way that nobody works on."""
    return free(Reconciliation.objects.filter(state=RunState.RUNNING), now).order_by("pk")


def free(rows: QuerySet[Reconciliation], now: datetime) -> QuerySet[Reconciliation]:
    """Return those that nobody works on."""
    return rows.filter(Q(leased_until=None) | Q(leased_until__lt=now))


def _refuse_twins(run: Reconciliation) -> None:
    """Raise NotPossibleError where the same is under way: twice would cost twice and tell the same."""
    same = Reconciliation.objects.filter(state=RunState.RUNNING, scope=run.scope)
    other = same.filter(account_id=run.account_id).exclude(pk=run.pk).first()
    if other:
        raise NotPossibleError(
            f"Reconciliation {other.pk} ({scope_words(other)}) is under way: stop it, or wait for it."
        )


def record(run: Reconciliation, word: str, *, actor: str, now: datetime) -> None:
    """Note in the journal what became of one, and at whose hand."""
    came = f" {sums(run)}." if run.compared else ""
    why = f" {run.reason}" if run.reason else ""
    said = f"{SAID[word]} reconciliation {run.pk}: {scope_words(run)}.{came}{why}"
    subject = Subject("reconciliation", str(run.pk))
    journal.record_step(said, actor=actor, now=now, type_=STEP, word=word, subject=subject)
