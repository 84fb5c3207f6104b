"""What the dashboard asks the database about the webhook feed: remembered for 15 s."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.functions import TruncMinute

from backoffice import admin
from backoffice.panels import recall, recent, remember
from backoffice.together import Quantile, Rows, ask
from orders import counted
from orders.models import JournalEntry, Outcome
from orders.tracked import Source
from webhooks.models import Delivery, Verdict
from webhooks.strip import BARS, HALF_HOUR, OF_DELIVERIES, half_hour
from webhooks.subscriptions import watch

SAMPLE = 10_000  # of the latest events, for how far they are behind
MINUTES = 5
SLOT = timedelta(minutes=MINUTES)
MARGIN = timedelta(minutes=5)  # that clocks may differ, and a delivery take until it is stored
SETTLED = "outcomes-settled"  # what the slots that will not change are remembered as
UNREAD = "UNREAD"  # of deliveries: their events are not counted yet
UNSETTLED = {UNREAD, Outcome.PENDING.value, Outcome.QUARANTINED.value}


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

    Events by their outcome, deliveries that held none for us by their verdict.
    """
    counts = recent("outcomes", lambda: _outcomes(now))
    found: dict[datetime, Counter[str]] = {}
    for slot, words in counts.items():
        if words:
            found.setdefault(half_hour(slot), Counter()).update(words)
    return found


def _outcomes(now: datetime) -> dict[datetime, Counter[str]]:
    """Return the same by slots of some minutes, with one statement.

    What has settled is counted once and remembered: an event has its outcome for good but where it
    waits, or is in quarantine, and a slot gets no further event once all deliveries of it are read.
    So however many events a day has, those of the last minutes are counted.
    """
    since = half_hour(now) - HALF_HOUR * (BARS - 1)
    held = {slot: words for slot, words in (recall(SETTLED) or {}).items() if slot >= since}
    slots = (since + SLOT * number for number in range(BARS * (HALF_HOUR // SLOT)))
    found = _count([slot for slot in slots if slot not in held], since)
    settled = {
        slot: words
        for slot, words in found.items()
        if slot not in held and slot + SLOT <= now - MARGIN and not UNSETTLED & words.keys()
    }
    for slot, words in held.items():
        found[slot] += words
    if settled:
        of_events = {
            slot: Counter({word: n for word, n in words.items() if word not in OF_DELIVERIES})
            for slot, words in settled.items()
        }
        remember(SETTLED, held | of_events, int(counted.DAY.total_seconds()))
    for words in found.values():
        words.pop(UNREAD, None)
    return found


def _count(slots: Sequence[datetime], since: datetime) -> defaultdict[datetime, Counter[str]]:
    """Return the outcomes of events in some slots, with the slots that have none, and the verdicts since a moment."""
    spans: list[list[datetime]] = []
    for slot in slots:
        if spans and spans[-1][1] == slot:
            spans[-1][1] = slot + SLOT
        else:
            spans.append([slot, slot + SLOT])
    within = Q()
    for begins, ends in spans:
        within |= Q(recorded_at__gte=begins, recorded_at__lt=ends)
    events = JournalEntry.objects.filter(within, source=Source.WEBHOOK)
    # The index on problems leaves out accepted ones; saying so here lets it serve.
    bad = Delivery.objects.exclude(verdict=Verdict.ACCEPTED).filter(
        verdict__in=[Verdict.UNREADABLE, Verdict.REFUSED], received_at__gte=since
    )
    waiting = Delivery.objects.never_read().filter(received_at__gte=since)
    rows = _counted(events, "recorded_at", F("outcome")).union(
        _counted(bad, "received_at", F("verdict")),
        _counted(waiting, "received_at", Value(UNREAD)),
        all=True,
    )
    found: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for slot in slots:
        found[slot] = Counter()
    for minute, word, n in rows:
        found[minute.replace(minute=minute.minute // MINUTES * MINUTES)][word] += n
    return found


def _counted(rows: QuerySet, moment: str, word: F | Value) -> QuerySet:
    counted: QuerySet = (
        rows.order_by()
        .annotate(minute=TruncMinute(moment, tzinfo=UTC), word=word)
        .values_list("minute", "word")
        .annotate(n=Count("pk"))
    )
    return counted
