"""The filter of what people should look at, answered from the indexes on problems."""

from typing import Any, ClassVar

from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.admin.filters import ChoiceFilter
from orders.lifecycle import CONFLICT, MISTRADE, NOT_FOUND, UNKNOWN_STATUS
from orders.models import Order, PortfolioOrder


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
        return with_problem(queryset, chosen) if chosen else queryset


class OrderProblemFilter(ProblemFilter):
    """The same for orders, with those whose portfolio order nobody told us of."""

    choices_given = [*ProblemFilter.choices_given, ("unlinked", "No known portfolio order")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows with the problem chosen."""
        if self.chosen() != "unlinked":
            return super().queryset(request, queryset)
        known = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
        # Asked about until its portfolio order is known: the index on checks holds few others.
        named = queryset.filter(check_after__isnull=False, portfolio_order__isnull=False)
        return named.filter(~Exists(known))


def with_problem(queryset: QuerySet, chosen: str) -> QuerySet:
    """Return the rows with one kind of problem, or with any."""
    first, *rest = ids_with_problem(queryset.model, chosen)
    return queryset.filter(pk__in=first.union(*rest))


def ids_with_problem(model: Any, chosen: str) -> list[QuerySet]:
    """Return the ids of rows with a problem, one question for each index that answers a part."""
    tables: list[tuple[Any, str]] = [(model.objects.all(), "pk")]
    if model is PortfolioOrder:
        linked = Order.objects.filter(portfolio_order__isnull=False)
        tables.append((linked, "portfolio_order_id"))
    return [
        ids.order_by() for rows, column in tables for ids in _with_problem(rows, column, chosen)
    ]


def _with_problem(rows: Any, column: str, chosen: str) -> list[QuerySet]:
    missed = rows.missed(now=timezone.now()).values_list(column)
    if chosen == "missed":
        return [missed]
    some = rows.filter(problems__gt=0)
    if chosen == "any":
        return [missed, some.values_list(column)]
    bit = ProblemFilter.bits[chosen]
    return [some.alias(bit=F("problems").bitand(bit)).filter(bit=bit).values_list(column)]
