"""Columns that the lists share, and the change list that adds progress with one query."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backoffice import admin as desk
from backoffice import display
from backoffice.admin import ReadOnlyAdmin
from orders.admin.choosing import AllMatching
from orders.admin.pagination import DeskPaginator, TabbedPaginator
from orders.admin.sorting import DeskChangeList, Sort, by, by_life, by_moment, by_number
from orders.admin.tabs import TabbedChangeList
from orders.clocks import RESTING_TYPES
from orders.executions import EXECUTED, REVERSED
from orders.models import Order, PortfolioOrder
from orders.problems import problems_in
from orders.progress import Progress, progress_of
from orders.templatetags.desk import (
    badge,
    bar,
    money,
    pill,
    short_id,
    source_word,
    stale_badge,
    when,
)
from orders.tracked import is_stale
from orders.version import questions, version_now


class DeskList(AllMatching, ReadOnlyAdmin):
    """A list with the newest first, filters as chips, and no other orders and lookups than ours."""

    paginator = DeskPaginator
    list_per_page = 50
    list_max_show_all = 0
    actions_on_top = True
    sorted_by: ClassVar[str] = ""  # the column of its own order, as "-placed"
    more_columns: ClassVar[Sequence[str]] = ()  # shown to those who have chosen all
    empty_value_display = "—"
    preview: ClassVar[Sequence[str]] = ()  # the columns that a search shows beside the first

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under its name."""
        shown = {
            "title": str(self.opts.verbose_name_plural).capitalize(),
            "most": f"{desk.CAP:,}",
            "version_url": reverse(f"admin:{self._name('list_version')}"),
        }
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that is sorted by a column."""
        return DeskChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns; more of them for those who have chosen all."""
        more = self.more_columns if display.chosen("columns") == "all" else ()
        return [*super().get_list_display(request), *more]

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        """Return the columns that say how to sort by them."""
        names = [str(name) for name in self.get_list_display(request)]
        orders = {it: getattr(getattr(self, it, None), "admin_order_field", None) for it in names}
        return [name for name, order in orders.items() if isinstance(order, Sort)]

    def freshness(self) -> Mapping[str, Combinable]:
        """Return what to ask the database for the version of the list."""
        return questions()

    def list_version(self, request: HttpRequest) -> HttpResponse:
        """Answer with the version of the list, which an open page compares with its own."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse({"version": version_now(self.freshness())})

    def get_urls(self) -> list[Any]:
        """Add the version."""
        view = never_cache(require_safe(self.admin_site.admin_view(self.list_version)))
        return [path("version/", view, name=self._name("list_version")), *super().get_urls()]

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return the paginator, which asks for the version, and counts the tabs, too."""
        paginator: Any = super().get_paginator(request, *args, **kwargs)
        paginator.freshness = self.freshness()
        if isinstance(paginator, TabbedPaginator):
            paginator.questions = getattr(request, "tab_questions", {})
        return paginator

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only our filters can be asked for by the URL: most columns have no index."""
        given: Any = self.get_list_filter(request)
        return any(lookup in each.names() for each in given)


class TrackedList(DeskList):
    """Columns of what we track."""

    sorted_by = "-placed"
    more_columns = ("account", "reference")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows what is stale."""
        return TrackedChangeList

    @admin.display(description="ID")
    def short_id(self, row: PortfolioOrder | Order) -> SafeString | str:
        """The first eight characters."""
        return short_id(row.pk)

    @admin.display(description="Status", ordering=by_life())
    def status_badge(self, row: PortfolioOrder | Order) -> SafeString:
        """The status, with a mark where it is in doubt, and one where a webhook never came."""
        marks = [badge(row.status)]
        if doubts := problems_in(_problems(row)):
            said = " ".join(problem.meaning for problem in doubts)
            marks.append(_mark(said, pill("failed", "warning", "Problem")))
        if _misses_a_webhook(row):
            said = "An expected webhook never arrived"
            marks.append(_mark(said, pill("stale", "warning", "Missed")))
        return format_html_join(" ", "{}", ((mark,) for mark in marks))

    @admin.display(description="Amount", ordering=by_number("cash_amount"))
    def amount(self, row: PortfolioOrder | Order) -> str:
        """The cash amount."""
        return money(row.cash_amount, row.currency)

    @admin.display(description="Placed", ordering=by_moment("created_at"))
    def placed(self, row: PortfolioOrder | Order) -> SafeString | str:
        """When upstream took it."""
        return when(row.created_at)

    @admin.display(description="Account", ordering=by("account_id"))
    def account(self, row: PortfolioOrder | Order) -> SafeString | str:
        """The first characters of the account's id, which lead to all that it has in this list."""
        if row.account_id is None:
            return self.empty_value_display
        url = reverse(f"admin:{self._name('changelist')}")
        return format_html(
            '<a href="{}?q={}">{}</a>', url, row.account_id, short_id(row.account_id)
        )

    @admin.display(description="Client reference", ordering=by("client_reference"))
    def reference(self, row: PortfolioOrder | Order) -> str:
        """The reference that the client gave."""
        return row.client_reference or self.empty_value_display

    @admin.display(description="Last update", ordering=by("heard_at"))
    def last_heard(self, row: Any) -> SafeString:
        """When and how we last heard of it, or that it is stale."""
        heard = format_html(
            '{} <span class="quiet">{}</span>', when(row.heard_at), source_word(row.heard_via)
        )
        if not row.is_stale:
            return heard
        if row.news_at and row.heard_at and row.heard_at > row.news_at:
            heard = format_html(
                "confirmed by {} {}", source_word(row.heard_via), when(row.heard_at)
            )
        return format_html('{} <span class="quiet">{}</span>', stale_badge(), heard)


