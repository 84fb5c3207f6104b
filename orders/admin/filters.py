"""Filters of the lists: closed sets of choices only, each answered from an index."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.lifecycle import KNOWN_STATUSES, OPEN_STATUSES
from orders.models import Outcome
from orders.tracked import Source

DONE = ("DONE", "Filled or settled")
LIFE = ("NEW", "PROCESSING", "FILLED", "SETTLED", "CANCELLED")  # in the order in which it passes


class ChoiceFilter(SimpleListFilter):
    """A filter with the choices of its class; a value that is none of them shows everything."""

    choices_given: ClassVar[Iterable[tuple[str, str]]] = ()
    any_label: ClassVar[str] = "All"

    @classmethod
    def names(cls) -> list[str]:
        """Return the parameters that it reads."""
        return [str(cls.parameter_name)]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        """The choices."""
        return list(self.choices_given)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices as links; the first takes the filter away."""
        first, *rest = super().choices(changelist)
        yield {**first, "display": self.any_label}
        yield from rest

    def chosen(self) -> str:
        """Return the value chosen, "" for none."""
        value = self.value() or ""
        return value if value in {str(lookup) for lookup, _ in self.lookup_choices} else ""


class StatusFilter(ChoiceFilter):
    """By status; those that this release does not know in one choice."""

    title = "Status"
    parameter_name = "status"
    choices_given = [
        ("OPEN", "Open"),
        *((word, word.capitalize()) for word in sorted(KNOWN_STATUSES, key=LIFE.index)),
        ("OTHER", "Unknown"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows in the status chosen."""
        chosen = self.chosen()
        if chosen == "OPEN":
            return queryset.filter(status__in=OPEN_STATUSES)
        if chosen == "DONE":
            return queryset.filter(status__in=["FILLED", "SETTLED"])
        if chosen == "OTHER":
            flagged = queryset.filter(problems__gt=0)  # each of them is: few rows, and an index
            return flagged.exclude(status__in=[*KNOWN_STATUSES, ""])
        return queryset.filter(status=chosen) if chosen else queryset


class PortfolioOrderStatusFilter(StatusFilter):
    """The same, with what has been traded in one choice: a portfolio order settles days later."""

    choices_given = [
        choice
        for given in StatusFilter.choices_given
        for choice in ([given, DONE] if given[0] == "SETTLED" else [given])
    ]


class FreshnessFilter(ChoiceFilter):
    """By how long nothing new was heard, and whether anybody asks."""

    title = "Freshness"
    parameter_name = "freshness"
    choices_given = [("stale", "Stale"), ("due", "Check due"), ("overdue", "Check overdue")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        """Return the rows that are as chosen, in the list's own order."""
        now = timezone.now()
        rows: QuerySet = queryset
        match self.chosen():
            case "stale":
                rows = queryset.stale(now=now)
            case "due":
                rows = queryset.filter(pk__in=queryset.model.objects.due(now=now).values("pk"))
            case "overdue":
                rows = queryset.overdue(now=now)
        return rows


class OrderFreshnessFilter(FreshnessFilter):
    """Orders are asked for by their portfolio order; those without one have checks of their own."""

    choices_given = [("due", "Check due"), ("overdue", "Check overdue")]


class MomentFilter(ChoiceFilter):
    """By a moment, in the display zone: today, the last days, or the days from one to another.

    ``?placed=7d``, or ``?placed_from=2026-11-01&placed_to=2026-11-22``, where the last day counts;
    a text that is no day is as none.
    """

    template = "admin/orders/includes/moment_filter.html"
    any_label = "Any time"
    column: ClassVar[str]
    days: ClassVar[dict[str, int]] = {"today": 0, "7d": 6, "30d": 29}
    choices_given = [("today", "Today"), ("7d", "Last 7 days"), ("30d", "Last 30 days")]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: ModelAdmin
    ) -> None:
        super().__init__(request, params, model, model_admin)
        from_, to = (params.pop(name, [""])[-1] for name in self.names()[1:])
        self.first, self.last = _day(from_), _day(to)
        self.kept: list[tuple[str, str]] = []

    @classmethod
    def names(cls) -> list[str]:
        """Return the parameters: of the choice, of the first day and of the last."""
        name = str(cls.parameter_name)
        return [name, f"{name}_from", f"{name}_to"]

    def expected_parameters(self) -> list[str | None]:
        """Return all of them, for the link that clears the filters."""
        return [*self.names()]

    @property
    def is_range(self) -> bool:
        """Whether days were given instead of a choice."""
        return bool(self.first or self.last)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices as links that take the days away, and what the form of the days keeps."""
        self.kept = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in values
            if name not in self.names()
        ]
        ends = dict.fromkeys(self.names()[1:])
        links = [ends, *({**ends, self.parameter_name: given} for given, _ in self.lookup_choices)]
        for choice, link in zip(super().choices(changelist), links, strict=True):
            gone = [self.parameter_name] if link is ends else []
            query = changelist.get_query_string(link, gone)
            yield {
                **choice,
                "query_string": query,
                "selected": choice["selected"] and not self.is_range,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows from the beginning of the first day to the end of the last."""
        first, last = self.first, self.last
        if not self.is_range and (chosen := self.chosen()):
            first = timezone.localdate() - timedelta(days=self.days[chosen])
        if first:
            queryset = queryset.filter(**{f"{self.column}__gte": start_of(first)})
        if last:
            after = start_of(last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.column}__lt": after})
        return queryset


class PlacedFilter(MomentFilter):
    """By when upstream took the order."""

    title, parameter_name, column = "Placed", "placed", "created_at"


class RecordedFilter(MomentFilter):
    """By when we learned it."""

    title, parameter_name, column = "Received", "received", "recorded_at"


class TypeFilter(ChoiceFilter):
    """By the type of a portfolio order."""

    title = "Type"
    parameter_name = "type"
    choices_given = [("BUY", "Buy"), ("SELL", "Sell"), ("REBALANCING", "Rebalancing")]
    column: ClassVar[str] = "type"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows of the type chosen."""
        chosen = self.chosen()
        return queryset.filter(Q((self.column, chosen))) if chosen else queryset


class SideFilter(TypeFilter):
    """By the side of an order."""

    title = "Side"
    parameter_name = column = "side"
    choices_given = [("BUY", "Buy"), ("SELL", "Sell")]


class OutcomeFilter(TypeFilter):
    """By what became of an entry."""

    title = "Outcome"
    parameter_name = column = "outcome"
    choices_given = Outcome.choices


class SourceFilter(TypeFilter):
    """By where we learned it."""

    title = "Source"
    parameter_name = column = "source"
    choices_given = Source.choices


def start_of(day: date) -> datetime:
    """Return midnight of a day in the display zone, right on days of 23 and 25 hours too."""
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 <= day.year < 9999 else None  # its neighbours exist in every zone, too
