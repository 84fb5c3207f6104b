"""How lists are sorted by a column: from an index, or where so few rows are found that sorting is quick."""

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import InvalidPage
from django.db.models import Case, DecimalField, F, IntegerField, OrderBy, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast
from django.http import HttpRequest

from backoffice import display
from orders.admin.filters import LIFE

NUMBER = r"^-?[0-9]{1,90}(\.[0-9]{1,90})?$"


@dataclass(frozen=True, slots=True)
class Sort(Combinable):  # as Django types what columns are sorted by
    """The order of a column, ascending; without an index only up to as many rows as are counted."""

    terms: tuple[OrderBy, ...]
    is_indexed: bool = False

    def ordering(self, *, descending: bool) -> list[OrderBy]:
        """Return the terms as they are, or the other way round."""
        return [term.copy() if not descending else _reversed(term) for term in self.terms]


def _reversed(term: OrderBy) -> OrderBy:
    other = term.copy()
    other.reverse_ordering()
    return other


def indexed(*terms: str | OrderBy) -> Sort:
    """Return the sort by the terms of an index."""
    return Sort(tuple(F(it).asc() if isinstance(it, str) else it for it in terms), is_indexed=True)


def by_moment(name: str) -> Sort:
    """Return the sort by an index that has the newest first and unknown moments last, read backwards."""
    return indexed(F(name).asc(nulls_first=True), "pk")


def by(column: str | Combinable) -> Sort:
    """Return the sort by a column without an index."""
    expression: Any = F(column) if isinstance(column, str) else column
    return Sort((OrderBy(expression, nulls_first=True),))


def by_number(name: str) -> Sort:
    """Return the sort by a column that holds numbers as text; what is none comes first."""
    number = Cast(name, DecimalField(max_digits=190, decimal_places=90))
    return by(Case(When(**{f"{name}__regex": NUMBER}, then=number)))


def by_life(name: str = "status") -> Sort:
    """Return the sort by a status in the order of life; one that nobody knows comes first."""
    places = [When(**{name: word}, then=Value(n)) for n, word in enumerate(LIFE, 1)]
    return by(Case(*places, default=Value(0), output_field=IntegerField()))


class DeskChangeList(ChangeList):
    """A list that is sorted by one column, ``?o=-placed``, and has as many rows as somebody chose.

    Columns are asked for by their names: their places differ from person to person.
    ``too_many`` names the column that so many rows are not sorted by.
    """

    too_many = ""

    def asked(self) -> tuple[str, Sort, bool] | None:
        """Return the column that is asked for, its sort, and whether the other way round."""
        text = self.params.get(ORDER_VAR, "") or getattr(self.model_admin, "sorted_by", "")
        name = text.removeprefix("-")
        sort = self._sort(name)
        return (name, sort, text != name) if sort and name in self.list_display else None

    def _sort(self, name: Any) -> Sort | None:
        sort = getattr(getattr(self.model_admin, str(name), None), "admin_order_field", None)
        return sort if isinstance(sort, Sort) else None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> Any:
        """Return the order asked for, then that of the list itself."""
        params = self.params
        self.params = {name: value for name, value in params.items() if name != ORDER_VAR}
        self.usual: list[Any] = super().get_ordering(request, queryset)
        self.params = params
        asked = self.asked() if ORDER_VAR in params else None
        if asked is None:
            return self.usual
        terms = asked[1].ordering(descending=asked[2])
        return terms if asked[1].is_indexed else [*terms, *self.usual]

    def get_ordering_field_columns(self) -> Any:
        """Return the place of the column that the list is sorted by, and its direction."""
        asked = None if self.too_many else self.asked()
        if asked is None:
            return {}
        return {list(self.list_display).index(asked[0]): "desc" if asked[2] else "asc"}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Return a query; Django asks for columns by their places."""
        if new_params and ORDER_VAR in new_params:
            first = str(new_params[ORDER_VAR]).partition(".")[0]
            way, place = "-" * first.startswith("-"), first.removeprefix("-")
            name = f"{way}{self.list_display[int(place)]}" if place.isdecimal() else None
            new_params = {**new_params, ORDER_VAR: name}
        return super().get_query_string(new_params, remove)

    def get_results(self, request: HttpRequest) -> None:
        """Read the page; without an index so many rows as are not even counted are not sorted."""
        self.list_per_page = int(display.chosen("rows"))
        asked = self.asked() if ORDER_VAR in self.params else None
        rows: Any = self.queryset
        paginator: Any = self.model_admin.get_paginator(request, rows, self.list_per_page)
        if asked and not asked[1].is_indexed and paginator.is_capped:
            name, _, _ = asked
            self.too_many = getattr(self.model_admin, name).short_description
            self.queryset = paginator.object_list = rows.order_by(*self.usual)
        self.paginator, self.result_count = paginator, paginator.count
        self.multi_page = self.result_count > self.list_per_page
        try:
            self.result_list = (
                paginator.page(self.page_num).object_list
                if self.multi_page
                else self.queryset.all()
            )
        except InvalidPage:
            raise IncorrectLookupParameters from None
        self.full_result_count, self.show_full_result_count = None, False
        self.show_admin_actions, self.can_show_all = True, False

    @property
    def choices(self) -> list[tuple[str, list[tuple[str, str, bool]]]]:
        """The choices of how the list is shown: each with its link, and whether it is made."""
        more = ["columns"] if getattr(self.model_admin, "more_columns", ()) else []
        return [
            (
                name,
                [
                    (value, self.get_query_string({name: value}), value == display.chosen(name))
                    for value in sorted(display.CHOICES[name], key=_place)
                ],
            )
            for name in ("rows", "times", *more)
        ]


def _place(value: str) -> int:
    return int(value) if value.isdecimal() else 0
