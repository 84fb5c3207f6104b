"""What the dashboard asks the database about the webhook feed: remembered for 15 s."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, QuerySet, Value, When
from django.db.models.functions import ExtractMinute, TruncHour

from backoffice import admin
from backoffice.panels import recent
from backoffice.together import Quantile, Rows, ask
from orders import counted
from orders.models import JournalEntry
from orders.tracked import Source
from webhooks.models import Delivery, Verdict
from webhooks.strip import BARS, HALF_HOUR, half_hour
from webhooks.subscriptions import watch

SAMPLE = 10_000  # of the latest events, for how far they are behind


def numbers(now: datetime) -> dict[str, Any]:
    """Return when the last webhook came, how far events are behind, and what waits for people."""
    return recent(watch.PANEL, lambda: ask(**_questions(now)))


def _questions(now: datetime) -> dict[str, Any]:
    events = JournalEntry.objects.filter(
        source=Source.WEBHOOK, repeat_of=None, recorded_at__gte=now - timedelta(days=1)
    )
    return {
        "behind": Quantile(
            events.order_by("-recorded_at"), "occurred_at", "recorded_at", 95, SAMPLE
        ),
        "quarantined": Rows(counted.quarantined(JournalEntry.objects.all()), admin.CAP + 1),
        **{
            f"answers_{source.lower()}": Rows(
                counted.quarantined_answers(now - counted.DAY, source), admin.CAP + 1
            )
            for source in counted.ASKS
        },
        **watch.questions(),
    }


def outcomes(now: datetime) -> Mapping[datetime, Mapping[str, int]]:
    """Return what became of the events and deliveries of each of the last 48 half hours.

    Events by their outcome, deliveries that held none for us by their verdict, with one statement.
    """
    since = half_hour(now) - HALF_HOUR * (BARS - 1)
    events = JournalEntry.objects.filter(source=Source.WEBHOOK, recorded_at__gte=since)
    # The index on problems leaves out accepted ones; saying so here lets it serve.
    bad = Delivery.objects.exclude(verdict=Verdict.ACCEPTED).filter(
        verdict__in=[Verdict.UNREADABLE, Verdict.REFUSED], received_at__gte=since
    )
    rows = _counted(events, "recorded_at", "outcome").union(
        _counted(bad, "received_at", "verdict"), all=True
    )
    counted = recent("outcomes", lambda: list(rows))
    found: dict[datetime, Counter[str]] = {}
    for hour, half, word, n in counted:
        found.setdefault(hour + HALF_HOUR * half, Counter())[word] += n
    return found


def _counted(rows: QuerySet, moment: str, column: str) -> QuerySet:
    minute = ExtractMinute(moment, tzinfo=UTC)
    second_half = Case(When(minute__gte=30, then=Value(1)), default=Value(0))
    counted: QuerySet = (
        rows.order_by()
        .alias(minute=minute)
        .annotate(hour=TruncHour(moment, tzinfo=UTC), half=second_half, word=F(column))
        .values_list("hour", "half", "word")
        .annotate(n=Count("pk"))
    )
    return counted
