"""Finding and claiming 500 due portfolio orders of many open ones, alone and four at a time.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.claims [OPEN]

Naive form: the same question without the index.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from django.db import connection, connections, transaction
from django.utils import timezone

from orders.models import PortfolioOrder
from tests.benchmarks import ground, stock

DUE = 500
LEASE = timedelta(minutes=2)


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
        found: list[UUID] = []
        finding = min(ground.seconds(lambda: found.extend(_due())) for _ in range(5))
        ground.say("ours: find", finding * 1000, "ms", f"{DUE} due")
        claiming = ground.seconds(lambda: _claim(found[:DUE]))
        ground.say("ours: find and claim", (finding + claiming) * 1000, "ms", "one UPDATE for each")
        naive = ground.seconds(_without_index)
        ground.say(
            "naive: find without the index", naive * 1000, "ms", f"{naive / finding:.0f} x ours"
        )
        with ThreadPoolExecutor(4) as pool:
            claimed = [pk for mine in pool.map(_claimer, range(4)) for pk in mine]
        twice = len(claimed) - len(set(claimed))
        ground.say("four claimers side by side", len(claimed), "claimed", f"{twice} of them twice")


def _due() -> list[UUID]:
    rows = PortfolioOrder.objects.due(now=timezone.now())
    return list(rows.values_list("pk", flat=True)[:DUE])


def _claim(pks: list[UUID]) -> list[UUID]:
    """Claim one by one, as the checks of a sweep do."""
    now = timezone.now()
    return [
        pk for pk in pks if PortfolioOrder.objects.claim(pk, now=now, lease=LEASE, only_due=True)
    ]


def _claimer(_: int) -> list[UUID]:
    try:
        return [pk for _ in range(2) for pk in _claim(_due())]
    finally:
        connections.close_all()


def _without_index() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
        _due()


if __name__ == "__main__":
    main()
