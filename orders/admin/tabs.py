"""The tabs above the lists: the questions that staff ask all day, some with a count.

A tab is a choice of one filter, so its address is the same as the filter's, and its count is the
number of rows of that address: the search and the filters that are no tab's are kept.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

from backoffice.together import Rows

MOST = 1000  # counted: more are "1,000+"
TABS: Mapping[str, tuple[str, str]] = {  # the filter and its choice
    "All": ("", ""),
    "New": ("status", "NEW"),
    "Processing": ("status", "PROCESSING"),
    "Stale": ("freshness", "stale"),
    "Filled": ("status", "DONE"),
    "Cancelled": ("status", "CANCELLED"),
    "Problems": ("problem", "any"),
}
COUNTED = ("New", "Processing", "Stale", "Problems")  # what needs work


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab; ``count`` is "" where nobody counts, ``number`` None."""

    label: str
    query: str
    number: int | None
    is_current: bool

    @property
    def count(self) -> str:
        """The number for people: "7" or "1,000+"."""
        if self.number is None:
            return ""
        return f"{MOST:,}+" if self.number > MOST else f"{self.number:,}"


class TabbedChangeList(ChangeList):
    """A list with tabs, whose counts are asked for together with that of its rows."""

    paginator: Any
    tab_choices: ClassVar[Mapping[str, tuple[str, str]]] = TABS
    tabs_counted: ClassVar[Collection[str]] = COUNTED

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        """Return the rows; the paginator of this request counts those of the tabs, too."""
        rows = super().get_queryset(request, exclude_parameters)
        request.tab_questions = self._questions(request)  # type: ignore[attr-defined]
        return rows

    @property
    def tabs(self) -> list[Tab]:
        """The tabs above the list."""
        found = self.paginator.found
        counts = {label: found[_alias(label)] for label in self.tabs_counted}
        return tabs(self.params, counts, self.get_query_string, self.tab_choices)

    def _questions(self, request: HttpRequest) -> dict[str, Combinable]:
        names = {name for name, _ in self.tab_choices.values()}
        rows: Any = self.root_queryset
        for spec in self.filter_specs:
            if getattr(spec, "parameter_name", "") not in names:
                rows = spec.queryset(request, rows)
                if getattr(spec, "is_misread", False):
                    rows = rows.none()
        rows, _ = self.model_admin.get_search_results(request, rows, self.query)
        given: Any = self.list_filter
        filters = {it.parameter_name: it for it in given}
        questions: dict[str, Combinable] = {}
        for label in self.tabs_counted:
            name, value = self.tab_choices[label]
            chosen = filters[name](request, {name: [value]}, self.model, self.model_admin)
            questions[_alias(label)] = Rows(chosen.queryset(request, rows), MOST + 1)
        return questions


def _alias(label: str) -> str:
    return f"tab_{label.lower().replace(' ', '_')}"


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
        Tab(label, query(wanted, filters), counts.get(label), is_current=now == wanted)
        for label, (name, value) in of.items()
        for wanted in [{name: value} if name else {}]
    ]
