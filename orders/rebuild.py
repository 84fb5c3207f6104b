"""Fold the whole journal anew and hold it against the tables, or write over them where they differ.

Part by part, ranges of ids, in as many processes as are wanted: portfolio orders first, for their
lists tell of orders in any part; then orders with their executions; then what portfolio orders take
from their orders. A check reads one snapshot in all processes and takes no lock. A rebuild looks
for rows that differ without a lock, too; then it locks these alone, folds them once more, for more
may have arrived, and writes. So a drain waits for some rows of one part at most, and nothing that
it applied is written over: what it applies later, it applies to rows that are right.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from backoffice.crew import Crew
from backoffice.database import limits, snapshot
from orders import refold
from orders.lifecycle import Kind
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.projection import few_looks_for_cycles
from orders.refold import CLOCKS, Difference, Part, Spoilt
from orders.rewrite import Mark, Rewrite, mark
from orders.scratch import Corrections, Damage, Listings
from orders.taking import Taking

__all__ = ["CLOCKS", "Damage", "Difference", "Progress", "compare", "rebuild"]

PART = 2000  # entries of a part, or rows: what is in memory, and what a write locks
FEW = 20_000  # entries that one process folds before another has started


@dataclass(slots=True)
class Progress:
    """How far it is: what is being read, and how much was."""

    step: str = ""
    parts: int = 0
    entries: int = 0
    processes: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One part for one process; ``is_taking``: only what follows from orders."""

    part: Part
    spoilt: Spoilt
    is_taking: bool = False


@dataclass(slots=True)
class Result:
    """What became of a job."""

    entries: int = 0
    found: list[Difference | Damage] = field(default_factory=list)
    spoilt: set[UUID] = field(default_factory=set)
    doubted: set[UUID] = field(default_factory=set)


_Do = Callable[[Iterable[Job]], Iterator[Result]]
_Watch = Callable[[Progress], None]


def compare(
    *, processes: int | None = None, watch: _Watch | None = None
) -> Iterator[Difference | Damage]:
    """Yield every difference between the fold of the journal and the tables, in one snapshot.

    What an entry that cannot be read may have told of is not compared; that entry is yielded.
    ``processes``: None for one on each core, where there is enough to do.
    """
    count = _processes(processes)
    with limits("long"), snapshot(), _folder() as folder, ExitStack() as stack:
        do = _hands(stack, count, partial(_checking, folder, _exported(count)))
        yield from _steps(do, folder, Progress(processes=count), watch)


def rebuild(
    *, now: datetime, processes: int | None = None, watch: _Watch | None = None
) -> Iterator[Difference | Damage]:
    """Write the fold of the journal over the rows that differ, part by part, and yield what differed.

    Clocks stay; what changed is due for a check at once. What an entry that cannot be read may have
    told of keeps what is held, and is added where it is missing. Where it is cut short the parts
    done are right; another may be started at once, or beside it.
    """
    count = _processes(processes)
    with limits("long"), _folder() as folder, ExitStack() as stack:
        do = _hands(stack, count, partial(_writing, folder, now, mark()))
        yield from _steps(do, folder, Progress(processes=count), watch)


