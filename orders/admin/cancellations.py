"""The list of cancellations: who asked for which order to end, and what became of it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import search
from orders.admin.cancelling import LOOKS
from orders.admin.filters import ChoiceFilter
from orders.admin.pages import PageAdmin
from orders.admin.sorting import DeskChangeList
from orders.cancelling.results import results
from orders.lifecycle import Kind
from orders.models import Cancellation, CancellationState
from orders.templatetags.desk import pill, short_id, when


class StateFilter(ChoiceFilter):
    """By what the broker answered, and by what is still under way."""

    title = "Request"
    parameter_name = "state"
    choices_given = [("OPEN", "In progress"), *CancellationState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the requests that are as chosen."""
        chosen = self.chosen()
        if chosen == "OPEN":
            return queryset.filter(next_attempt_at__isnull=False)
        return queryset.filter(state=chosen) if chosen else queryset


class CancellationChangeList(DeskChangeList):
    """A list whose rows know what became of them: ``result``."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then the results with the same few queries."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        known = results(rows, now=timezone.now())
        for row in rows:
            row.result = known[row.pk]
        self.result_list = rows


@admin.register(Cancellation)
class CancellationAdmin(PageAdmin):
    """Browse and filter the requests to cancel."""

    list_display = ["became", "sentence", "about_link", "by", "why", "requested", "request"]
    list_display_links = None
    list_filter = [StateFilter]
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "Number of the cancellation; ID (whole or its first characters) of its order, portfolio order, execution or "
        "requests; client reference. Several at once."
    )
    preview = ["about_link", "by", "requested", "request"]
    ordering = ["-id"]

    @admin.display(description="Outcome")
    def became(self, row: Any) -> SafeString:
        """What became of it, in a word."""
        return pill(*LOOKS[row.result.fate], row.result.fate)

    @admin.display(description="Details")
    def sentence(self, row: Any) -> str:
        """The same in a sentence."""
        return str(row.result.sentence)

    @admin.display(description="Order")
    def about_link(self, row: Cancellation) -> SafeString:
        """The order that was to end."""
        what = "Order" if row.kind is Kind.ORDER else "Portfolio order"
        return format_html('<a href="{}">{} {}</a>', _page_of(row), what, short_id(row.about))

    @admin.display(description="Requested by")
    def by(self, row: Cancellation) -> str:
        """Who asked for it."""
        return row.requested_by

    @admin.display(description="Reason")
    def why(self, row: Cancellation) -> str:
        """Why, in their words."""
        return row.because or self.empty_value_display

    @admin.display(description="Requested")
    def requested(self, row: Cancellation) -> SafeString | str:
        """When."""
        return when(row.requested_at)

    @admin.display(description="Request")
    def request(self, row: Cancellation) -> str:
        """How far the request is, whatever became of the order."""
        return row.get_state_display()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list whose rows know what became of them."""
        return CancellationChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.cancellations(queryset, search_term), False

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Lead to the page of its order, which tells all of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return redirect(_page_of(row))


def _page_of(row: Cancellation) -> str:
    name = "order" if row.kind is Kind.ORDER else "portfolioorder"
    return reverse(f"admin:orders_{name}_change", args=[row.about])
