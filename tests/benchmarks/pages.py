"""Lists, filters and searches of staff: few rows against many, with their statements.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.pages [PORTFOLIO_ORDERS]

Floor: the same page at 1,000 portfolio orders. Five orders for each portfolio order, and up to
``LONGEST_JOURNAL`` of them 25 entries; two million by default, which takes some minutes to make.
"""

import statistics
import sys
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders.models import Order, PortfolioOrder
from tests.benchmarks import ground, stock

FEW = 1000
TIMES = 5
LONGEST_JOURNAL = 40_000  # portfolio orders that get a journal: a million entries
LIST, ORDERS, ENTRIES = (
    f"/admin/orders/{name}/" for name in ("portfolioorder", "order", "journalentry")
)


@dataclass
class Shown:
    """How long a page took, and what it asked the database."""

    seconds: float
    status: int
    queries: int
    sql: float  # seconds of it in the database
    slowest: str


def main() -> None:
    """Measure each page twice."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    with ground.database(only="postgresql"):
        client = Client(raise_request_exception=False)
        user = User.objects.create_superuser("mira")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        stock.fill(1, FEW, with_entries=True)
        few = {path: _show(client, path) for path in _paths()}
        journaled = min(many, LONGEST_JOURNAL)
        stock.fill(FEW + 1, journaled, with_entries=True)
        stock.fill(journaled + 1, many)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        ground.head(f"Pages at {FEW:,} and {many:,} portfolio orders")
        for path, before in few.items():
            after = _show(client, path)
            times = f"{before.seconds * 1000:.0f} ms before, {after.seconds / before.seconds:.1f} x"
            told = f"{after.queries} statements: {after.sql * 1000:.0f} ms, {before.sql * 1000:.0f} before"
            remark = f"{times}; {told}"
            remark += "" if after.status == 200 else f", answered {after.status}"
            ground.say(path.removeprefix("/admin/orders/"), after.seconds * 1000, "ms", remark)
            if after.sql > 2 * before.sql + 0.02:
                print(f"    {after.slowest}")  # noqa: T201


def _paths() -> list[str]:
    row, child = PortfolioOrder.objects.order_by("pk")[7], Order.objects.order_by("pk")[7]
    filters = [
        *(f"status={word}" for word in ("NEW", "FILLED", "SETTLED", "OTHER")),
        *(f"freshness={word}" for word in ("stale", "due", "overdue")),
        *(f"problem={word}" for word in ("any", "missed", "conflict", "not_found")),
        *("placed=today", "placed=30d", "type=SELL", "type=REBALANCING"),
    ]
    searches = [str(row.pk), str(row.pk)[:8], str(child.pk), child.instrument_id, "nobody has this"]
    return [
        LIST,
        *(f"{LIST}?{query}" for query in filters),
        *(f"{LIST}?q={term}" for term in searches),
        f"{LIST}?p=2",
        f"{LIST}?p=150",
        ORDERS,
        f"{ORDERS}?status=PROCESSING",
        f"{ORDERS}?freshness=due",
        f"{ORDERS}?problem=any",
        f"{ORDERS}?side=SELL",
        f"{ORDERS}?q={child.pk}",
        f"{ORDERS}?q={child.instrument_id}",
        ENTRIES,
        f"{ENTRIES}?outcome=QUARANTINED",
        f"{ENTRIES}?outcome=FAILED",
        f"{ENTRIES}?source=STAFF",
        f"{ENTRIES}?q={row.pk}",
        f"{LIST}{row.pk}/change/",
        f"{ORDERS}{child.pk}/change/",
        "/admin/",
    ]


def _show(client: Client, path: str) -> Shown:
    """Load a page several times; the first warms what a process keeps."""
    client.get(path)
    with CaptureQueriesContext(connection) as asked:
        response = client.get(path)
    asked_for = list(asked.captured_queries)
    asked_for.sort(key=lambda query: float(query["time"]))
    return Shown(
        seconds=statistics.median(ground.seconds(lambda: client.get(path)) for _ in range(TIMES)),
        status=response.status_code,
        queries=len(asked_for),
        sql=sum(float(query["time"]) for query in asked_for),
        slowest="".join(f"{query['time']} s: {query['sql'][:300]}" for query in asked_for[-1:]),
    )


if __name__ == "__main__":
    main()
