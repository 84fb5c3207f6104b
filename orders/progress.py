"""How far a portfolio order is: its orders by status, as a sentence and as a bar."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from orders.models import Order

# Done first, then what is under way: the bar fills from the left.
ORDERED = ("SETTLED", "FILLED", "CANCELLED", "PROCESSING", "NEW")
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
    """

    counts: Mapping[str, int]
    missed: int = 0
    problems: int = 0

    @property
    def total(self) -> int:
        """The number of orders known."""
        return sum(self.counts.values())

    @property
    def filled(self) -> int:
        """The number of them that are filled."""
        return sum(n for status, n in self.counts.items() if status in DONE)

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
        """The whole in words: "7 of 12 filled, 2 processing, 3 new"."""
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
        known = [(status, self.counts[status]) for status in ORDERED if self.counts.get(status)]
        return known + [item for item in sorted(self.counts.items()) if item[0] not in ORDERED]


def progress_of(portfolio_order_ids: Iterable[UUID]) -> dict[UUID, Progress]:
    """Return the progress of each of these portfolio orders that has orders, with one query."""
    too_long = Q(missing_since__lt=timezone.now() - settings.GAP_GRACE)
    rows = (
        Order.objects.filter(portfolio_order_id__in=list(portfolio_order_ids))
        .order_by()
        .values_list("portfolio_order_id", "status", "problems")
        .annotate(n=Count("pk"), missed=Count("pk", filter=too_long))
    )
    counts: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    missed: Counter[UUID] = Counter()
    problems: defaultdict[UUID, int] = defaultdict(int)
    for portfolio_order_id, status, bits, n, late in rows:
        counts[portfolio_order_id][status] += n
        missed[portfolio_order_id] += late
        problems[portfolio_order_id] |= bits
    return {pk: Progress(of, missed[pk], problems[pk]) for pk, of in counts.items()}
