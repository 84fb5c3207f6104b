"""The pulse of the workers: when one last swept, and how far its clock is from the database's.

All by the clock of the database, which all processes have in common.
"""

import logging
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models.expressions import Combinable
from django.db.models.functions import Abs, Now

from backoffice.together import ask, first
from orders.models import Pulse

logger = logging.getLogger(__name__)

FORGOTTEN_AFTER = timedelta(days=1)  # a host that is gone
LATELY = timedelta(minutes=5)
database_now: Callable[[], Combinable] = Now


def note(*, now: datetime) -> None:
    """Note that a worker of this host sweeps now, and say so where its clock is off."""
    at: datetime = ask(at=database_now())["at"]
    ahead = (now - at).total_seconds()
    Pulse.objects.bulk_create(
        [Pulse(host=socket.gethostname()[:100], at=at, ahead=ahead)],
        update_conflicts=True,
        unique_fields=["host"],
        update_fields=["at", "ahead"],
    )
    Pulse.objects.filter(at__lt=at - FORGOTTEN_AFTER).delete()
    if said := clock_words(ahead):
        logger.error("The clock of this machine is %s", said)


def questions() -> dict[str, Combinable]:
    """Return what to ask the database, for those who ask for much else with one statement."""
    beats = Pulse.objects.order_by("-at")
    worst = beats.filter(at__gt=database_now() - LATELY).order_by(Abs("ahead").desc())
    return {
        "database_now": database_now(),
        "pulse_at": first(beats, "at"),
        "clock_host": first(worst, "host"),
        "clock_ahead": first(worst, "ahead"),
    }


def swept_at(answers: Mapping[str, Any], *, now: datetime) -> datetime | None:
    """Return when a worker last swept, by the clock of this process; None if none ever has."""
    if answers["pulse_at"] is None:
        return None
    swept: datetime = answers["pulse_at"] + (now - answers["database_now"])
    return swept


def clock_problem(answers: Mapping[str, Any], *, now: datetime) -> str:
    """Return which clock is off, ours or that of a worker, and how far; "" where all agree."""
    ours = clock_words((now - answers["database_now"]).total_seconds())
    theirs = clock_words(answers["clock_ahead"] or 0.0)
    said = [f"the clock of this process is {ours}"] if ours else []
    if theirs:
        said.append(f"the clock of the worker on {answers['clock_host']} is {theirs}")
    return "; ".join(said)


def clock_words(ahead: float) -> str:
    """Return how far a clock is from the database's, ``ahead`` seconds; "" if that is tolerable."""
    if abs(ahead) <= settings.CLOCK_TOLERANCE.total_seconds():
        return ""
    way = "ahead of" if ahead > 0 else "behind"
    return f"{abs(ahead):,.0f} s {way} the database's"
