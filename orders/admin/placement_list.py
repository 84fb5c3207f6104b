"""The list of placements: its tabs, filters and columns."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backoffice.together import Rows
from orders import search
from orders.admin.filters import ChoiceFilter, MomentFilter, SideFilter
from orders.admin.pages import PageAdmin
from orders.admin.pagination import TabbedPaginator
from orders.admin.tabs import MOST, Tab, tabs
from orders.models import Placement, PlacementState
from orders.templatetags.desk import ago, humanised, money, short_id
from orders.templatetags.placements import next_attempt, placement_badge

UNPLACED = "UNPLACED"
TABS = {
    "All": ("", ""),
    "Waiting for approval": ("state", PlacementState.PROPOSED),
    "Unknown": ("state", PlacementState.UNKNOWN),
    "To be sent": ("state", PlacementState.READY),
    "Accepted": ("state", PlacementState.ACCEPTED),
    "Refused": ("state", PlacementState.REFUSED),
    "Declined, not placed": ("state", UNPLACED),
}
COUNTED = (PlacementState.PROPOSED, PlacementState.UNKNOWN, PlacementState.READY)  # not settled


def counted() -> dict[str, Combinable]:
    """Return the questions for the counts, by state."""
    rows = Placement.objects.all()
    return {state.value: Rows(rows.filter(state=state), MOST + 1) for state in COUNTED}


class StateFilter(ChoiceFilter):
    """By how far they are."""

    title, parameter_name = "State", "state"
    choices_given = [*PlacementState.choices, (UNPLACED, "Declined, not placed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the placements in the state chosen."""
        chosen = self.chosen()
        if chosen == UNPLACED:
            ended = [PlacementState.DECLINED, PlacementState.NOT_PLACED]
            return queryset.filter(state__in=ended)
        return queryset.filter(state=chosen) if chosen else queryset


class SubmittedFilter(MomentFilter):
    """By when somebody submitted it."""

    title, parameter_name, column = "Submitted", "submitted", "submitted_at"


class PlacementPaginator(TabbedPaginator):
    """Counts its rows and those of the tabs with one query."""

    questions = staticmethod(counted)


class PlacementChangeList(ChangeList):
    """The list of placements with its tabs."""

    paginator: PlacementPaginator

    @property
    def tabs(self) -> list[Tab]:
        """The tabs above the list."""
        found = self.paginator.found
        counts = {label: found[state] for label, (_, state) in TABS.items() if state in found}
        return tabs(self.params, counts, self.get_query_string, TABS)


class PlacementList(PageAdmin):
    """Columns of the list, and how it is searched."""

    change_list_template = "admin/orders/placement/change_list.html"
    list_display = [
        "short_id", "state_badge", "side_word", "amount", "account", "submitted_by", "submitted",
        "sending", "portfolio_order",
    ]  # fmt: skip
    list_filter = [StateFilter, SideFilter, SubmittedFilter]
    paginator = PlacementPaginator
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = "Key, account or portfolio order ID, or its first characters"

    @admin.display(description="Key")
    def short_id(self, row: Placement) -> SafeString | str:
        """The first eight characters."""
        return short_id(row.pk)

    @admin.display(description="State")
    def state_badge(self, row: Placement) -> SafeString:
        """How far it is."""
        return placement_badge(row.state)

    @admin.display(description="Side")
    def side_word(self, row: Placement) -> str:
        """Buy or Sell."""
        return humanised(row.side)

    @admin.display(description="Amount")
    def amount(self, row: Placement) -> str:
        """The cash amount."""
        return money(row.cash_amount, row.currency)

    @admin.display(description="Account")
    def account(self, row: Placement) -> SafeString | str:
        """The first characters of the account's id."""
        return short_id(row.account_id)

    @admin.display(description="Submitted")
    def submitted(self, row: Placement) -> SafeString | str:
        """When somebody submitted it."""
        return ago(row.submitted_at)

    @admin.display(description="Attempts, next")
    def sending(self, row: Placement) -> SafeString | str:
        """How often it was sent, and when it is next."""
        if row.next_attempt_at is None:
            return str(row.attempts) if row.attempts else self.empty_value_display
        return format_html("{}, {}", row.attempts, next_attempt(row.next_attempt_at))

    @admin.display(description="Portfolio order")
    def portfolio_order(self, row: Placement) -> SafeString | str:
        """The portfolio order that the broker made of it."""
        pk = row.portfolio_order_id
        if pk is None:
            return self.empty_value_display
        url = reverse("admin:orders_portfolioorder_change", args=[pk])
        return format_html('<a href="{}">{}</a>', url, short_id(pk))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that has tabs."""
        return PlacementChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the placements; a list needs no bodies."""
        return super().get_queryset(request).defer("body", "problem")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.placements(queryset, search_term), False
