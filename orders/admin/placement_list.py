"""The list of placements: its tabs, filters and columns."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import search
from orders.admin.filters import ChoiceFilter, MomentFilter, SideFilter
from orders.admin.pages import PageAdmin
from orders.admin.pagination import TabbedPaginator
from orders.admin.sorting import DeskChangeList, by, by_number
from orders.admin.tabs import TabbedChangeList
from orders.models import Placement, PlacementState
from orders.templatetags.desk import humanised, money, short_id, when
from orders.templatetags.placements import next_attempt, placement_badge

UNPLACED = "UNPLACED"
TABS = {
    "All": ("", ""),
    "Waiting for approval": ("state", PlacementState.PROPOSED),
    "Result unknown": ("state", PlacementState.UNKNOWN),
    "To be sent": ("state", PlacementState.READY),
    "Accepted": ("state", PlacementState.ACCEPTED),
    "Refused": ("state", PlacementState.REFUSED),
    "Declined or not placed": ("state", UNPLACED),
}


class StateFilter(ChoiceFilter):
    """By how far they are."""

    title, parameter_name = "State", "state"
    choices_given = [*PlacementState.choices, (UNPLACED, "Declined or not placed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the placements in the state chosen."""
        chosen, now = self.chosen(), timezone.now()
        rows: Any = queryset
        if chosen == UNPLACED:
            ended = [PlacementState.DECLINED, PlacementState.NOT_PLACED]
            return queryset.filter(state__in=ended)
        if chosen == PlacementState.UNKNOWN:
            rows = rows.of_unknown_fate(now=now)
        elif chosen == PlacementState.READY:
            rows = rows.to_be_sent(now=now)
        elif chosen:
            rows = rows.filter(state=chosen)
        found: QuerySet = rows
        return found


class SubmittedFilter(MomentFilter):
    """By when somebody submitted it."""

    title, parameter_name, column = "Submitted", "submitted", "submitted_at"


class PlacementChangeList(TabbedChangeList, DeskChangeList):
    """The list of placements with its tabs."""

    tab_choices = TABS
    tabs_counted = ("Waiting for approval", "Result unknown", "To be sent")  # what is not resolved


class PlacementList(PageAdmin):
    """Columns of the list, and how it is searched."""

    change_list_template = "admin/orders/placement/change_list.html"
    list_display = [
        "short_id", "state_badge", "side_word", "amount", "account", "submitted_by", "submitted",
        "sending", "portfolio_order",
    ]  # fmt: skip
    list_filter = [StateFilter, SideFilter, SubmittedFilter]
    paginator = TabbedPaginator
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "ID (whole or its first characters) of the placement, its account, user, portfolio order or requests; client "
        "reference. Several at once."
    )
    preview = ["state_badge", "side_word", "amount", "submitted"]

    @admin.display(description="Key")
    def short_id(self, row: Placement) -> SafeString | str:
        """The first eight characters."""
        return short_id(row.pk)

    @admin.display(description="State", ordering=by("state"))
    def state_badge(self, row: Placement) -> SafeString:
        """How far it is."""
        return placement_badge(row)

    @admin.display(description="Side", ordering=by("side"))
    def side_word(self, row: Placement) -> str:
        """Buy or Sell."""
        return humanised(row.side)

    @admin.display(description="Amount", ordering=by_number("cash_amount"))
    def amount(self, row: Placement) -> str:
        """The cash amount."""
        return money(row.cash_amount, row.currency)

    @admin.display(description="Account", ordering=by("account_id"))
    def account(self, row: Placement) -> SafeString | str:
        """The first characters of the account's id."""
        return short_id(row.account_id)

    @admin.display(description="Submitted", ordering=by("submitted_at"))
    def submitted(self, row: Placement) -> SafeString | str:
        """When somebody submitted it."""
        return when(row.submitted_at)

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
