"""The list of portfolio orders and the page of one."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from orders import search
from orders.admin.bulk import refetch_selected
from orders.admin.cancelling import CancelAdmin, requests_notices
from orders.admin.children import shown as shown_of
from orders.admin.columns import PortfolioOrderChangeList, progress_column
from orders.admin.downloads import (
    OrderFiles,
    exports,
)
from orders.admin.filters import (
    FilledFilter,
    FreshnessFilter,
    PlacedFilter,
    PortfolioOrderStatusFilter,
    TypeFilter,
)
from orders.admin.history import show
from orders.admin.lifecycle import lifecycle
from orders.admin.pages import REFETCH
from orders.admin.pagination import TabbedPaginator
from orders.admin.payloads import payloads
from orders.admin.problems import ProblemFilter
from orders.admin.sorting import by
from orders.lifecycle import SETTLING, Kind, is_final
from orders.models import Placement, PortfolioOrder
from orders.templatetags.desk import said
from orders.timeline.items import Filter
from orders.timeline.long import told
from orders.timeline.notices import notices

VIEW_PLACEMENT = "orders.view_placement"


@admin.register(PortfolioOrder)
class PortfolioOrderAdmin(OrderFiles, CancelAdmin):
    """Browse, search, filter, refetch and export portfolio orders."""

    kind = Kind.PORTFOLIO_ORDER
    change_form_template = "admin/orders/portfolioorder/change_form.html"
    change_list_template = "admin/orders/portfolioorder/change_list.html"
    actions = [
        refetch_selected,
        *exports("export_portfolio_orders", "export_orders", "export_executions", "export_history"),
    ]
    list_display = [
        "short_id", "status_badge", "type_word", "amount", "progress", "placed", "last_heard",
    ]  # fmt: skip
    list_filter = [
        PortfolioOrderStatusFilter, FreshnessFilter, ProblemFilter, PlacedFilter, FilledFilter,
        TypeFilter,
    ]  # fmt: skip
    paginator = TabbedPaginator
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "ID (whole or its first characters) of the portfolio order or of its orders, executions, venues, events, "
        "account, allocation or requests; ISIN; client reference. Several at once."
    )
    preview = ["status_badge", "type_word", "amount", "placed"]

    @admin.display(description="Type", ordering=by("type"))
    def type_word(self, row: PortfolioOrder) -> SafeString | str:
        """Buy, Sell or Rebalancing."""
        return said(row.type, "type")

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

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return its progress, notices, history and orders."""
        frame, now = self.frame(request, row), timezone.now()
        children = shown_of(row, request.GET.get("orders", ""), request.GET.get("by", ""))
        history = told(row, children.orders, entries=frame["version"], orders_in_all=children.total)
        shown = show(history, request, list(Filter))
        is_stale = frame["is_stale"]
        return {
            **frame,
            "orders": children.orders,
            "children": children,
            "placement": placement_of(row) if request.user.has_perm(VIEW_PLACEMENT) else None,
            "totals": children.totals,
            "progress": children.progress,
            "timeline": history,
            "chart": lifecycle(
                row, children.orders, history, is_stale=is_stale, crowd=children.others
            ),
            "history": shown,
            "payloads": payloads(shown.singles, request, row),
            "notices": [
                *frame["waiting"],
                *requests_notices(row, now=now),
                *notices(
                    row, is_stale=is_stale, orders=children.children, history=history, now=now
                ),
            ],
        }


def placement_of(row: PortfolioOrder) -> Placement | None:
    """Return the placement that a portfolio order came of; None where it was not placed here."""
    return Placement.objects.filter(portfolio_order_id=row.pk).only("submitted_by").first()
