"""Reconciliations in words: what is compared, how far it is, what came of it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from orders.reconciliation.models import Reconciliation, RunState, Scope

COUNTS = {
    "equal": "equal",
    "repaired": "corrected",
    "differing": "still different",
    "unknown_here": "were missing here",
    "unknown_there": "not known at the broker",
}
WORRIES = ("differing", "unknown_there")  # what people have to look at
PHASES = {
    "listed": "portfolio orders listed by the broker",
    "NEW": "new orders of the account",
    "PROCESSING": "processing orders of the account",
    "FILLED": "filled orders of the account",
    "CANCELLED": "cancelled orders of the account",
    "ours": "orders here that the broker did not list",
    "open": "open portfolio orders",
    "alone": "open orders without a portfolio order",
}


def scope_words(run: Reconciliation) -> str:
    """Return what is compared: "Account 1f2e…", "Placed 1 Mar 2026 00:00 to …", "Everything open"."""
    if run.scope == Scope.ACCOUNT:
        return f"Account {run.account_id}"
    if run.scope == Scope.WINDOW:
        return f"Placed {_moment(run.since)} to {_moment(run.until)}"
    return f"Everything open placed before {_moment(run.until)}" if run.until else "Everything open"


def sums(run: Reconciliation) -> str:
    """Return what came of it: "1,204 compared: 1,200 equal, 4 corrected, 0 still different, …"."""
    parts = ", ".join(f"{getattr(run, name):,} {said}" for name, said in COUNTS.items())
    return f"{run.compared:,} compared: {parts}"


def progress(run: Reconciliation) -> str:
    """Return how far one under way is: "200 of 1,204 portfolio orders listed by the broker"."""
    position: Mapping[str, Any] = run.position or {}
    words = PHASES.get(position.get("phase", ""), "")
    if not words:
        return "starting"
    done, total = position.get("done", position.get("offset", 0)), position.get("total")
    return f"{done:,} of {total:,} {words}" if total else f"{done:,} {words}"


def state_words(run: Reconciliation) -> str:
    """Return the state in a word: one that waits for the broker, or for its worker to stop, says so."""
    if run.state != RunState.RUNNING:
        return str(RunState(run.state).label)
    if run.stop_requested:
        return "Stopping"
    return "Waiting" if run.reason else "Running"


def needs_people(run: Reconciliation) -> bool:
    """Return whether somebody should look: it failed, or found what it could not repair."""
    return run.state == RunState.FAILED or any(getattr(run, name) for name in WORRIES)


def _moment(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}" if moment else "the beginning"
