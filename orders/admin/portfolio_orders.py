"""The list of portfolio orders and the page of one."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from orders import search
from orders.admin.bulk import refetch_selected
from orders.admin.cancelling import CancelAdmin, requests_notices
from orders.admin.columns import PortfolioOrderChangeList, progress_column
from orders.admin.downloads import export_history, export_orders, history_of_one
from orders.admin.executions import with_executions
from orders.admin.filters import (
    FreshnessFilter,
    PlacedFilter,
    PortfolioOrderStatusFilter,
    TypeFilter,
)
from orders.admin.history import show
from orders.admin.pages import EXPORT, REFETCH
from orders.admin.pagination import TabbedPaginator
from orders.admin.payloads import payloads
from orders.admin.problems import ProblemFilter
from orders.executions import totals
from orders.lifecycle import SETTLING, Kind, is_final
from orders.models import Order, Placement, PortfolioOrder
from orders.progress import Progress
from orders.templatetags.desk import humanised
from orders.timeline.history import history_of
from orders.timeline.items import Filter
from orders.timeline.notices import notices

VIEW_PLACEMENT = "orders.view_placement"


@admin.register(PortfolioOrder)
class PortfolioOrderAdmin(CancelAdmin):
    """Browse, search, filter, refetch and export portfolio orders."""

    kind = Kind.PORTFOLIO_ORDER
    change_form_template = "admin/orders/portfolioorder/change_form.html"
    change_list_template = "admin/orders/portfolioorder/change_list.html"
    actions = [refetch_selected, export_history, export_orders]
    list_display = [
        "short_id", "status_badge", "type_word", "amount", "progress", "placed", "last_heard",
    ]  # fmt: skip
    list_filter = [
        PortfolioOrderStatusFilter, FreshnessFilter, ProblemFilter, PlacedFilter, TypeFilter,
    ]  # fmt: skip
    paginator = TabbedPaginator
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = "Any ID or its first characters, ISIN, or client reference"

    @admin.display(description="Type")
    def type_word(self, row: PortfolioOrder) -> str:
        """Buy, Sell or Rebalancing."""
        return humanised(row.type)

    @admin.display(description="Progress")
    def progress(self, row: Any) -> SafeString | str:
        """How many of its orders are filled."""
        ended = is_final(self.kind, row.status) or row.status == SETTLING
        return progress_column(row.progress, has_ended=ended)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows progress."""
        return PortfolioOrderChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.portfolio_orders(queryset, search_term), False

    def has_refetch_permission(self, request: HttpRequest) -> bool:
        """Who may choose "Refetch selected"."""
        return request.user.has_perm(REFETCH)

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Who may take data away."""
        return request.user.has_perm(EXPORT)

    def get_urls(self) -> list[Any]:
        """Add the history file."""
        return [self.button("history_csv", EXPORT, history_of_one), *super().get_urls()]

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return its progress, notices, history and orders."""
        orders = with_executions(
            Order.objects.filter(portfolio_order_id=row.pk).order_by("created_at", "pk")
        )
        history = history_of(row, orders)
        shown = show(history, request, list(Filter))
        frame, now = self.frame(row), timezone.now()
        return {
            **frame,
            "orders": orders,
            "placement": placement_of(row) if request.user.has_perm(VIEW_PLACEMENT) else None,
            "totals": totals((order, order.done) for order in orders),
            "export_url": reverse("admin:orders_portfolioorder_history_csv", args=[row.pk]),
            "progress": Progress(Counter(order.status for order in orders)) if orders else None,
            "timeline": history,
            "history": shown,
            "payloads": payloads(shown.singles, request),
            "notices": [
                *requests_notices(row, now=now),
                *notices(row, is_stale=frame["is_stale"], orders=orders, history=history, now=now),
            ],
        }


def placement_of(row: PortfolioOrder) -> Placement | None:
    """Return the placement that a portfolio order came of; None where it was not placed here."""
    return Placement.objects.filter(portfolio_order_id=row.pk).only("submitted_by").first()
