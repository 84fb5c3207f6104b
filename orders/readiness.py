"""What the orders have to say of the readiness of this installation: what is late, and who is silent.

Each problem is a name and a few words without ids: anybody may read them.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from backoffice import health
from backoffice.together import ask, first
from orders import intake, pulse
from orders.models import Cancellation, JournalEntry, Order, Outcome, Placement, PortfolioOrder


def events_problem() -> str:
    """Return since when the oldest delivery or event has waited to be applied; "" where that is not long."""
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING).order_by("occurred_at", "id")
    held = ask(pending_since=first(pending, "recorded_at"), **intake.questions(1))
    oldest = [held["pending_since"], held.get("unread_since")]
    return _late("not applied", oldest, settings.APPLY_WITHIN)


def asks_problem() -> str:
    """Return how long what is due to be asked or sent has been overdue; "" where that is not long."""
    sent = {"next_attempt_at__isnull": False}
    asked = {"check_after__isnull": False}
    due = ask(
        portfolio_order=first(
            PortfolioOrder.objects.filter(**asked).order_by("check_after"), "check_after"
        ),
        order=first(Order.objects.filter(**asked).order_by("check_after"), "check_after"),
        placement=first(
            Placement.objects.filter(**sent).order_by("next_attempt_at"), "next_attempt_at"
        ),
        cancellation=first(
            Cancellation.objects.filter(**sent).order_by("next_attempt_at"), "next_attempt_at"
        ),
    )
    return _late("overdue", list(due.values()), settings.ASK_WITHIN)


def worker_problem() -> str:
    """Return since when no worker has swept; "" where one has lately."""
    found = ask(**pulse.questions())
    if found["pulse_at"] is None:
        return "no worker heartbeat yet: run a worker and a beat"
    age = found["database_now"] - found["pulse_at"]
    return (
        f"no worker heartbeat for {age.total_seconds():.0f} s"
        if age > settings.SWEEP_WITHIN
        else ""
    )


def clock_problem() -> str:
    """Return which clock is off; "" where all agree. The names of hosts are for staff."""
    now = timezone.now()
    return pulse.clock_problem({**ask(**pulse.questions()), "clock_host": "a host"}, now=now)


def _late(what: str, moments: list[datetime | None], within: timedelta) -> str:
    oldest = min(filter(None, moments), default=None)
    age = ask(now=pulse.database_now())["now"] - oldest if oldest else timedelta()
    return f"{what} for {age.total_seconds():.0f} s" if age > within else ""


health.register("events", events_problem)
health.register("asks", asks_problem)
health.register("worker", worker_problem)
health.register("clock", clock_problem)
