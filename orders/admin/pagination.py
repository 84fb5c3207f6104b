"""Paginators of the lists."""

from collections.abc import Mapping
from typing import Any

from django.db.models.expressions import Combinable
from django.utils.functional import cached_property

from backoffice import admin
from backoffice.admin import CappedPage, CappedPaginator
from backoffice.together import Rows, ask
from orders.version import version_in


class DeskPaginator(CappedPaginator):
    """Counts its rows, those of the tabs, ``questions``, and asks for the version, with one query.

    It remembers the page it made: a list too long to count links to its neighbours only.
    """

    shown: CappedPage
    questions: Mapping[str, Combinable] = {}
    freshness: Mapping[str, Combinable] = {}

    @cached_property
    def found(self) -> dict[str, Any]:
        """The answers to the questions, and ``rows`` of the list itself, up to the cap and one more."""
        rows: Any = self.object_list
        numbers = ask(rows=Rows(rows, admin.CAP + 1), **self.questions, **self.freshness)
        return {name: number or 0 for name, number in numbers.items()}

    @cached_property
    def count(self) -> int:
        """The number of rows, the cap + 1 at most."""
        return int(self.found["rows"])

    @property
    def version(self) -> str:
        """The version of the list before its rows were read: what comes then is news."""
        return version_in(self.found, self.freshness)

    def page(self, number: Any) -> CappedPage:
        """Return one page."""
        self.shown = super().page(number)
        return self.shown


class TabbedPaginator(DeskPaginator):
    """Of a list with tabs."""
