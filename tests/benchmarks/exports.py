"""Each CSV file: rate against psql, first byte, and the peak of memory at a tenth of the rows and at all.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.exports [ROWS [FILE ...]]

ROWS is 100,000 unless told; FILE is the beginning of a file's name. Floors: psql's \\copy of the tables
that the rows are made of, of orders also of the columns alone, in the file's order. Naive form: model
instances through csv; Python alone writes the file as it does where there is no PostgreSQL. Each file is
read by a process of its own, forked from the same state, so that no peak hides in memory that an earlier
file has left free.
"""

import csv
import dataclasses
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any

from django.db import connections
from django.utils import timezone

from orders.export import files
from orders.export.files import Export
from orders.export.selection import Selection
from orders.models import (
    Execution,
    Finding,
    JournalEntry,
    Order,
    PortfolioOrder,
    Reconciliation,
    StaffAction,
    StepDetail,
)
from tests.benchmarks import ground, stock

ROWS = 100_000
_wanted: list[str] = []  # beginnings of names of files; none: all
NAIVELY = 20_000  # rows
# psql's floor of each file: the tables that its rows are made of, without payloads.
ENTRIES = """
    SELECT id, recorded_at, occurred_at, source, outcome, type, status, actor, message, portfolio_order_id,
        order_id, placement_id, event_id, repeat_of, delivery_id, applied_at FROM orders_journalentry"""
ORDERS = """
    SELECT * FROM orders_order o LEFT JOIN orders_portfolioorder p ON p.id = o.portfolio_order_id"""
COLUMNS = """
    SELECT o.id, o.portfolio_order_id, p.status, o.account_id, p.allocation_id, p.type, o.side, o.instrument_id,
        o.status, o.currency, o.cash_amount, o.quantity, e.share_quantity, e.price, o.fee, e.tax, o.created_at,
        o.processing_at, o.filled_at, o.cancelled_at, e.settlement_date, o.cancellation_reason, o.heard_at,
        o.heard_via, p.news_at, o.missing_since, o.client_reference
    FROM orders_order o LEFT JOIN orders_portfolioorder p ON p.id = o.portfolio_order_id
        LEFT JOIN orders_execution e ON e.order_id = o.id ORDER BY o.portfolio_order_id, o.id"""
EXECUTIONS = "SELECT * FROM orders_execution e JOIN orders_order o ON o.id = e.order_id"
STAFF = f"""
    SELECT j.*, d.* FROM ({ENTRIES}) j LEFT JOIN orders_stepdetail d ON d.entry_id = j.id
    WHERE source = 'STAFF'"""
FINDINGS = """
    SELECT f.*, o.portfolio_order_id FROM orders_finding f LEFT JOIN orders_order o ON o.id = f.order_id"""


@dataclass(frozen=True, slots=True)
class Read:
    """How one file was read to its end."""

    rows: int
    size: int  # bytes
    seconds: float
    header: float  # seconds until the first bytes
    first: float  # seconds until the first rows
    peak: float  # MiB above what the process held before


