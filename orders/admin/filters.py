"""Filters of the lists: closed sets of choices only, each answered from an index."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.lifecycle import CONFLICT, KNOWN_STATUSES, MISTRADE, NOT_FOUND, UNKNOWN_STATUS
from orders.models import Order, Outcome, PortfolioOrder
from orders.tracked import Source

LIFE = ("NEW", "PROCESSING", "FILLED", "SETTLED", "CANCELLED")  # in the order in which it passes


class ChoiceFilter(SimpleListFilter):
    """A filter with the choices of its class; a value that is none of them shows everything."""

    choices_given: ClassVar[Iterable[tuple[str, str]]] = ()
    any_label: ClassVar[str] = "All"

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
        *((word, word.capitalize()) for word in sorted(KNOWN_STATUSES, key=LIFE.index)),
        ("OTHER", "Unknown"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows in the status chosen."""
        chosen = self.chosen()
        if chosen == "OTHER":
            flagged = queryset.filter(problems__gt=0)  # each of them is: few rows, and an index
            return flagged.exclude(status__in=[*KNOWN_STATUSES, ""])
        return queryset.filter(status=chosen) if chosen else queryset


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


class ProblemFilter(ChoiceFilter):
    """By what people should look at; a portfolio order has the problems of its orders, too."""

    title = "Problems"
    parameter_name = "problem"
    bits: ClassVar[dict[str, int]] = {
        "conflict": CONFLICT,
        "unknown": UNKNOWN_STATUS,
        "mistrade": MISTRADE,
        "not_found": NOT_FOUND,
    }
    choices_given = [
        ("any", "Any problem"),
        ("missed", "Missed webhooks"),
        ("conflict", "Filled and cancelled"),
        ("unknown", "Unknown status"),
        ("mistrade", "Cancelled execution"),
        ("not_found", "Not found at broker"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows with the problem chosen."""
        chosen = self.chosen()
        if not chosen:
            return queryset
        questions = [self._ask(rows, chosen) for rows in self._tables(queryset)]
        first, *rest = [ids.order_by() for pair in questions for ids in pair]
        return queryset.filter(pk__in=first.union(*rest))

    def _tables(self, queryset: QuerySet) -> list[tuple[QuerySet, str]]:
        if queryset.model is PortfolioOrder:
            linked = Order.objects.filter(portfolio_order__isnull=False)
            return [(PortfolioOrder.objects.all(), "pk"), (linked, "portfolio_order_id")]
        return [(Order.objects.all(), "pk")]

    def _ask(self, table: tuple[Any, str], chosen: str) -> list[QuerySet]:
        rows, column = table
        missed = rows.missed(now=timezone.now()).values_list(column)
        if chosen == "missed":
            return [missed]
        some = rows.filter(problems__gt=0)
        if chosen == "any":
            return [missed, some.values_list(column)]
        bit = self.bits[chosen]
        return [some.alias(bit=F("problems").bitand(bit)).filter(bit=bit).values_list(column)]


class MomentFilter(ChoiceFilter):
    """By a moment: today, the last 7 and the last 30 days, in the display zone."""

    any_label = "Any time"
    column: ClassVar[str]
    days: ClassVar[dict[str, int]] = {"today": 0, "7d": 6, "30d": 29}
    choices_given = [("today", "Today"), ("7d", "Last 7 days"), ("30d", "Last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows since the beginning of the first day."""
        chosen = self.chosen()
        if not chosen:
            return queryset
        return queryset.filter(**{f"{self.column}__gte": start_of_day(self.days[chosen])})


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


def start_of_day(days_ago: int) -> datetime:
    """Return midnight of a day in the display zone, right on days of 23 and 25 hours too."""
    day = timezone.localdate() - timedelta(days=days_ago)
    naive = datetime.combine(day, datetime.min.time())
    return timezone.make_aware(naive)
