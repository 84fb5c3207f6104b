"""Claiming 500 due portfolio orders of many open ones, alone and four at a time.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.claims [OPEN]

Floor: finding them, without a claim. Old form: an UPDATE for each. Naive form: finding them without
the index.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from django.db import connection, connections, transaction
from django.utils import timezone

from orders.asking import leases
from orders.asking.leases import LEASE
from orders.lifecycle import Kind
from orders.models import PortfolioOrder
from tests.benchmarks import ground, stock

DUE = 500
TURNS = 5
CLAIMERS, ROUNDS = 4, 5


def main() -> None:
    """Measure on ``OPEN`` open portfolio orders, a million by default."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with ground.database(only="postgresql"):
        with connection.cursor() as cursor:
            cursor.execute(stock.PORTFOLIO_ORDERS, [1, many])
            cursor.execute(
                "UPDATE orders_portfolioorder SET status = 'PROCESSING',"
                " check_after = now() + (random() - 0.5) * interval '1 day'"
            )
            cursor.execute("VACUUM ANALYZE orders_portfolioorder")
        ground.head(f"Claim {DUE} due of {many:,} open")
        finding = min(ground.seconds(_due) for _ in range(TURNS))
        ground.say("floor: find", finding * 1000, "ms", f"{DUE} due")
        claims = {
            "old form: find, then an UPDATE for each": _one_by_one,
            "ours: one statement": _ours,
        }
        took: dict[str, list[float]] = {name: [] for name in claims}
        for _ in range(TURNS):
            for name, claim in claims.items():
                took[name].append(ground.seconds(claim))
                _give_back()
        for name, times in took.items():
            ground.say(name, statistics.median(times) * 1000, "ms")
        naive = ground.seconds(_without_index)
        ground.say(
            "naive: find without the index",
            naive * 1000,
            "ms",
            f"{naive / finding:.0f} x the floor",
        )
        began = time.perf_counter()
        with ThreadPoolExecutor(CLAIMERS) as pool:
            claimed = [pk for mine in pool.map(_claimer, range(CLAIMERS)) for pk in mine]
        each = (time.perf_counter() - began) / ROUNDS
        twice = len(claimed) - len(set(claimed))
        remark = f"{len(claimed):,} claimed, {twice} of them twice"
        ground.say(f"ours: {CLAIMERS} side by side, {DUE} each", each * 1000, "ms", remark)


def _due() -> list[UUID]:
    rows = PortfolioOrder.objects.due(now=timezone.now())
    return list(rows.values_list("pk", flat=True)[:DUE])


def _one_by_one() -> None:
    now = timezone.now()
    for pk in _due():
        PortfolioOrder.objects.claim(pk, now=now, lease=LEASE, only_due=True)


def _ours() -> None:
    leases.claim(Kind.PORTFOLIO_ORDER, DUE, due_at=timezone.now())


def _give_back() -> None:
    PortfolioOrder.objects.exclude(asking_until=None).update(asking_until=None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM orders_portfolioorder")


def _claimer(_: int) -> list[UUID]:
    try:
        return [
            lease.pk
            for _ in range(ROUNDS)
            for lease in leases.claim(Kind.PORTFOLIO_ORDER, DUE, due_at=timezone.now())
        ]
    finally:
        connections.close_all()


def _without_index() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
        _due()


if __name__ == "__main__":
    main()
