"""CSV files of a million rows: rate, first byte, memory.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.exports [ROWS]

Floor: psql's \\copy of the same tables. Naive form: model instances through csv.
"""

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from itertools import islice

from orders.export import files
from orders.export.files import Export
from orders.export.selection import Selection
from orders.models import JournalEntry, Order
from tests.benchmarks import ground, stock

NAIVELY = 20_000  # rows
ORDERS = "(SELECT * FROM orders_order o LEFT JOIN orders_portfolioorder p ON p.id = o.portfolio_order_id)"


def main() -> None:
    """Measure the history of orders, then the orders."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with ground.database(only="postgresql"):
        told = rows // stock.ENTRIES_EACH
        stock.fill(1, told, with_entries=True)
        ground.head(f"export_history, {rows:,} entries")
        columns = (
            "portfolio_order_id, order_id, source, type, status, occurred_at, recorded_at, actor"
        )
        floor = _copy(f"(SELECT {columns}, event_id, message FROM orders_journalentry)", rows)
        _measure(files.order_history, floor)
        _naive(lambda: JournalEntry.objects.defer("payload").iterator())
        stock.fill(told + 1, rows // stock.ORDERS_EACH)
        ground.head(f"export_orders, {rows:,} orders")
        floor = _copy(ORDERS, rows)
        _measure(files.orders, floor)
        _naive(lambda: Order.objects.select_related("portfolio_order").iterator())


def _copy(what: str, rows: int) -> float:
    command = ["psql", ground.address(), "-qc", rf"\copy {what} TO STDOUT CSV HEADER"]
    took = ground.seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    ground.say(r"psql \copy", rows / took, "rows/s")
    return rows / took


def _measure(make: Callable[[Selection], Export], floor: float) -> None:
    """Read one file to its end."""
    before, began = ground.resident_mib(), time.perf_counter()
    file = make(Selection.everything())
    chunks = file.chunks(bom=False)
    next(chunks)
    header, size = time.perf_counter() - began, len(next(chunks, b""))
    first = time.perf_counter() - began
    most = before
    for number, chunk in enumerate(chunks):
        size += len(chunk)
        if number % 50 == 0:
            most = max(most, ground.resident_mib())
    rate = file.count / (time.perf_counter() - began)
    remark = f"{rate / floor:.2f} of \\copy, header after {header:.2f} s, rows after {first:.2f} s"
    remark += f", memory +{most - before:.0f} MiB, {size / 2**20:.0f} MiB written"
    ground.say("ours", rate, "rows/s", remark)


def _naive(read: Callable[[], object]) -> None:
    def write() -> None:
        writer = csv.writer(StringIO())
        for row in islice(read(), NAIVELY):  # type: ignore[call-overload]
            writer.writerow(
                [
                    getattr(row, field.attname)
                    for field in row._meta.concrete_fields
                    if field.attname != "payload"
                ]
            )

    ground.say("naive: model instances", NAIVELY / ground.seconds(write), "rows/s")


if __name__ == "__main__":
    main()
