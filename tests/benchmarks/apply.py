"""Events per second from pending to folded rows, from an empty journal and behind a long one.

    [TEST_DATABASE_URL=postgres://...] python -m tests.benchmarks.apply

Naive form: for each event get or create, set, save, in a transaction of its own.
"""

from itertools import islice

from django.utils import timezone

from orders import journal, projection
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from tests.benchmarks import feed, ground, naive

EVENTS = 12_000
FEW = 600
TABLES = (Execution, Order, PortfolioOrder, JournalEntry)


def main() -> None:
    """Measure the naive form, then ours."""
    with ground.database():
        ground.head(f"Apply, {EVENTS:,} events in batches of {projection.BATCH}")
        ground.empty(*TABLES)
        _record(0, FEW)
        one = FEW / ground.seconds(_apply_naively)
        ground.say("naive: get, set, save", one, "events/s")
        ground.empty(*TABLES)
        _record(0, projection.BATCH)
        projection.drain(now=timezone.now())
        _record(projection.BATCH, EVENTS)
        ours = EVENTS / ground.seconds(lambda: projection.drain(now=timezone.now()))
        applied = JournalEntry.objects.filter(outcome=Outcome.APPLIED).count()
        remark = f"{ours / one:.1f} x naive; {applied:,} entries applied"
        ground.say("ours", ours, "events/s", remark)


def _record(start: int, number: int) -> None:
    stream = islice(feed.events(start), number)
    while events := list(islice(stream, 500)):
        journal.record_events(events, delivery_id=1, now=timezone.now())


def _apply_naively() -> None:
    for entry in JournalEntry.objects.filter(outcome=Outcome.PENDING).order_by("occurred_at", "pk"):
        naive.apply(entry)


if __name__ == "__main__":
    main()
