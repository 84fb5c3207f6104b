"""The list of orders and the page of one."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backoffice.together import Rows, ask, first
from orders import search
from orders.admin.cancelling import CancelAdmin, requests_notices
from orders.admin.columns import TrackedChangeList
from orders.admin.downloads import OrderFiles, exports
from orders.admin.executions import with_executions
from orders.admin.filters import (
    OrderFreshnessFilter,
    PlacedFilter,
    SideFilter,
    StatusFilter,
)
from orders.admin.history import show
from orders.admin.lifecycle import lifecycle
from orders.admin.payloads import payloads
from orders.admin.problems import OrderProblemFilter
from orders.admin.sorting import by, by_number
from orders.amounts import is_equal
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from orders.templatetags.desk import number, said, short_id
from orders.templatetags.executed import asked_for, of_ordered
from orders.timeline.items import Filter
from orders.timeline.learned import learned
from orders.timeline.long import told
from orders.timeline.notices import NONE, notices


@admin.register(Order)
class OrderAdmin(OrderFiles, CancelAdmin):
    """Browse, search, filter and export orders."""

    kind = Kind.ORDER
    change_form_template = "admin/orders/order/change_form.html"
    actions = exports("export_orders", "export_executions", "export_history")
    list_display = [
        "short_id", "status_badge", "instrument", "side_word", "amount", "shares", "parent",
        "placed", "last_heard",
    ]  # fmt: skip
    list_filter = [
        StatusFilter, OrderFreshnessFilter, OrderProblemFilter, PlacedFilter, SideFilter,
    ]  # fmt: skip
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "ID (whole or its first characters) of the order or of its portfolio order, executions, venues, events, "
        "account or requests; ISIN; client reference. Several at once."
    )
    preview = ["status_badge", "instrument", "side_word", "amount", "placed"]

    @admin.display(description="Instrument", ordering=by("instrument_id"))
    def instrument(self, row: Order) -> SafeString | str:
        """The ISIN: upstream sends no name."""
        return said(row.instrument_id, "instrument_id")

    @admin.display(description="Side", ordering=by("side"))
    def side_word(self, row: Order) -> SafeString | str:
        """Buy or Sell."""
        return said(row.side, "side")

    @admin.display(description="Amount", ordering=by_number("cash_amount"))
    def amount(self, row: Any) -> str:
        """What it is for: an amount of money, or a number of shares."""
        return asked_for(row)

    @admin.display(description="Quantity", ordering=by_number("quantity"))
    def shares(self, row: Any) -> str:
        """The number of shares; where another was executed, of how many: "40 of 100", "0 of 100"."""
        is_known = row.done.is_partial or row.done.cancelled
        is_all = is_equal(row.done.quantity, row.quantity)
        return of_ordered(row.done) if is_known and not is_all else number(row.quantity)

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
        frame, now = self.frame(request, row), timezone.now()
        with_executions([row])
        history = told(row, (), entries=frame["version"])
        shown = show(history, request, [Filter.ALL, Filter.PROBLEMS, Filter.CHECKS])
        return {
            **frame,
            **_place(row),
            "timeline": history,
            "chart": lifecycle(row, (), history, is_stale=frame["is_stale"]),
            "history": shown,
            "payloads": payloads(shown.singles, request, row),
            "done": row.done,
            "executions": row.trades,
            "learned": learned(row.trades, history.tellers([trade.fact for trade in row.trades])),
            "notices": [
                *frame["waiting"],
                *requests_notices(row, now=now),
                *notices(row, is_stale=frame["is_stale"], orders=NONE, history=history, now=now),
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
    beside = Order.objects.filter(portfolio_order_id=parent)
    before, after = _neighbours(beside, order)
    known = ask(
        before=Rows(before),
        siblings=Rows(beside),
        previous=first(before.order_by(F("created_at").desc(nulls_first=True), "-pk"), "pk"),
        next=first(after.order_by(F("created_at").asc(nulls_last=True), "pk"), "pk"),
    )
    return {
        "parent_url": reverse("admin:orders_portfolioorder_change", args=[parent]),
        "position": known["before"] + 1,
        **{name: known[name] for name in ("siblings", "previous", "next")},
    }


def _neighbours(beside: QuerySet[Order], order: Order) -> tuple[QuerySet[Order], QuerySet[Order]]:
    """Return those placed before an order and those after it; nobody knows when: by their ids, after all others."""
    unknown = Q(created_at=None)
    if order.created_at is None:
        return beside.filter(~unknown | Q(pk__lt=order.pk)), beside.filter(unknown, pk__gt=order.pk)
    same = Q(created_at=order.created_at)
    return (
        beside.filter(Q(created_at__lt=order.created_at) | same & Q(pk__lt=order.pk)),
        beside.filter(Q(created_at__gt=order.created_at) | same & Q(pk__gt=order.pk) | unknown),
    )
