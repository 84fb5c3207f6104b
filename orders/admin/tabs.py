"""The tabs above the lists: the questions that staff ask all day, some with a count.

A tab is a choice of one filter, so its address is the same as the filter's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.utils import timezone

from backoffice.together import DistinctRows, Rows
from orders.admin.problems import ids_with_problem
from orders.models import PortfolioOrder

MOST = 1000  # counted: more are "1,000+"
ORDERS_OF_ONE = (
    5  # with a problem: where they are more, thousands of them, the count is a little low
)
TABS: Mapping[str, tuple[str, str]] = {  # the filter and its choice
    "All": ("", ""),
    "New": ("status", "NEW"),
    "Processing": ("status", "PROCESSING"),
    "Stale": ("freshness", "stale"),
    "Filled": ("status", "DONE"),
    "Cancelled": ("status", "CANCELLED"),
    "Problems": ("problem", "any"),
}


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab; ``count`` is "" where nobody counts."""

    label: str
    query: str
    count: str
    is_current: bool


def counted() -> dict[str, Combinable]:
    """Return the questions for the counts, by tab."""
    rows, now = PortfolioOrder.objects.all(), timezone.now()
    questions = {
        "New": rows.filter(status="NEW"),
        "Processing": rows.filter(status="PROCESSING"),
        "Stale": rows.stale(now=now),
    }
    return {
        **{label: Rows(question, MOST + 1) for label, question in questions.items()},
        "Problems": DistinctRows(*map(_some, ids_with_problem(PortfolioOrder, "any"))),
    }


def _some(ids: QuerySet) -> QuerySet:
    """Return as many ids as are counted; of orders more, since several have one portfolio order."""
    return ids[: MOST + 1] if ids.model is PortfolioOrder else ids[: MOST * ORDERS_OF_ONE]


def tabs(
    chosen: Mapping[str, str],
    counts: Mapping[str, int],
    query: Callable[[dict[str, str], list[str]], str],
    of: Mapping[str, tuple[str, str]] = TABS,
) -> list[Tab]:
    """Return the tabs; each keeps what is searched for, and every filter that is no tab's.

    ``chosen`` are the parameters of the page, ``query`` makes its query with some added and some removed.
    """
    filters = [name for name, _ in of.values() if name]
    now = {name: chosen[name] for name in filters if name in chosen}
    return [
        Tab(label, query(wanted, filters), _count(counts.get(label)), is_current=now == wanted)
        for label, (name, value) in of.items()
        for wanted in [{name: value} if name else {}]
    ]


def _count(number: int | None) -> str:
    if number is None:
        return ""
    return f"{MOST:,}+" if number > MOST else f"{number:,}"