def main() -> None:
    """Measure every file at a tenth of the rows, then at all of them."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    _wanted.extend(sys.argv[2:])
    with ground.database(only="postgresql"):
        for count in (rows // 10, rows):
            ground.empty(
                Finding, Reconciliation, StepDetail, Execution, JournalEntry, Order, PortfolioOrder
            )
            _of_stories(count)
            if not _wanted:
                _of_rows(count)


def _of_stories(count: int) -> None:
    """Measure what is made of orders with their journal, and the journal itself."""
    told = count // stock.ENTRIES_EACH
    stock.fill(1, told, with_entries=True)
    everything = Selection.everything()
    _measure("order history", lambda: files.order_history(everything), ENTRIES)
    _naive(lambda: JournalEntry.objects.defer("payload").iterator())
    entries = JournalEntry.objects.all()
    _measure("journal entries", lambda: files.journal_entries(entries), ENTRIES)
    stock.fill(told + 1, count // stock.ORDERS_EACH)
    stock.fill_executions()
    _measure("orders", lambda: files.orders(everything), ORDERS, COLUMNS)
    _naive(lambda: Order.objects.select_related("portfolio_order").iterator())
    _measure("executions", lambda: files.executions(everything), EXECUTIONS)
    stock.fill_execution_events()
    _measure("order history with executions", lambda: files.order_history(everything), ENTRIES)


def _of_rows(count: int) -> None:
    """Measure what is made of one table."""
    stock.fill(count // stock.ORDERS_EACH + 1, count, with_orders=False)
    make = lambda: files.portfolio_orders(Selection.everything())  # noqa: E731 -- one of a list of files
    _measure("portfolio orders", make, "SELECT * FROM orders_portfolioorder")
    stock.fill_staff(count)
    _measure("staff actions", lambda: files.staff_actions(StaffAction.objects.all()), STAFF)
    run = Reconciliation.objects.create(scope="OPEN", state="DONE", started_at=timezone.now())
    stock.fill_findings(run.pk, count)
    _measure("findings", lambda: files.findings(run), FINDINGS)


def _measure(what: str, make: Callable[[], Export], *floors: str) -> None:
    if _wanted and not what.startswith(tuple(_wanted)):
        return
    read = _apart(make)
    ground.head(f"{what}, {read.rows:,} rows, {read.size / 2**20:.1f} MiB")
    rate = read.rows / read.seconds
    of = ", ".join(f"{rate / _copy(floor, read.rows):.3f}" for floor in floors)
    first = f"header after {read.header:.2f} s, rows after {read.first:.2f} s"
    ground.say("ours", rate, "rows/s", f"{of} of \\copy, {first}, memory +{read.peak:.1f} MiB")
    if read.rows <= ROWS:
        alone = _apart(lambda: dataclasses.replace(make(), straight=None))
        ground.say("Python alone", alone.rows / alone.seconds, "rows/s")


def _copy(query: str, rows: int) -> float:
    command = [
        "psql",
        ground.address(),
        "-qc",
        rf"\copy ({' '.join(query.split())}) TO STDOUT CSV HEADER",
    ]
    took = ground.seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    ground.say(r"psql \copy", rows / took, "rows/s")
    return rows / took


def _apart(make: Callable[[], Export]) -> Read:
    """Read a file in a child process, which knows nothing of the files before."""
    connections.close_all()
    out, into = os.pipe()
    if not (child := os.fork()):
        status = 1
        try:
            os.write(into, pickle.dumps(_read(make)))
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out, "rb") as result:
        read: Read = pickle.loads(result.read())
    os.waitpid(child, 0)
    return read


def _read(make: Callable[[], Export]) -> Read:
    connections["default"].ensure_connection()
    file, size, header, first = make(), 0, 0.0, 0.0
    began = time.perf_counter()

    def to_its_end() -> None:
        nonlocal size, header, first
        for chunk in file.chunks(bom=False):
            first = first or (header and time.perf_counter() - began)
            header = header or time.perf_counter() - began
            size += len(chunk)

    peak = ground.peak_mib(to_its_end)
    return Read(file.count, size, time.perf_counter() - began, header, first, peak)


def _naive(read: Callable[[], Any]) -> None:
    def write() -> None:
        writer = csv.writer(StringIO())
        for row in islice(read(), NAIVELY):
            names = [it.attname for it in row._meta.concrete_fields if it.attname != "payload"]
            writer.writerow([getattr(row, name) for name in names])

    rows = min(NAIVELY, _counted(read))
    ground.say("naive: model instances", rows / ground.seconds(write), "rows/s")


def _counted(read: Callable[[], Any]) -> int:
    """Return how many rows there are, up to as many as are written naively."""
    return sum(1 for _ in islice(read(), NAIVELY))


if __name__ == "__main__":
    main()
