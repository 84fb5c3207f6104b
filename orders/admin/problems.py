"""The filter of what people should look at, answered from the indexes on problems."""

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders import counted
from orders.admin.filters import ChoiceFilter
from orders.models import PortfolioOrder
from orders.problems import ALONE, MISSED, OF_ORDERS, UNLINKED


class ProblemFilter(ChoiceFilter):
    """By what people should look at; a portfolio order has the problems of its orders, too.

    A missed webhook is no problem of the order: it has been recovered since, or is being asked for.
    """

    title = "Problems"
    parameter_name = "problem"
    choices_given = [
        (counted.ANY, "Any problem"),
        *((problem.name, problem.label) for problem in (*OF_ORDERS, MISSED)),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows with the problem chosen."""
        chosen = self.chosen()
        if not chosen:
            return queryset
        return counted.with_problem(queryset, chosen, now=timezone.now())


class OrderProblemFilter(ProblemFilter):
    """The same for orders, with those that no portfolio order known here stands for."""

    choices_given = [
        *ProblemFilter.choices_given,
        *((problem.name, problem.label) for problem in (UNLINKED, ALONE)),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows with the problem chosen."""
        chosen = self.chosen()
        if chosen == ALONE.name:
            return counted.alone_with_problem(queryset)
        if chosen != UNLINKED.name:
            return super().queryset(request, queryset)
        known = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
        # Asked about until its portfolio order is known: the index on checks holds few others.
        named = queryset.filter(check_after__isnull=False, portfolio_order__isnull=False)
        return named.filter(~Exists(known))
