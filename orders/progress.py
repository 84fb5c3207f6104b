"""How far a portfolio order is: its orders by status, as a sentence and as a bar."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from orders.executions import EXECUTED, REVERSED, is_executed_all_the_same, is_reversed
from orders.models import Order

# Done first, then what is under way: the bar fills from the left.
ORDERED = ("SETTLED", "FILLED", REVERSED, EXECUTED, "CANCELLED", "PROCESSING", "NEW")
DONE = frozenset({"FILLED", "SETTLED"})
SEPARATE = 24  # up to so many orders each has a segment of its own, above that each status


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar; ``x`` and ``width`` in percent of it."""

    status: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Progress:
    """The orders of a portfolio order, counted by status.

    Of ``missed`` an expected webhook never came; ``problems`` are those of all of them, as bits.
    ``reversed`` of those that are filled do not count as filled: an execution was cancelled since.
    ``executed`` of those that are cancelled were executed in full all the same.
    """

    counts: Mapping[str, int]
    missed: int = 0
    problems: int = 0
    reversed: int = 0
    executed: int = 0

    @property
    def total(self) -> int:
        """The number of orders known."""
        return sum(self.counts.values())

    @property
    def filled(self) -> int:
        """The number of them that are filled, and whose executions stand."""
        return sum(n for status, n in self._in_order() if status in DONE)

    @property
    def rest(self) -> str:
        """What the others are, with a comma before: ", 2 processing, 3 new"."""
        return "".join(
            f", {n} {status.lower() or 'not known yet'}"
            for status, n in self._in_order()
            if status not in DONE
        )

    @property
    def sentence(self) -> str:
        """The whole in words: "7 of 12 filled, 1 reversed, 2 processing, 2 new"."""
        return f"{self.filled} of {self.total} filled{self.rest}"

    def segments(self, gap: float) -> list[Segment]:
        """Return the bar, with ``gap`` percent of it between two segments."""
        total = self.total
        parts = (
            [(status, 1) for status, n in self._in_order() for _ in range(n)]
            if total <= SEPARATE
            else self._in_order()
        )
        bar, before = [], 0
        for status, n in parts:
            width = max((100 + gap) * n / total - gap, 0.3)
            bar.append(Segment(status, round((100 + gap) * before / total, 2), round(width, 2)))
            before += n
        return bar

    def _in_order(self) -> list[tuple[str, int]]:
        counts = Counter(self.counts)
        counts.subtract({"FILLED": self.reversed, "CANCELLED": self.executed})
        counts.update({REVERSED: self.reversed, EXECUTED: self.executed})
        counts = +counts
        known = [(status, counts[status]) for status in ORDERED if counts[status]]
        return known + [item for item in sorted(counts.items()) if item[0] not in ORDERED]


def progress(orders: Iterable[tuple[str, int, int, int]]) -> Progress:
    """Return the progress of orders told by status, problems, their number and how many miss a webhook."""
    counts: Counter[str] = Counter()
    missed = problems = undone = executed = 0
    for status, bits, n, late in orders:
        counts[status] += n
        missed += late
        problems |= bits
        undone += n if is_reversed(status, bits) else 0
        executed += n if is_executed_all_the_same(status, bits) else 0
    return Progress(counts, missed, problems, undone, executed)


def progress_of(portfolio_order_ids: Iterable[UUID]) -> dict[UUID, Progress]:
    """Return the progress of each of these portfolio orders that has orders, with one query."""
    too_long = Q(missing_since__lt=timezone.now() - settings.GAP_GRACE)
    rows = (
        Order.objects.filter(portfolio_order_id__in=list(portfolio_order_ids))
        .order_by()
        .values_list("portfolio_order_id", "status", "problems")
        .annotate(n=Count("pk"), missed=Count("pk", filter=too_long))
    )
    found: defaultdict[UUID, list[tuple[str, int, int, int]]] = defaultdict(list)
    for portfolio_order_id, *told in rows:
        found[portfolio_order_id].append(tuple(told))
    return {pk: progress(told) for pk, told in found.items()}