def _mark(said: str, mark: SafeString) -> SafeString:
    return format_html('<span title="{}">{}</span>', said, mark)


def _problems(row: Any) -> int:
    """Return what is wrong with the object, or with any of its orders: the filter has both."""
    of_its_orders: Progress | None = getattr(row, "progress", None)
    return int(row.problems | (of_its_orders.problems if of_its_orders else 0))


def _misses_a_webhook(row: Any) -> bool:
    """Whether one of the object, or of its orders, has been missing for longer than the grace time."""
    of_its_orders: Progress | None = getattr(row, "progress", None)
    missing = row.missing_since is not None and (
        row.missing_since < timezone.now() - settings.GAP_GRACE
    )
    return missing or bool(of_its_orders and of_its_orders.missed)


class TrackedChangeList(DeskChangeList):
    """A list whose rows know whether they are stale: ``is_stale``."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page; exports and actions on the whole list do without the question."""
        # A condition on the row itself: asked as a subquery, all stale rows are collected for a page.
        stale = ExpressionWrapper(_is_stale(self.model), output_field=BooleanField())
        self.queryset = self.queryset.annotate(is_stale=stale)
        super().get_results(request)


class PortfolioOrderChangeList(TabbedChangeList, TrackedChangeList):
    """The list of portfolio orders with the progress of those on the page, read with one query."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then its progress."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        known = progress_of(row.pk for row in rows)
        for row in rows:
            row.progress = known.get(row.pk)
        self.result_list = rows

    @property
    def is_of_stale_ones(self) -> bool:
        """Whether it is asked for what is stale, and for nothing else."""
        return dict(self.params) == {"freshness": "stale"}


def progress_column(progress: Progress | None, *, has_ended: bool) -> SafeString | str:
    """Return "7 of 12 filled" over a bar; what a cancelled execution has undone is named, too."""
    if progress is None:
        return format_html(
            '<span class="quiet">{}</span>', "no orders" if has_ended else "waiting for orders"
        )
    undone = f", {progress.reversed} {REVERSED}" if progress.reversed else ""
    undone += f", {progress.executed} {EXECUTED}" if progress.executed else ""
    words = f"{progress.filled} of {progress.total} filled{undone}"
    return format_html("{}<br>{}", words, bar(progress, "small"))


def stale_rows(model: Any) -> QuerySet:
    """Return the rows that are stale; of orders only those without a portfolio order that cannot rest."""
    rows: QuerySet = model.objects.filter(_is_stale(model))
    return rows


def _is_stale(model: Any) -> Q:
    stale = is_stale(timezone.now())
    if model is not Order:
        return stale
    alone = Q(portfolio_order=None) & ~Q(order_type__in=RESTING_TYPES)
    return stale & alone & ~Q(status="FILLED")  # final, where a portfolio order would be settling