def _processes(wanted: int | None) -> int:
    """Return how many processes work: one, where all has to be seen in the transaction that is open."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return 1
    if wanted:
        return wanted
    entries = JournalEntry.objects.aggregate(last=Max("pk"))["last"] or 0
    return (os.cpu_count() or 1) if entries > FEW else 1


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="order-desk-rebuild-") as folder:
        yield Path(folder)


def _exported(processes: int) -> str:
    """Return the name of the snapshot of this transaction for other processes; "" where there are none."""
    if processes == 1:
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        return str(cursor.fetchone()[0])


def _hands(stack: ExitStack, processes: int, make: Any) -> _Do:
    """Return what does jobs: this process, or others."""
    if processes > 1:
        return stack.enter_context(Crew(processes, make)).do
    worker = stack.enter_context(make(0))
    return partial(map, worker)


def _steps(
    do: _Do, folder: Path, progress: Progress, watch: _Watch | None
) -> Iterator[Difference | Damage]:
    began = time.monotonic()

    def results(step: str, jobs: Iterable[Job]) -> Iterator[Result]:
        progress.step = step
        for result in do(jobs):
            progress.parts += 1
            progress.entries += result.entries
            progress.seconds = time.monotonic() - began
            if watch:
                watch(progress)
            yield result

    spoilt = set[UUID]()
    for result in results("portfolio orders", (Job(it, Spoilt()) for it in _portfolio_orders())):
        spoilt |= result.spoilt
        yield from result.found
    told = Spoilt(portfolio_orders=frozenset(spoilt))
    for result in results("orders", (Job(it, told) for it in _orders(folder))):
        spoilt |= result.doubted
        yield from result.found
    told = Spoilt(portfolio_orders=frozenset(spoilt))
    jobs = (Job(it, told, is_taking=True) for it in _parts(Kind.PORTFOLIO_ORDER, [_of_rows()]))
    for result in results("what portfolio orders take from their orders", jobs):
        yield from result.found


_Bound = Callable[[UUID | None], UUID | None]


def _portfolio_orders() -> Iterator[Part]:
    entries = _bound(JournalEntry.objects.all(), "portfolio_order_id")
    return _parts(Kind.PORTFOLIO_ORDER, [entries, _of_rows()])


def _of_rows() -> _Bound:
    return _bound(PortfolioOrder.objects.all(), "id")


def _orders(folder: Path) -> Iterator[Part]:
    """Yield the parts of orders; the lines of lists are all known by then."""
    bounds = [
        _bound(JournalEntry.objects.all(), "order_id"),
        _bound(Order.objects.all(), "id"),
        _bound(Execution.objects.all(), "order_id", by="order__pk"),
    ]
    files = [Listings(path, is_new=False) for path in sorted(folder.glob("listings-*"))]
    bounds += [lambda after, it=it: it.order_after(after, PART) for it in files]  # type: ignore[misc]
    yield from _parts(Kind.ORDER, bounds)


def _parts(kind: Kind, bounds: Iterable[_Bound]) -> Iterator[Part]:
    """Yield parts that together hold all ids there can be, one after the other."""
    bounds, after = list(bounds), None
    while True:
        upto = min((it for bound in bounds if (it := bound(after))), default=None)
        yield Part(kind, after, upto)
        if upto is None:
            return
        after = upto


def _bound(query: QuerySet[Any], column: str, *, by: str = "") -> _Bound:
    """Return what tells the id up to which the next ``PART`` rows go; None where there are fewer."""

    def find(after: UUID | None) -> UUID | None:
        part = Part(Kind.ORDER, after)
        rows = query.filter(part.on(by or column)).order_by(column).values_list(column, flat=True)
        found: list[UUID] = list(rows[PART - 1 : PART])
        return found[0] if found else None

    return find


@contextmanager
def _checking(folder: Path, snapshot_name: str, number: int) -> Iterator[Callable[[Job], Result]]:
    """Yield a worker that only compares, in the snapshot of the process that started it."""
    if not snapshot_name:
        yield _Worker(folder, number)
        return
    with limits("long"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot_name])
        yield _Worker(folder, number)


@contextmanager
def _writing(
    folder: Path, now: datetime, begin: Mark, number: int
) -> Iterator[Callable[[Job], Result]]:
    """Yield a worker that writes what differs."""
    with limits("long"):
        yield _Worker(folder, number, Rewrite(now, begin))


class _Worker:
    """Does jobs: compares, and with a ``rewrite`` writes what differs."""

    def __init__(self, folder: Path, number: int, rewrite: Rewrite | None = None) -> None:
        self._folder, self._rewrite = folder, rewrite
        self._listings = Listings(folder / f"listings-{number}")
        self._corrections = Corrections(folder / f"corrections-{number}")
        self._all_listings: list[Listings] = []
        self._taking: Taking | None = None

    @few_looks_for_cycles()
    def __call__(self, job: Job) -> Result:
        """Do a job."""
        if job.is_taking:
            return self._take(job)
        return (
            self._portfolio_orders(job)
            if job.part.kind is Kind.PORTFOLIO_ORDER
            else self._orders(job)
        )

    def _look(self) -> Any:
        """Return a snapshot for one part; a check has one for all."""
        return snapshot() if self._rewrite else nullcontext()

    def _portfolio_orders(self, job: Job) -> Result:
        with self._look():
            folded = refold.fold(job.part)
            held = refold.held(job.part)
        self._listings.keep(folded.listings)
        return self._conclude(job, folded, held, Spoilt(portfolio_orders=folded.spoilt))

    def _orders(self, job: Job) -> Result:
        if not self._all_listings:
            paths = sorted(self._folder.glob("listings-*"))
            self._all_listings = [Listings(path, is_new=False) for path in paths]
        told = [
            it for file in self._all_listings for it in file.between(job.part.after, job.part.upto)
        ]
        with self._look():
            folded = refold.fold(job.part, told)
            held = refold.held(job.part)
        return self._conclude(job, folded, held, Spoilt(job.spoilt.portfolio_orders, folded.spoilt))

    def _conclude(self, job: Job, folded: refold.Fold, held: refold.Held, spoilt: Spoilt) -> Result:
        kind = job.part.kind
        found = refold.compare(kind, folded.rows, held, spoilt)
        result = Result(folded.entries, [*folded.damages], folded.spoilt, found.doubted)
        if kind is Kind.PORTFOLIO_ORDER or not self._rewrite:
            for pk, row in found.corrections.items():
                self._corrections.correct(kind, pk, row)
        if not self._rewrite:
            result.found += refold.differences(found.pairs)
        elif found.pairs:
            result.found += self._rewrite.correct(
                kind, refold.objects(found.pairs), spoilt, self._all_listings
            )
        return result

    def _take(self, job: Job) -> Result:
        if not self._taking:
            paths = sorted(self._folder.glob("corrections-*"))
            self._taking = Taking([Corrections(path, is_new=False) for path in paths])
        with self._look():
            pairs = self._taking.pairs(job.part, job.spoilt)
        if not (self._rewrite and pairs):
            return Result(found=[*refold.differences(pairs)])
        return Result(found=[*self._rewrite.take(refold.objects(pairs), job.spoilt)])
