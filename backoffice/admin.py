"""The admin site, read-only admins, and a paginator that never counts a whole table."""

import logging
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ObjectDoesNotExist
from django.core.paginator import EmptyPage, Page, Paginator
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import cached_property

from backoffice import second_factor
from backoffice.access import kept
from backoffice.access.permissions import administrators
from backoffice.asked import AskedList
from backoffice.sidebar import arranged, group_of, with_page
from backoffice.weather import page

CAP = 10_000  # rows counted at most
DEEP = 5000  # rows skipped at once with all of their columns
ENDED = "Your session has ended. Nothing was sent. Log in to return to your page."
IDLE = "You were logged out after {minutes} minutes without activity."
LAST_ROW = 2**63 - 1  # the farthest that a database can be told to skip to
logger = logging.getLogger(__name__)


class OrderDeskAdminSite(admin.AdminSite):
    """The order desk; with ``REQUIRE_SECOND_FACTOR`` only for staff verified by a device."""

    site_header = site_title = "Order Desk"
    index_title = "Today"
    site_url = None
    login_form = second_factor.LoginForm

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person may see any page of the site."""
        return super().has_permission(request) and second_factor.is_satisfied(request.user)

    def register(
        self,
        model_or_iterable: Any,
        admin_class: type[admin.ModelAdmin] | None = None,
        **options: Any,
    ) -> None:
        """Register models; every list, whoever wrote it, takes only what it can be asked for."""
        of = admin_class or admin.ModelAdmin
        guarded = of if issubclass(of, AskedList) else type(of.__name__, (AskedList, of), {})
        super().register(model_or_iterable, guarded, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002 -- Django's
        """Return a page of the site; one about a row that is not there is answered 404."""

        @wraps(view)
        def found(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except ObjectDoesNotExist as error:
                logger.warning("%s: %s", request.path, error)
                raise Http404(str(error)) from error

        inner = super().admin_view(found, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if self.has_permission(request) or request.path == reverse("admin:logout"):
                return inner(request, *args, **kwargs)
            if request.method == "POST":
                messages.warning(request, ENDED)
                page = kept.keep(request, kept.Reason.SESSION)
                return redirect_to_login(page, reverse("admin:login", current_app=self.name))
            if getattr(request, "was_idle", False):
                messages.warning(request, IDLE.format(minutes=settings.SESSION_IDLE_MINUTES))
            return inner(request, *args, **kwargs)

        return guarded

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Log in; staff without a device are led to the page where they enrol one."""
        if request.method == "GET" and second_factor.must_enrol(request.user):
            return HttpResponseRedirect(reverse("admin:second-factor", current_app=self.name))
        return super().login(request, extra_context)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Let people change their own password."""
        title = {"title": "Change your password"}
        return super().password_change(request, {**title, **(extra_context or {})})

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show Today; to a colleague who may see nothing yet, whom to ask."""
        context: dict[str, Any] = {}
        if not self.get_app_list(request):
            groups = request.user.groups.order_by("name").values_list("name", flat=True)
            context = {"whom_to_ask": administrators(), "own_groups": list(groups)}
        return super().index(request, {**context, **(extra_context or {})})

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add whether people have a second factor here; a sidebar without a list is left out."""
        context = super().each_context(request)
        has_lists = bool(context["available_apps"])
        return {
            **context,
            "has_second_factor": settings.REQUIRE_SECOND_FACTOR,
            "is_nav_sidebar_enabled": context["is_nav_sidebar_enabled"] and has_lists,
        }

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the groups of the sidebar."""
        groups = arranged(super().get_app_list(request, app_label))
        if app_label is None and page.may_view(request):
            url = reverse("admin:broker-api", current_app=self.name)
            return with_page(groups, group="Broker", name=page.TITLE, url=url)
        return groups

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the lists of the group that an app belongs to; the numbers are on Today alone."""
        label = group_of(app_label)
        groups = [it for it in self.get_app_list(request) if it["app_label"] == label]
        if not groups:
            raise Http404("This group has no list that you may see.")
        context = {"title": groups[0]["name"], "app_list": groups, **(extra_context or {})}
        return super().app_index(request, app_label, context)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Add the enrolment of a second factor, for those who may not see anything else yet, and the weather.

        Nothing has a page outside the desk, so nothing leads there ("view on site").
        """
        own = [it for it in super().get_urls() if getattr(it, "name", "") != "view_on_site"]
        enrol = second_factor.EnrolView.as_view(site=self)
        again = second_factor.AgainView.as_view(site=self)
        backup = second_factor.BackupCodesView.as_view(site=self)
        return [
            path("second-factor/", enrol, name="second-factor"),
            path("second-factor/again/", self.admin_view(again), name="second-factor-again"),
            path("second-factor/backup-codes/", self.admin_view(backup), name="backup-codes"),
            path("broker-api/", self.admin_view(self.broker_api), name="broker-api"),
            *own,
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
        """Return ``number`` as a page number; above the cap any that a database can skip to may exist."""
        try:
            return super().validate_number(number)
        except EmptyPage:
            is_possible = 1 <= int(number) < LAST_ROW // self.per_page
            if not self.is_capped or not is_possible:
                raise
            return int(number)

    def page(self, number: Any) -> "CappedPage":
        """Return one page; EmptyPage where there are no rows."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = self._rows(start, start + self.per_page + 1)
        if not rows and number > 1:
            raise EmptyPage("That page contains no results")
        return CappedPage(rows, number, self)

    def _rows(self, start: int, end: int) -> list[Any]:
        """Return some rows; those far from the first by their keys, for an index alone skips the others."""
        given: Any = self.object_list
        if start < DEEP or not isinstance(given, models.QuerySet):
            return list(given[start:end])
        keys = list(given.values_list("pk", flat=True)[start:end])
        return list(given.filter(pk__in=keys))


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
