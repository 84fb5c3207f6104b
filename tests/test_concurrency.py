"""What several processes do at once, shown with threads on a real database."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from orders import journal, projection, rebuild
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from tests.stories import START, event, order, portfolio_order

pytestmark = pytest.mark.django_db(transaction=True)

NOW = START + timedelta(minutes=5)
WORKERS = 4


def lives(count):
    """Return the shuffled events of so many portfolio orders with three orders each."""
    events = []
    for n in range(count):
        parent, children = f"P{n}", [f"{n}-{c}" for c in "abc"]
        for seconds, status in enumerate(["NEW", "PROCESSING", "FILLED"]):
            listed = [(child, status) for child in children] if seconds else []
            upstream = portfolio_order(status, seconds * 5, listed, name=parent)
            events.append(event(f"PORTFOLIO_ORDER.{status}", upstream))
            events += [
                event(f"ORDER.{status}", order(child, status, seconds * 5, parent=parent))
                for child in children
            ]
    random.Random(7).shuffle(events)
    return events


def at_once(work, arguments):
    """Run ``work`` in a thread for each argument, each with a connection of its own."""

    def closing(argument):
        try:
            return work(argument)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(closing, arguments))


def test_several_drains_at_once_apply_everything_once_and_end_right(monkeypatch):
    monkeypatch.setattr(projection, "BATCH", 7)
    events = lives(12)
    journal.record_events(events, delivery_id=1, now=NOW)

    drained = at_once(lambda _: projection.drain(now=NOW).total, range(WORKERS))

    assert sum(drained) == len(events)
    assert not JournalEntry.objects.filter(outcome=Outcome.PENDING).exists()
    assert set(PortfolioOrder.objects.values_list("status", flat=True)) == {"FILLED"}
    assert set(Order.objects.values_list("status", flat=True)) == {"FILLED"}
    assert list(rebuild.compare()) == []


def test_the_same_deliveries_at_once_store_each_event_once_and_do_not_deadlock():
    events = lives(6)

    def receive(delivery):
        mixed = random.Random(delivery).sample(events, len(events))
        return journal.record_events(mixed, delivery_id=delivery, now=NOW)

    receipts = at_once(receive, range(1, WORKERS + 1))

    assert sum(receipt.new for receipt in receipts) == len(events)
    assert sum(receipt.repeats for receipt in receipts) == len(events) * (WORKERS - 1)
    assert JournalEntry.objects.filter(event_id__isnull=False).count() == len(events)


def test_a_claim_is_taken_by_one_of_many():
    placed = PortfolioOrder.objects.create(pk=portfolio_order()["id"], check_after=NOW)

    def claim(_):
        return PortfolioOrder.objects.claim(
            placed.pk, now=NOW, lease=timedelta(minutes=2), only_due=True
        )

    assert sum(at_once(claim, range(12))) == 1


def test_a_delivery_waits_for_no_apply():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time; PostgreSQL is what is promised")
    journal.record_events(lives(1), delivery_id=1, now=NOW)
    with transaction.atomic():
        assert projection.drain(now=NOW, most=1).total  # its locks are held until the block ends

        [receipt] = at_once(
            lambda _: journal.record_events(lives(1), delivery_id=2, now=NOW), [None]
        )

    assert receipt.repeats == len(lives(1))
