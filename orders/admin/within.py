"""Where a row stands in the filtered list that somebody came from, and the rows beside it.

The rows beside it are found by their values in the order of the list, each from an index; none
before it is read to get there, and none is counted beyond the cap.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.expressions import OrderBy
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from backoffice import admin
from backoffice.together import Rows, ask, first

FILTERS = "_changelist_filters"  # Django's name of the parameter


@dataclass(frozen=True, slots=True)
class Within:
    """The list that a row was opened from; ``position`` is "3 of 53", "" if it is too far down to be counted."""

    words: str
    position: str
    previous_url: str
    next_url: str


@dataclass(frozen=True, slots=True)
class _Key:
    """One of the values that a list is sorted by, and that of the row."""

    name: str
    is_descending: bool
    are_unknown_last: bool
    value: Any


def kept(url: str, request: HttpRequest) -> str:
    """Return the address of a page or of a button with the list that a page was opened from."""
    filters = request.GET.get(FILTERS, "")
    return f"{url}?{urlencode({FILTERS: filters})}" if filters else url


def with_changes(query: QueryDict, **changes: Any) -> str:
    """Return the query of a page with ``changes``, the list kept; a change to "" takes a name out."""
    query = query.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = str(value)
    return f"?{query.urlencode()}" if query else "?"


def list_url(door: Any, request: HttpRequest) -> str:
    """Return the address of the list, as somebody left it."""
    filters = request.GET.get(FILTERS, "")
    url = reverse(f"admin:{door.opts.app_label}_{door.opts.model_name}_changelist")
    return f"{url}?{filters}" if filters else url


def within(door: Any, request: HttpRequest, row: Any) -> Within | None:
    """Return where a row stands; None if it was not opened from a filtered list, or is no longer in it."""
    filters = request.GET.get(FILTERS, "")
    if not filters:
        return None
    asked = copy(request)
    asked.GET = QueryDict(filters)
    changelist = _unread(door, asked)
    words = [*_words(changelist)]
    if changelist.misread or not words:
        return None
    rows, keys = _keyed(changelist.queryset, row)
    if not keys:
        return None
    before, after = [*_beside(rows, keys, ahead=False)], [*_beside(rows, keys, ahead=True)]
    found = ask(
        **{f"before{n}": Rows(part, admin.CAP + 1) for n, part in enumerate(before)},
        **{f"after{n}": Rows(part, admin.CAP + 1) for n, part in enumerate(after)},
        **{f"previous{n}": first(part.reverse(), "pk") for n, part in enumerate(before)},
        **{f"next{n}": first(part, "pk") for n, part in enumerate(after)},
    )
    counts = [
        sum(found[f"{name}{n}"] or 0 for n in range(len(parts)))
        for name, parts in (("before", before), ("after", after))
    ]
    links = [
        next((found[f"{name}{n}"] for n in range(len(parts)) if found[f"{name}{n}"]), None)
        for name, parts in (("previous", before), ("next", after))
    ]
    previous_url, next_url = (_url(door, pk, filters) if pk else "" for pk in links)
    return Within(", ".join(words), _position(*counts), previous_url, next_url)


def _position(before: int, after: int) -> str:
    if before > admin.CAP:
        return ""
    total = before + 1 + after
    return (
        f"{before + 1:,} of {admin.CAP:,}+" if total > admin.CAP else f"{before + 1:,} of {total:,}"
    )


def _unread(door: Any, request: HttpRequest) -> Any:
    """Return the list that was asked for, without its rows."""
    of: Any = door.get_changelist(request)
    unread = type(of.__name__, (_Unread, of), {})
    return unread(
        request, door.model, door.get_list_display(request), None, door.get_list_filter(request),
        door.date_hierarchy, door.get_search_fields(request), door.list_select_related,
        door.list_per_page, door.list_max_show_all, (), door, door.get_sortable_by(request), "",
    )  # fmt: skip


class _Unread(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Read nothing."""


def _words(changelist: Any) -> Iterator[str]:
    """Yield what the list was filtered by, as its filters show it."""
    for spec in changelist.filter_specs:
        if getattr(spec, "is_range", False):
            yield str(spec.title)
            continue
        _, *choices = spec.choices(changelist)  # the first takes the filter away
        for choice in choices:
            if choice["selected"]:
                is_any = getattr(spec, "value", str)() == "any"
                yield str(spec.title if is_any else choice["display"])
    if changelist.query:
        text = changelist.query
        yield f"“{text[:30]}…”" if len(text) > 30 else f"“{text}”"


def _keyed(rows: QuerySet, row: Any) -> tuple[QuerySet, Sequence[_Key]]:
    """Return the rows with what they are sorted by, and that of one row; nothing if it is not among them."""
    orders = [_order(it) for it in rows.query.order_by]
    names = [f"sorted_by_{n}" for n in range(len(orders))]
    rows = rows.alias(**{name: it.expression for name, it in zip(names, orders, strict=True)})
    own = rows.filter(pk=row.pk).order_by()
    values = own.annotate(**{f"own_{name}": F(name) for name in names})
    found = values.values_list(*(f"own_{name}" for name in names)).first()
    if found is None:
        return rows, []
    return rows, [
        _Key(name, it.descending, _are_unknown_last(it), value)
        for name, it, value in zip(names, orders, found, strict=True)
    ]


def _order(term: Any) -> OrderBy:
    if isinstance(term, OrderBy):
        return term
    if isinstance(term, str):
        return OrderBy(F(term.lstrip("-")), descending=term.startswith("-"))
    return OrderBy(term)


def _are_unknown_last(order: OrderBy) -> bool:
    if order.nulls_first or order.nulls_last:
        return bool(order.nulls_last)
    return (connection.vendor == "postgresql") != order.descending


def _beside(rows: QuerySet, keys: Sequence[_Key], *, ahead: bool) -> Iterator[QuerySet]:
    """Yield the rows behind the row, or those before it, in parts: the nearest first.

    A part is equal to the row in the first keys and differs in the next one: a span of an index.
    """
    for n in reversed(range(len(keys))):
        same = {
            (f"{key.name}__isnull" if key.value is None else key.name): (
                True if key.value is None else key.value
            )
            for key in keys[:n]
        }
        key, part = keys[n], rows.filter(**same)
        unknown_follow = key.are_unknown_last == ahead
        if key.value is None:
            if not unknown_follow:
                yield part.filter(**{f"{key.name}__isnull": False})
            continue
        sign = "lt" if key.is_descending == ahead else "gt"
        yield part.filter(**{f"{key.name}__{sign}": key.value})
        if unknown_follow:
            yield part.filter(**{f"{key.name}__isnull": True})


def _url(door: Any, pk: Any, filters: str) -> str:
    url = reverse(f"admin:{door.opts.app_label}_{door.opts.model_name}_change", args=[pk])
    return f"{url}?{urlencode({FILTERS: filters})}"
