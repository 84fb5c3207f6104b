"""Lists, filters and searches of staff: few rows against many, with their statements; then large portfolio orders.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.pages [PORTFOLIO_ORDERS]
    python -m tests.benchmarks.pages large

The second form measures portfolio orders of 12, 1,500 and 10,000 orders alone, on SQLite too: each order
with four events, and 30 polls.

Floor: the same page at 1,000 portfolio orders. Five orders for each portfolio order, and up to
``LONGEST_JOURNAL`` of them 25 entries; two million by default, which takes some minutes to make.
"""

import statistics
import sys
import time
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders.export import files
from orders.export.selection import Selection
from orders.models import Order, PortfolioOrder
from tests.benchmarks import ground, stock
from tests.large import large

FEW = 1000
TIMES = 5
LONGEST_JOURNAL = 40_000  # portfolio orders that get a journal: a million entries
SIZES = (12, 1500, 10_000)
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
    if sys.argv[1:] == ["large"]:
        _measure_large()
        return
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


def _measure_large() -> None:
    with ground.database():
        client = Client(raise_request_exception=False)
        user = User.objects.create_superuser("mira")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        rows = {count: large(count, name=f"of {count}") for count in SIZES}
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
        for count, row in rows.items():
            ground.head(f"A portfolio order of {count:,} orders")
            path, order = f"{LIST}{row.pk}/change/", row.orders.order_by("pk")[0]
            for what, asked in {
                "its page": path,
                "its problems": f"{path}?show=problems",
                "the middle of its history": f"{path}?at={2 * count}",
                "the page of one order": f"{ORDERS}{order.pk}/change/",
                "the list": LIST,
                "its version": f"/admin/version/portfolio-order/{row.pk}/",
            }.items():
                _say_large(client, what, asked)
            _export(row)


def _export(row: PortfolioOrder) -> None:
    """Read the history file of one portfolio order."""
    file = files.order_history(Selection.of(PortfolioOrder.objects.filter(pk=row.pk)))
    began, before, most = time.perf_counter(), ground.resident_mib(), 0.0
    for _ in file.chunks(bom=False):
        most = max(most, ground.resident_mib() - before)
    took = time.perf_counter() - began
    ground.say("export_history", took * 1000, "ms", f"{file.count:,} rows, memory +{most:.0f} MiB")


def _say_large(client: Client, what: str, path: str) -> None:
    shown, text = _show(client, path), client.get(path).content
    remark = f"{len(text) / 1000:,.0f} kB, {text.count(b'<'):,} tags, {shown.queries} statements"
    remark += "" if shown.status == 200 else f", answered {shown.status}"
    ground.say(what, shown.seconds * 1000, "ms", f"{remark}: {shown.sql * 1000:.0f} ms")


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
