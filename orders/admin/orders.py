"""The list of orders and the page of one."""

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
from orders.admin.cancelling import CancelAdmin, requests_notices
from orders.admin.columns import TrackedChangeList
from orders.admin.executions import with_executions
from orders.admin.filters import (
    OrderFreshnessFilter,
    PlacedFilter,
    SideFilter,
    StatusFilter,
)
from orders.admin.history import show
from orders.admin.payloads import payloads
from orders.admin.problems import OrderProblemFilter
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from orders.templatetags.desk import humanised, number, short_id
from orders.templatetags.executed import asked_for, of_ordered
from orders.timeline.history import history_of_order
from orders.timeline.items import Filter
from orders.timeline.learned import learned
from orders.timeline.notices import notices


@admin.register(Order)
class OrderAdmin(CancelAdmin):
    """Browse, search and filter orders."""

    kind = Kind.ORDER
    change_form_template = "admin/orders/order/change_form.html"
    list_display = [
        "short_id", "status_badge", "instrument", "side_word", "amount", "shares", "parent",
        "placed", "last_heard",
    ]  # fmt: skip
    list_filter = [
        StatusFilter, OrderFreshnessFilter, OrderProblemFilter, PlacedFilter, SideFilter,
    ]  # fmt: skip
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = "Any ID or its first characters, ISIN, or client reference"

    @admin.display(description="Instrument")
    def instrument(self, row: Order) -> str:
        """The ISIN: upstream sends no name."""
        return str(row.instrument_id)

    @admin.display(description="Side")
    def side_word(self, row: Order) -> str:
        """Buy or Sell."""
        return humanised(row.side)

    @admin.display(description="Amount")
    def amount(self, row: Any) -> str:
        """What it is for: an amount of money, or a number of shares."""
        return asked_for(row)

    @admin.display(description="Quantity")
    def shares(self, row: Any) -> str:
        """The number of shares; where another was executed, of how many: "40 of 100"."""
        is_known = row.done.is_partial and row.done.quantity != row.quantity
        return of_ordered(row.done) if is_known else number(row.quantity)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows what was executed."""
        return OrderChangeList

    @admin.display(description="Portfolio order")
    def parent(self, row: Order) -> SafeString | str:
        """The portfolio order it belongs to."""
        if row.portfolio_order_id is None:
            return row.client_reference or self.empty_value_display
        url = reverse("admin:orders_portfolioorder_change", args=[row.portfolio_order_id])
        return format_html('<a href="{}">{}</a>', url, short_id(row.portfolio_order_id))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.orders(queryset, search_term), False

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return its place among the orders beside it, its notices, history and executions."""
        with_executions([row])
        history = history_of_order(row)
        shown = show(history, request, [Filter.ALL, Filter.PROBLEMS, Filter.CHECKS])
        frame, now = self.frame(row), timezone.now()
        return {
            **frame,
            **_place(row),
            "timeline": history,
            "history": shown,
            "payloads": payloads(shown.singles, request),
            "done": row.done,
            "executions": row.trades,
            "learned": learned(row.trades, history),
            "notices": [
                *requests_notices(row, now=now),
                *notices(row, is_stale=frame["is_stale"], orders=[], history=history, now=now),
            ],
        }


class OrderChangeList(TrackedChangeList):
    """The list of orders with what the executions of those on the page come to, read with one query."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then its executions."""
        super().get_results(request)
        self.result_list = with_executions(self.result_list)


def _place(order: Order) -> dict[str, Any]:
    """Return where its portfolio order is, and its position among that one's orders by time."""
    parent = order.portfolio_order_id
    if parent is None or not PortfolioOrder.objects.filter(pk=parent).exists():
        return {}
    beside = Order.objects.filter(portfolio_order_id=parent).order_by("created_at", "pk")
    ids = list(beside.values_list("pk", flat=True))
    place = ids.index(order.pk)
    return {
        "parent_url": reverse("admin:orders_portfolioorder_change", args=[parent]),
        "position": place + 1,
        "siblings": len(ids),
        "previous": ids[place - 1] if place else None,
        "next": ids[place + 1] if place + 1 < len(ids) else None,
    }
