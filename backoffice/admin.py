"""The admin site, read-only admins, and a paginator that never counts a whole table."""

from typing import Any

from django.contrib import admin
from django.core.paginator import EmptyPage, Page, Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import cached_property

from backoffice import second_factor
from backoffice.sidebar import arranged, with_page
from backoffice.weather import page

CAP = 10_000  # rows counted at most


class OrderDeskAdminSite(admin.AdminSite):
    """The order desk; with ``REQUIRE_SECOND_FACTOR`` only for staff verified by a device."""

    site_header = site_title = "Order Desk"
    index_title = "Today"
    site_url = None
    login_form = second_factor.LoginForm

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person may see any page of the site."""
        return super().has_permission(request) and second_factor.is_satisfied(request.user)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Log in; staff without a device are led to the page where they enrol one."""
        if request.method == "GET" and second_factor.must_enrol(request.user):
            return HttpResponseRedirect(reverse("admin:second-factor", current_app=self.name))
        return super().login(request, extra_context)

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the groups of the sidebar."""
        groups = arranged(super().get_app_list(request, app_label))
        if app_label is None and page.may_view(request):
            url = reverse("admin:broker-api", current_app=self.name)
            return with_page(groups, group="Broker", name=page.TITLE, url=url)
        return groups

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Add the enrolment of a second factor, for those who may not see anything else yet, and the weather."""
        enrol = second_factor.EnrolView.as_view(site=self)
        return [
            path("second-factor/", enrol, name="second-factor"),
            path("broker-api/", self.admin_view(self.broker_api), name="broker-api"),
            *super().get_urls(),
        ]

    def broker_api(self, request: HttpRequest) -> HttpResponse:
        """Show the weather at the broker's API."""
        return page.show(request, self.each_context(request))


class CappedPaginator(Paginator):
    """Counts ``CAP`` rows at most; beyond them there is a previous and a next page only.

    ``count`` is ``CAP`` + 1 when there are more. A page knows whether another follows by reading
    one row more than it shows.
    """

    @cached_property
    def count(self) -> int:
        """The number of rows, ``CAP`` + 1 at most."""
        rows = self.object_list
        if isinstance(rows, models.QuerySet):
            # The key alone: columns that the list adds would be computed for each row counted.
            return rows.order_by().values("pk")[: CAP + 1].count()
        return min(len(rows), CAP + 1)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than were counted."""
        return self.count > CAP

    @property
    def count_text(self) -> str:
        """The count for people: "9,999" or "10,000+"."""
        return f"{CAP:,}+" if self.is_capped else f"{self.count:,}"

    @cached_property
    def num_pages(self) -> int:
        """The number of pages up to the cap."""
        return max(1, -(-min(self.count, CAP) // self.per_page))

    def validate_number(self, number: Any) -> int:
        """Return ``number`` as a page number; above the cap any may exist."""
        try:
            return super().validate_number(number)
        except EmptyPage:
            if not self.is_capped or int(number) < 1:
                raise
            return int(number)

    def page(self, number: Any) -> "CappedPage":
        """Return one page; EmptyPage where there are no rows."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        if not rows and number > 1:
            raise EmptyPage("That page contains no results")
        return CappedPage(rows, number, self)


class CappedPage(Page):
    """One page, made with one row more than it shows."""

    def __init__(self, rows: list[Any], number: int, paginator: CappedPaginator) -> None:
        self._has_next = len(rows) > paginator.per_page
        super().__init__(rows[: paginator.per_page], number, paginator)

    def has_next(self) -> bool:
        """Whether another page follows."""
        return self._has_next


class ReadOnlyAdmin(admin.ModelAdmin):
    """Upstream owns these rows, or our journal does; the admin only shows them."""

    paginator = CappedPaginator
    show_full_result_count = False  # no COUNT over the whole table on every page
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody."""
        return False
