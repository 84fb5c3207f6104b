"""Reconciliations in tests: run to their end, and what came of them."""

from datetime import timedelta

from django.utils import timezone

from orders.reconciliation import runs, work
from orders.reconciliation.models import Scope
from tests.upstream import START

DAY = timedelta(days=1)
COUNTS = ("compared", "equal", "repaired", "differing", "unknown_here", "unknown_there")


def begin(scope=Scope.WINDOW, **more):
    """Start one as a person would."""
    if scope is Scope.WINDOW:
        more.setdefault("since", START - DAY)
    return runs.start(scope, actor="ada", now=timezone.now(), **more)


def take(run):
    """Take the right to work on one that nobody works on."""
    its = work.Work.take(run.pk)
    assert its
    return its


def reconcile(scope=Scope.WINDOW, **more):
    """Run one from its beginning to its end; return it."""
    run = begin(scope, **more)
    while work.shift(run.pk):
        pass
    run.refresh_from_db()
    return run


def through(upstream, run, *, most=200):
    """Work on one as workers and the sweep do, whatever the broker says meanwhile; return it."""
    for _ in range(most):
        if not work.shift(run.pk):
            run.refresh_from_db()
            if run.state != "RUNNING":
                return run
            upstream.wait(seconds=120)
    raise AssertionError(f"it does not come to an end: {run.position} {run.reason}")


def counts(run):
    """Return the counts of a reconciliation that are not 0."""
    return {name: value for name in COUNTS if (value := getattr(run, name))}


def findings(run):
    """Return its findings in words."""
    return [(it.verdict, it.detail) for it in run.findings.all()]


def objects(upstream):
    """Return how many portfolio orders and orders upstream has."""
    return len(upstream.market.portfolio_orders()) + len(upstream.market.orders())
