"""Paginators of the lists."""

from typing import Any

from django.utils.functional import cached_property

from backoffice import admin
from backoffice.admin import CappedPage, CappedPaginator
from backoffice.together import Rows, ask
from orders.admin.tabs import counted


class DeskPaginator(CappedPaginator):
    """Remembers the page it made: a list too long to count links to its neighbours only."""

    shown: CappedPage

    def page(self, number: Any) -> CappedPage:
        """Return one page."""
        self.shown = super().page(number)
        return self.shown


class TabbedPaginator(DeskPaginator):
    """Counts its rows and those of the tabs with one query."""

    questions = staticmethod(counted)

    @cached_property
    def found(self) -> dict[str, int]:
        """The numbers by tab, and ``rows`` of the list itself, each up to its cap and one more."""
        rows: Any = self.object_list
        numbers = ask(rows=Rows(rows, admin.CAP + 1), **self.questions())
        return {name: number or 0 for name, number in numbers.items()}

    @cached_property
    def count(self) -> int:
        """The number of rows, the cap + 1 at most."""
        return self.found["rows"]
