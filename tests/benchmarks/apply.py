"""Applying stored deliveries, against rows that are locked, changed and saved one by one.

    [TEST_DATABASE_URL=postgres://...] python -m tests.benchmarks.apply

On PostgreSQL also what is written to disk (WAL) for an event, and how many journal rows are written twice.
"""

import hashlib
import os
from itertools import islice
from uuid import UUID

from django.db import connection, connections
from django.utils import timezone

from orders import journal, projection
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from tests.benchmarks import feed, ground, naive
from webhooks.models import Delivery, Verdict

EVENTS = 24_000
FEW = 600  # for the naive form
SIZES = (1, 100, 500)  # events of a delivery
TABLES = (Execution, Order, PortfolioOrder, JournalEntry, Delivery)


def main() -> None:
    """Measure the naive form, then ours, for each size of delivery."""
    with ground.database():
        ground.head(f"Apply {EVENTS:,} events")
        ground.empty(*TABLES)
        journal.record_events([*islice(feed.events(), FEW)], delivery_id=1, now=timezone.now())
        one = FEW / ground.seconds(_apply_naively)
        ground.say("naive: get, set, save", one, "events/s")
        for size in SIZES:
            _measure(size, one)
        if connection.vendor == "postgresql":
            _measure(SIZES[1], one, processes=2)


def _measure(size: int, naive_rate: float, *, processes: int = 1) -> None:
    ground.empty(*TABLES)
    deliver(size, 600 // size + 1, start=0)
    projection.drain(now=timezone.now())
    deliver(size, EVENTS // size, start=10_000)
    before, written_twice = _wal(), _updated()
    ours = EVENTS / ground.seconds(lambda: _drain(processes))
    applied = JournalEntry.objects.filter(outcome=Outcome.APPLIED).count()
    remark = f"{ours / naive_rate:.1f} x naive; {applied:,} applied"
    if connection.vendor == "postgresql":
        wal, twice = (_wal() - before) / EVENTS, _updated() - written_twice
        remark += f"; {wal:,.0f} bytes of WAL an event, {twice:,} journal rows updated"
    together = f", {processes} processes" if processes > 1 else ""
    ground.say(f"ours, deliveries of {size}{together}", ours, "events/s", remark)


def _drain(processes: int) -> None:
    """Drain in so many processes at once."""
    if processes == 1:
        projection.drain(now=timezone.now())
        return
    connections.close_all()
    children = [_forked() for _ in range(processes)]
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("A drain failed.")


def _forked() -> int:
    if child := os.fork():
        return child
    status = 1
    try:
        projection.drain(now=timezone.now())
        status = 0
    finally:
        os._exit(status)


def deliver(size: int, number: int, *, start: int) -> None:
    """Store so many deliveries of ``size`` events."""
    Delivery.objects.bulk_create(
        Delivery(
            received_at=timezone.now(),
            verdict=Verdict.ACCEPTED,
            size=len(body),
            fingerprint=UUID(bytes=hashlib.sha256(body).digest()[:16]),
            body=body,
            read_at=None,
        )
        for body in feed.bodies(size, number, start=start)
    )


def _wal() -> int:
    """Return how many bytes PostgreSQL has written to its log."""
    return int(_ask("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def _updated() -> int:
    """Return how many rows of the journal were written a second time."""
    _ask("SELECT pg_stat_force_next_flush()")
    return int(
        _ask("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'orders_journalentry'")
    )


def _ask(question: str) -> str:
    if connection.vendor != "postgresql":
        return "0"
    with connection.cursor() as cursor:
        cursor.execute(question)
        return str(cursor.fetchone()[0])


def _apply_naively() -> None:
    for entry in JournalEntry.objects.filter(outcome=Outcome.PENDING).order_by("occurred_at", "pk"):
        naive.apply(entry)


if __name__ == "__main__":
    main()
