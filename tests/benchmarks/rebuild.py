"""Folding the journal anew: a check and a rebuild, with one process and with two, and what others wait meanwhile.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.rebuild [ENTRIES]

The floor reads the entries by COPY and parses their JSON, in one process. The naive form asks for the
entries of one order after the other and sets the newest values on a model instance.
"""

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from django.db import connection, connections
from django.utils import timezone

from backoffice.foreign_json import parse
from orders import projection, rebuild
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.benchmarks import ground
from tests.benchmarks.apply import deliver
from webhooks.models import Delivery

ENTRIES = 60_000
FEW = 500  # orders, for the naive form
TABLES = (Execution, Order, PortfolioOrder)
FLOOR = "COPY (SELECT id, payload FROM orders_journalentry ORDER BY id) TO STDOUT (FORMAT binary)"


def main() -> None:
    """Measure the floor, the naive form and ours over one journal."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with ground.database():
        ground.empty(*TABLES, JournalEntry, Delivery)
        _fill(wanted)
        count = JournalEntry.objects.count()
        ground.head(f"Rebuild {count:,} entries")
        if connection.vendor == "postgresql":
            floor = count / ground.seconds(_read_and_parse)
            ground.say("floor: COPY, and JSON parsed", floor, "entries/s")
        began = time.perf_counter()
        naive = _naive() / (time.perf_counter() - began)
        ground.say("naive: order by order, model instances", naive, "entries/s")
        for processes in (1, 2):
            _say(f"check, processes: {processes}", count, naive, partial(_check, processes))
        for processes in (1, 2):
            _say(f"write, nothing differs, {processes}", count, naive, partial(_write, processes))
        for processes in (1, 2):
            for model in TABLES:
                model.objects.all()._raw_delete("default")
            _say(f"write all rows, {processes}", count, naive, partial(_write, processes))
        ground.say("differences afterwards", _check(2), "")
        if connection.vendor == "postgresql":
            _beside_drains()


def _fill(count: int) -> None:
    deliver(100, count // 100, start=0)
    projection.drain(now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _read_and_parse() -> None:
    with connection.cursor() as cursor, cursor.copy(FLOOR) as copy:
        copy.set_types(["int8", "bytea"])
        for _, payload in copy.rows():
            parse(payload)


def _naive() -> int:
    """Fold a few orders as a first version would; return how many entries that were."""
    seen = 0
    for row in Order.objects.order_by("pk")[:FEW]:
        folded = Order(pk=row.pk)
        for entry in JournalEntry.objects.filter(order_id=row.pk).order_by("occurred_at", "pk"):
            seen += 1
            told = parse(bytes(entry.payload))["object"]
            for field in Order._meta.concrete_fields:
                if field.name in told and field.name != "id":
                    setattr(folded, field.attname, told[field.name])
        assert folded.status
    return seen


def _check(processes: int) -> int:
    return len(list(rebuild.compare(processes=processes)))


def _write(processes: int) -> None:
    for _ in rebuild.rebuild(now=timezone.now(), processes=processes):
        pass


def _say(what: str, count: int, naive: float, work: Callable[[], object]) -> None:
    rate = count / ground.seconds(work)
    ground.say(what, rate, "entries/s", f"{rate / naive:.1f} x naive")


def _beside_drains() -> None:
    """Have deliveries come and be applied while all rows are written; say how long each waited."""
    quiet = _waits(lambda: time.sleep(5))
    PortfolioOrder.objects.update(currency="?")
    Order.objects.update(currency="?")
    found: list[int] = []
    beside = _waits(lambda: found.extend([_check(2)]))
    ground.say("delivery to applied, alone", median(quiet) * 1000, "ms", _worst(quiet))
    ground.say("beside a check", median(beside) * 1000, "ms", _worst(beside))
    writing = _waits(lambda: _write(2))
    ground.say("beside a rebuild of every row", median(writing) * 1000, "ms", _worst(writing))
    projection.drain(now=timezone.now())
    ground.say("differences afterwards", _check(2), "")


def _worst(waits: list[float]) -> str:
    ordered = sorted(waits)
    return f"p99 {ordered[len(ordered) * 99 // 100] * 1000:,.0f} ms, {len(waits):,} deliveries"


_next = 1_000_000


def _waits(work: Callable[[], object]) -> list[float]:
    """Return how long each delivery took from stored to applied, while something was done."""
    waits: list[float] = []
    over = threading.Event()

    def receive() -> None:
        global _next  # noqa: PLW0603 -- each delivery has events of its own
        try:
            while not over.is_set():
                began = time.perf_counter()
                deliver(12, 1, start=_next)
                _next += 1
                projection.drain(now=timezone.now())
                waits.append(time.perf_counter() - began)
                time.sleep(0.02)
        finally:
            connections.close_all()

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        work()
    finally:
        over.set()
        thread.join()
    return waits


if __name__ == "__main__":
    main()
