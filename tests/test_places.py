"""The places that the database works out for a long history are those of the history that is built from all entries."""

import random
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID, uuid5

import pytest

from orders.models import JournalEntry, Order, Placement, PortfolioOrder
from orders.timeline import history
from orders.timeline.items import Filter
from orders.timeline.long import LongHistory
from orders.timeline.seen import Rules
from orders.timeline.steps import build, placed

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPACE = UUID("00000000-0000-4000-8000-00000000000b")
RULES = Rules(
    now=START + timedelta(hours=1),
    gap_grace=timedelta(minutes=15),
    late_after=timedelta(seconds=60),
    first_webhook_at=START - timedelta(minutes=2),
)
WORDS = ["NEW", "PROCESSING", "FILLED", "CANCELLED", "SETTLED", "SUSPENDED", ""]
JOURNALS = 30


def journal(seed):
    """Write what cannot all happen to one portfolio order: any entry in any order."""
    rng = random.Random(seed)
    pk = uuid5(SPACE, f"{seed}")
    of: list[tuple[Any, UUID, dict[str, Any]]] = [(PortfolioOrder, pk, {})]
    # One order has the id of its portfolio order.
    children = [pk, *(uuid5(pk, f"{n}") for n in range(rng.randint(0, 2)))]
    of += [(Order, child, {"portfolio_order_id": pk}) for child in children]
    events: list[JournalEntry] = []
    for model, row, more in of:
        announced = " ".join(sorted(rng.sample(WORDS[:5], rng.randint(0, 5))))
        created = START - timedelta(seconds=rng.choice([0, 0, 10, 300]))
        processing = START if rng.random() < 0.5 else None
        status = rng.choice(WORDS)
        model.objects.create(
            pk=row,
            status=status,
            announced=announced,
            created_at=rng.choice([created, created, None]),
            processing_at=processing,
            **more,
        )
        for _ in range(rng.randint(0, 9)):
            events.append(entry(rng, model, row, [it for it in events if it.event_id]))
    placement(rng, pk)
    return pk


def entry(rng, model, pk, before):
    is_order = model is Order
    source = rng.choice(["WEBHOOK"] * 4 + ["POLL", "REFETCH", "STAFF"])
    topic = "ORDER" if is_order else "PORTFOLIO_ORDER"
    status, word = rng.choice(WORDS), rng.choice(WORDS[:6])
    happened = START + timedelta(seconds=rng.choice([0, 0, 1, 30, 100, 2000]))
    learned = happened + timedelta(seconds=rng.choice([-5, 1, 60, 61, 60.000001, 59.999999, 3500]))
    made = {
        "source": source,
        "outcome": rng.choice(["APPLIED"] * 4 + ["NO_CHANGE", "QUARANTINED", "FAILED", "PENDING"]),
        "type": topic,
        "status": status,
        "occurred_at": happened,
        "recorded_at": learned,
        ("order_id" if is_order else "portfolio_order_id"): pk,
    }
    if source == "WEBHOOK":
        made["type"] = rng.choice(
            [
                f"{topic}.{status}",
                f"{topic}.{word}",
                f"{topic}.{word}".lower(),
                "EXECUTION.CANCELLED",
            ]
        )
        if before and rng.random() < 0.3:
            made |= {
                "repeat_of": rng.choice(before).event_id,
                "message": rng.choice(["", "differs"]),
            }
        else:
            made["event_id"] = uuid5(pk, f"{rng.random()}")
    return JournalEntry.objects.create(**made)


def placement(rng, pk):
    made = Placement.objects.create(
        pk=uuid5(pk, "placement"),
        portfolio_order_id=pk,
        state="ACCEPTED",
        body=b"{}",
        user_id=pk,
        account_id=pk,
        cash_amount="1.00",
        side="BUY",
        submitted_by="tina",
        submitted_at=START,
    )
    JournalEntry.objects.create(
        placement_id=made.pk,
        source="STAFF",
        outcome="NOTED",
        type="PLACEMENT",
        status="SUBMITTED",
        occurred_at=START + timedelta(seconds=rng.choice([-1, 0])),
        recorded_at=START,
    )


def test_they_are_those_of_the_history_that_is_built_from_all_entries():
    for seed in range(JOURNALS):
        pk = journal(seed)
        parent = PortfolioOrder.objects.get(pk=pk)
        rows = [parent, *Order.objects.filter(portfolio_order=pk)]
        compare(rows, seed)
        for order in rows[1:]:
            compare([order], seed)


def compare(rows, seed):
    """Compare every page of a history with that part of the history built from all entries."""
    subjects = [history.subject(row) for row in rows]
    entries, _ = history.read(subjects)
    whole = build(entries, subjects, rules=RULES)
    found = sorted(placed(entries, subjects, rules=RULES), key=lambda pair: pair[0])
    long = LongHistory(rows[0], RULES)
    long.turn_to(Filter.ALL, 0, 3, newest_first=True)
    assert long.counts == whole.counts, seed
    assert long.missed_by == whole.missed_by, seed
    assert long.impossible == whole.impossible, seed
    for chip in Filter:
        expected = [item for _, item in found if item.matches(chip)]
        assert read(long, chip, newest_first=False) == expected, (seed, chip)
        assert read(long, chip, newest_first=True) == expected, (seed, chip)
    for item in whole.items:
        if item.anchor.startswith("entry-") and item.entry:
            place = whole.place_of(item.entry.id, Filter.ALL)
            assert long.place_of(item.entry.id, Filter.ALL) == place, seed
    about = (subjects[0].kind, subjects[0].id, START + timedelta(minutes=2))
    assert long.asked_since(*about)[:2] == whole.asked_since(*about)[:2], seed
    assert [item for _, part in long.every(4) for item in part] == list(whole.items), seed


def read(long, chip, *, newest_first):
    """Return all items under a chip, in time's order, page by page as a reader would turn."""
    long.turn_to(chip, 0, 3, newest_first=newest_first)
    total = long.counts[chip]
    places = range(total, 0, -3) if newest_first else range(1, total + 1, 3)
    pages = []
    for place in places:
        long.turn_to(chip, place, 3, newest_first=newest_first)
        pages.append(list(long.items))
    return list(chain.from_iterable(pages[::-1] if newest_first else pages))
