"""The list of reconciliations, the page of one with its findings, and the buttons that start and stop them."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from backoffice import doorbell
from backoffice.access.permissions import MissingPermissionError
from backoffice.admin import CappedPaginator
from backoffice.asked import quoted
from orders import tasks
from orders.admin import reconcile_form
from orders.admin.downloads import download
from orders.admin.pages import EXPORT
from orders.admin.reconciliation_columns import BADGES, ReconciliationList
from orders.admin.within import with_changes
from orders.export import files
from orders.models import Reconciliation
from orders.reconciliation import runs
from orders.reconciliation.models import Finding, RunState, Verdict
from orders.reconciliation.sentences import progress, scope_words, state_words

RECONCILE = "orders.reconcile"
PAGE = 100  # findings
# Of a finding: where its tile leads, and whether people have to look at it.
TONES = {
    Verdict.REPAIRED: ("filled", "filled"),
    Verdict.DIFFERING: ("failed", "warning"),
    Verdict.UNKNOWN_HERE: ("new", "new"),
    Verdict.UNKNOWN_THERE: ("failed", "unknown"),
}
DETAILS = {
    Verdict.REPAIRED: "corrected here",
    Verdict.DIFFERING: "still differ from the broker",
    Verdict.UNKNOWN_HERE: "were missing here, added now",
    Verdict.UNKNOWN_THERE: "not known at the broker",
}


@admin.register(Reconciliation)
class ReconciliationAdmin(ReconciliationList):
    """What was compared with the broker, when, and what came of it."""

    change_list_template = "admin/orders/reconciliation/change_list.html"
    change_form_template = "admin/orders/reconciliation/change_form.html"

    def get_urls(self) -> list[Any]:
        """Add the form that starts one, the buttons, and the version that tells of progress."""
        start = require_http_methods(["GET", "HEAD", "POST"])(self.start)
        return [
            path("start/", self.admin_site.admin_view(start), name=self._name("start")),
            path(
                "<int:pk>/version/",
                never_cache(require_safe(self.admin_site.admin_view(self.version))),
                name=self._name("version"),
            ),
            self.button("stop", RECONCILE, self.press_stop, key="int"),
            self.button("go_on", RECONCILE, self.press_go_on, key="int"),
            self.button("csv", EXPORT, self.press_csv, key="int"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list below a card that says what it is, and leads to the form."""
        context = {
            "start_url": reverse(f"admin:{self._name('start')}"),
            "nightly_at": settings.RECONCILE_AT,
            "nightly_days": settings.RECONCILE_DAYS,
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def start(self, request: HttpRequest) -> HttpResponse:
        """Ask what to compare, and start it."""
        if not (self.has_view_permission(request) and request.user.has_perm(RECONCILE)):
            raise MissingPermissionError(RECONCILE)
        wrong = ""
        if request.method == "POST":
            try:
                return self._begin(request)
            except (reconcile_form.WrongError, runs.NotPossibleError) as error:
                wrong = str(error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Start a reconciliation",
            "list_url": reverse(f"admin:{self._name('changelist')}"),
            "wrong": wrong,
            "typed": request.POST,
            "rps": settings.INVESTMENT_API_MAX_RPS,
        }
        return TemplateResponse(request, "admin/orders/reconciliation/start.html", context)

    def page(self, request: HttpRequest, row: Reconciliation) -> dict[str, Any]:
        """Return its state, its counts, and a page of its findings."""
        chosen, found, misread = _findings(request, row)
        paginator = CappedPaginator(found, PAGE)
        asked = request.GET.get("p", "1")
        try:
            page = paginator.page(asked)
        except InvalidPage:
            misread = misread or f"Page {quoted(asked)} does not exist."
            page = CappedPaginator(row.findings.none(), PAGE).page(1)
        return {
            "words": scope_words(row),
            "state": state_words(row),
            "state_badge": BADGES[state_words(row)],
            "progress": progress(row),
            "took": row.ended_at - row.started_at if row.ended_at else None,
            "tiles": _tiles(row, request.GET),
            "chosen": chosen,
            "chosen_label": Verdict(chosen).label if chosen else "",
            "misread": misread,
            "findings": page,
            "version": _version(row),
            "can_stop": row.state == RunState.RUNNING and not row.stop_requested,
            "can_go_on": row.state in {RunState.STOPPED, RunState.FAILED},
            **self.addresses(request, row.pk, "stop", "go_on", "csv", "version"),
        }

    def version(self, request: HttpRequest, pk: int) -> JsonResponse:
        """Answer with a number that grows while it gets on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse({"version": _version(get_object_or_404(Reconciliation, pk=pk))})

    def press_stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop it."""
        return self._step(request, pk, runs.stop)

    def press_go_on(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Continue it where it was."""
        return self._step(request, pk, runs.go_on)

    def press_csv(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Return its findings as CSV."""
        run = get_object_or_404(Reconciliation, pk=pk)
        asked = {"reconciliation": pk}
        return download(files.findings(run), request, how=f"reconciliation {pk}", asked=asked)

    def _begin(self, request: HttpRequest) -> HttpResponse:
        asked = reconcile_form.read(request.POST)
        run = runs.start(
            asked.scope,
            actor=request.user.get_username(),
            now=timezone.now(),
            account_id=asked.account_id,
            since=asked.since,
            until=asked.until,
        )
        _tell(request, run)
        return self.to_page(request, run.pk)

    def _step(self, request: HttpRequest, pk: int, step: Callable[..., Any]) -> HttpResponse:
        get_object_or_404(Reconciliation, pk=pk)
        try:
            run = step(pk, actor=request.user.get_username(), now=timezone.now())
        except runs.NotPossibleError as error:
            messages.error(request, str(error))
        else:
            _tell(request, run)
        return self.to_page(request, pk)


def _findings(request: HttpRequest, row: Reconciliation) -> tuple[str, QuerySet[Finding], str]:
    """Return the verdict that is asked for, its findings, and what is not understood: then there are none."""
    asked, found = request.GET.get("verdict", ""), row.findings.order_by("pk")
    if not asked:
        return "", found, ""
    if asked in Verdict.values:
        return asked, found.filter(verdict=asked), ""
    return "", found.none(), f"Result {quoted(asked)} is not understood."


def _tell(request: HttpRequest, run: Reconciliation) -> None:
    """Ring for what is to be done, and say so."""
    state = state_words(run)
    if state == "Stopping":
        messages.success(request, "Stopping: orders already being compared are finished first.")
    elif run.state == RunState.STOPPED:
        messages.success(request, "Stopped. Press Continue to resume from here.")
    elif doorbell.ring(tasks.reconcile, run.pk):
        messages.success(request, "Running. Reload this page for its progress.")
    else:
        messages.warning(
            request, "Started, but no worker could be reached: the next worker run picks it up."
        )


def _tiles(row: Reconciliation, query: QueryDict) -> list[dict[str, Any]]:
    """Return the counts of what was not equal, each with the link to it alone."""
    tiles = []
    for verdict, (tone, symbol) in TONES.items():
        count = getattr(row, verdict.lower())
        is_worry = bool(count) and tone == "failed"
        tiles.append(
            {
                "label": verdict.label,
                "symbol": symbol,
                "tone": tone,
                "value": f"{count:,}",
                "detail": DETAILS[verdict],
                "url": f"{with_changes(query, verdict=verdict, p='')}#findings",
                "is_amber": is_worry,
            }
        )
    return tiles


def _version(row: Reconciliation) -> int:
    return row.compared + (row.state != RunState.RUNNING)
