"""What may be asked of a list by its URL and its form: what it offers, in values that its columns can hold."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_date, parse_datetime

LONGEST = 1_000  # characters of a filter's value
LONGEST_SEARCH = 3_000  # characters that are searched for: a column of a spreadsheet with fifty ids
MOST_WORDS = 50  # of a search by Django, which nests a condition for each
MOST_DIGITS = 19  # of the number of a page
SHOWN = 40  # characters of a value that is repeated to who asked
YEARS = range(1900, 9999)  # whose moments exist in every zone
# What the filters that Django makes of a column's name ask for.
LOOKUPS = ("", "__exact", "__id__exact", "__isnull", "__gte", "__lt")


class KeyChoices(forms.ModelMultipleChoiceField):
    """A choice of rows by their keys, each of which may be a key."""

    def clean(self, value: Any) -> Any:
        """Refuse what no row can have for a key, before SQLite does."""
        rows: Any = self.queryset
        for key in value or ():
            if not is_key(rows.model, key):
                raise ValidationError(
                    self.error_messages["invalid_pk_value"], "invalid_pk_value", {"pk": key[:40]}
                )
        return super().clean(value)


class AskedList(admin.ModelAdmin):
    """A list of which nothing can be asked that breaks its query.

    Django tries any lookup on any column, and finds out what a value is worth when the database
    has refused it.
    """

    show_facets = (
        admin.ShowFacets.NEVER
    )  # a count for each choice, which asks for the filters again

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Whether a filter of this list reads the parameter, and its column can be compared with the value."""
        given: Any = self.get_list_filter(request)
        columns = [it for it in given if isinstance(it, str)]
        is_offered = any(lookup == f"{name}{suffix}" for name in columns for suffix in LOOKUPS)
        is_own = any(lookup in read_by(it) for it in given if not isinstance(it, str))
        if not (is_own or (is_offered and is_sound(value))):
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list, which says so where it does not understand what it is asked for."""
        of: Any = super().get_changelist(request, **kwargs)
        return understanding(of)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search; nothing has a name as long as what is not searched for."""
        if len(search_term) > LONGEST_SEARCH or len(search_term.split()) > MOST_WORDS:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet, *where: Any, **more: Any
    ) -> HttpResponse | None:
        """Do something with the rows selected, which are rows of this list.

        A list that does not understand its filters has none: nothing is exported or asked for then.
        """
        if queryset.query.is_empty():
            messages.warning(request, "This list shows nothing. Nothing was done.")
            return None
        keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if not all(is_key(self.model, key) for key in keys):
            messages.warning(request, "What was selected is not in this list. Nothing was done.")
            return None
        return super().response_action(request, queryset, *where, **more)

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelMultipleChoiceField | None:
        """Return the field of a choice of rows."""
        return super().formfield_for_manytomany(
            db_field, request, **{"form_class": KeyChoices, **kwargs}
        )


