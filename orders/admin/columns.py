"""Columns that the lists share, and the change list that adds progress with one query."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backoffice.admin import ReadOnlyAdmin
from orders.admin.pagination import DeskPaginator, TabbedPaginator
from orders.admin.tabs import Tab, tabs
from orders.clocks import RESTING_TYPES
from orders.lifecycle import PROBLEMS
from orders.models import Order, PortfolioOrder
from orders.progress import Progress, progress_of
from orders.templatetags.desk import (
    ago,
    badge,
    bar,
    money,
    pill,
    short_id,
    source_word,
    stale_badge,
)


class DeskList(ReadOnlyAdmin):
    """A list with the newest first, filters as chips, and no other order or lookup than ours."""

    paginator = DeskPaginator
    list_per_page = 50
    list_max_show_all = 0
    actions_on_top = True
    sortable_by = ()
    empty_value_display = "—"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under its name."""
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only our filters can be asked for by the URL: most columns have no index."""
        given: Any = self.get_list_filter(request)
        return any(lookup in each.names() for each in given)


class TrackedList(DeskList):
    """Columns of what we track."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows what is stale."""
        return TrackedChangeList

    @admin.display(description="ID")
    def short_id(self, row: PortfolioOrder | Order) -> SafeString | str:
        """The first eight characters."""
        return short_id(row.pk)

    @admin.display(description="Status")
    def status_badge(self, row: PortfolioOrder | Order) -> SafeString:
        """The status, with a mark where it is in doubt, and one where a webhook never came."""
        marks = [badge(row.status)]
        if doubts := [words for bit, words in PROBLEMS.items() if _problems(row) & bit]:
            said = ", ".join(doubts).capitalize()
            marks.append(_mark(said, pill("failed", "warning", "Problem")))
        if _misses_a_webhook(row):
            said = "An expected webhook never arrived"
            marks.append(_mark(said, pill("stale", "warning", "Missed")))
        return format_html_join(" ", "{}", ((mark,) for mark in marks))

    @admin.display(description="Amount")
    def amount(self, row: PortfolioOrder | Order) -> str:
        """The cash amount."""
        return money(row.cash_amount, row.currency)

    @admin.display(description="Placed")
    def placed(self, row: PortfolioOrder | Order) -> SafeString | str:
        """When upstream took it."""
        return ago(row.created_at)

    @admin.display(description="Last heard")
    def last_heard(self, row: Any) -> SafeString:
        """When and how we last heard of it, or that it is stale."""
        heard = format_html(
            '{} <span class="quiet">{}</span>', ago(row.heard_at), source_word(row.heard_via)
        )
        if not row.is_stale:
            return heard
        if row.news_at and row.heard_at and row.heard_at > row.news_at:
            heard = format_html("confirmed by {} {}", source_word(row.heard_via), ago(row.heard_at))
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


class TrackedChangeList(ChangeList):
    """A list whose rows know whether they are stale: ``is_stale``."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page; exports and actions on the whole list do without the question."""
        question = stale_rows(self.model).filter(pk=OuterRef("pk")).order_by()
        self.queryset = self.queryset.annotate(is_stale=Exists(question))
        super().get_results(request)


class PortfolioOrderChangeList(TrackedChangeList):
    """The list of portfolio orders with the progress of those on the page, read with one query."""

    paginator: TabbedPaginator

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

    @property
    def tabs(self) -> list[Tab]:
        """The tabs above the list."""
        return tabs(self.params, self.paginator.found, self.get_query_string)


def progress_column(progress: Progress | None, *, has_ended: bool) -> SafeString | str:
    """Return "7 of 12 filled" over a bar."""
    if progress is None:
        return format_html(
            '<span class="quiet">{}</span>', "no orders" if has_ended else "waiting for orders"
        )
    words = f"{progress.filled} of {progress.total} filled"
    return format_html("{}<br>{}", words, bar(progress, "small"))


def stale_rows(model: Any) -> QuerySet:
    """Return the rows that are stale; of orders only those without a portfolio order that cannot rest."""
    rows: QuerySet = model.objects.stale(now=timezone.now())
    if model is not Order:
        return rows
    alone = rows.filter(portfolio_order=None).exclude(order_type__in=RESTING_TYPES)
    return alone.exclude(status="FILLED")  # final, where a portfolio order would be settling