class AskedChangeList(ChangeList):
    """A list that shows nothing and says why if it does not understand what it is asked for.

    It never shows everything instead: exports and other actions act on what is shown. ``misread``
    has a sentence for each thing that is not understood.
    """

    misread: Sequence[str] = ()
    is_beyond = False  # the last page

    def get_queryset(self, request: HttpRequest, *more: Any, **named: Any) -> QuerySet:
        """Return the rows that are asked for; none if something is not understood."""
        # An action asks once more, when what is refused is out of the links already.
        self.misread = self.misread or [*self._refused(request)]
        try:
            rows = super().get_queryset(request, *more, **named)
        except IncorrectLookupParameters:  # a value that only the database refuses
            self.misread = self.misread or ["The filter is not understood."]
            self.filter_params = {
                name: values
                for name, values in self.filter_params.items()
                if name not in self.get_filters_params()
            }
            rows = super().get_queryset(request, *more, **named)
        if not self.misread:
            return rows
        self.has_active_filters = True  # so that they can be cleared
        return self.root_queryset.none()

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters; each that does not understand its value says so."""
        found = super().get_filters(request)
        specs: list[Any] = found[0]
        for spec in specs:
            sentences = [*doubts(spec, self)]
            spec.is_misread = bool(sentences)
            self.misread = [*dict.fromkeys([*self.misread, *sentences])]
        return found

    def get_results(self, request: HttpRequest) -> None:
        """Read the page that is asked for, if there is one."""
        try:
            super().get_results(request)
            self.is_beyond = self.page_num > 1 and not self.multi_page and not self.misread
        except IncorrectLookupParameters:
            self.is_beyond = True
        if self.is_beyond:
            self.misread = [f"This list has no page {self.page_num:,}."]
            self.queryset, self.page_num = self.root_queryset.none(), 1
            super().get_results(request)

    def _refused(self, request: HttpRequest) -> Iterator[str]:
        """Yield what is not understood of the address, and take it out of the links of the page."""
        for name, values in request.GET.lists():
            if len(set(values)) > 1:
                yield f"{self._called(name)} is given more than once."
        if len(self.query) > LONGEST_SEARCH:
            yield f"At most {LONGEST_SEARCH:,} characters can be searched for."
        page = request.GET.get(PAGE_VAR, "1")
        if not (page.isdecimal() and len(page) < MOST_DIGITS and int(page)):
            yield f"Page {quoted(page)} is not a page number."
        if ERROR_FLAG in request.GET:
            yield f"{quoted(ERROR_FLAG)} is not a filter of this list."
        for name, values in self.get_filters_params().items():
            if not all(self.model_admin.lookup_allowed(name, it, request) for it in values):
                del self.filter_params[name]
                is_known = self._called(name) != quoted(name)
                is_wrong = "is not understood" if is_known else "is not a filter of this list"
                yield f"{self._called(name)} {is_wrong}."

    def _called(self, name: str) -> str:
        """Return what people call a parameter: the title of its filter."""
        if name == SEARCH_VAR:
            return "The search term"
        given: Any = self.list_filter
        for it in given:
            if not isinstance(it, str) and name in read_by(it):
                return str(it.title)
            if isinstance(it, str) and name in (f"{it}{suffix}" for suffix in LOOKUPS):
                return it.replace("_", " ").capitalize()
        return quoted(name)


@cache
def understanding(of: Any) -> type[ChangeList]:
    """Return a class of lists that understands what it is asked for, or says that it does not."""
    if issubclass(of, AskedChangeList):
        known: type[ChangeList] = of
        return known
    return type(of.__name__, (AskedChangeList, of), {})


def read_by(filter_class: Any) -> Iterable[str]:
    """Return the parameters that a filter class of our own reads."""
    if hasattr(filter_class, "names"):
        names: Iterable[str] = filter_class.names()
        return names
    return [str(filter_class.parameter_name)]


def doubts(spec: Any, changelist: ChangeList) -> Iterable[str]:
    """Return what a filter does not understand of its value, a sentence each.

    A filter of Django's understands a value if that is one of its choices, or a span of days.
    """
    if hasattr(spec, "doubts"):
        sentences: Iterable[str] = spec.doubts()
        return sentences
    is_chosen = any(choice.get("selected") for choice in spec.choices(changelist))
    if not spec.used_parameters or is_chosen or isinstance(spec, admin.DateFieldListFilter):
        return []
    values = (it for value in spec.used_parameters.values() for it in _each(value))
    given = ", ".join(quoted(str(value)) for value in values)
    return [f"{str(spec.title).capitalize()} {given} is not understood."]


def quoted(text: str) -> str:
    """Return what somebody asked for, for a sentence about it."""
    return f"“{text[:SHOWN]}…”" if len(text) > SHOWN else f"“{text}”"


def _each(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def is_key(model: type[models.Model], text: str) -> bool:
    """Whether a row of this model may have such a key."""
    key: Any = model._meta.pk  # noqa: SLF001 -- Django's public name
    try:
        value = key.to_python(text)
    except (ValidationError, ValueError):
        return False
    if not isinstance(value, int):
        return True
    low, high = connection.ops.integer_field_range(key.get_internal_type())
    return (low is None or low <= value) and (high is None or value <= high)


def is_sound(value: str) -> bool:
    """Whether a column of any type can be compared with a value: it may say something else, but breaks nothing."""
    if len(value) > LONGEST or "\0" in value:
        return False
    moment: date | datetime | None
    try:
        moment = parse_datetime(value) or parse_date(value)
    except ValueError:  # a day that no calendar has
        return False
    return moment is None or moment.year in YEARS
