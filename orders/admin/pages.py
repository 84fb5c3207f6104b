"""The frame that the pages of a portfolio order, an order and an entry share, and its buttons.

A page is shown, never edited, so it needs no form and no transaction. Each button is a POST to a
URL of its own with a permission of its own.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from backoffice import doorbell
from orders import journal, tasks
from orders.admin.columns import DeskList, TrackedList, stale_rows
from orders.asking import checking, feedback
from orders.asking.feedback import Result, Verdict
from orders.lifecycle import SETTLING, Kind, is_final
from orders.models import Order, PortfolioOrder

REFETCH = "orders.refetch_portfolioorder"  # portfolio orders and orders alike
NOTE = "orders.add_note"
EXPORT = "orders.export_history"
PAYLOAD = "orders.view_payload"

LONGEST_NOTE = 10_000  # characters
LEVELS = {
    Verdict.ANSWERED: messages.SUCCESS,
    Verdict.FAILED: messages.ERROR,
    Verdict.NOT_FOUND: messages.WARNING,
    Verdict.LIMITED: messages.WARNING,
    Verdict.QUEUED: messages.WARNING,
    Verdict.BUSY: messages.WARNING,
    Verdict.SKIPPED: messages.WARNING,
}
View = Callable[
    ..., HttpResponseBase
]  # of a request and, where its URL names one, the key of a row


class PageAdmin(DeskList):
    """A list, and a page for each row of it."""

    @property
    def name(self) -> str:
        """What a row is called: "Portfolio order"."""
        return str(self.opts.verbose_name).capitalize()

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the template of this page shows beside the frame."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the page of one row."""
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            messages.warning(
                request,
                f"{self.name} {object_id}: not known here.",
            )
            return redirect(f"admin:{self._name('changelist')}")
        title = f"{self.name} {str(row.pk)[:8]}"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": title,
            "list_url": reverse(f"admin:{self._name('changelist')}"),
            **self.page(request, row),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_form_template or "", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the page: Django's log of changes has nothing to tell of what nobody changes."""
        return redirect(f"admin:{self._name('change')}", object_id)

    def button(self, name: str, permission: str, press: View, *, key: str = "uuid") -> URLPattern:
        """Return the URL of a button: POST only, and only for those who have the permission.

        ``key`` is the converter of the row's key.
        """
        view = require_POST(self.guarded(press, permission))
        return path(f"<{key}:pk>/{name}/", view, name=self._name(name))

    def question(self, name: str, permission: str, ask: View, *, key: str = "uuid") -> URLPattern:
        """Return the URL of the page that asks before a button is pressed, for the same people."""
        view = require_safe(self.guarded(ask, permission))
        return path(f"<{key}:pk>/{name}/", view, name=self._name(name))

    def guarded(self, view: View, *permissions: str) -> View:
        """Return a view for those who may see the list and have one of these permissions."""

        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            if not (self.has_view_permission(request) and has_any(request, *permissions)):
                raise PermissionDenied
            return view(request, **arguments)

        return self.admin_site.admin_view(guarded)

    def to_page(self, pk: UUID | int, entry_id: int | None = None) -> HttpResponse:
        """Lead back to the page of a row, to an entry of its history."""
        url = reverse(f"admin:{self._name('change')}", args=[pk])
        return redirect(f"{url}#entry-{entry_id}" if entry_id else url)

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"


class OrderPageAdmin(TrackedList, PageAdmin):
    """A page with Refetch and notes: that of a portfolio order or of an order."""

    kind: Kind

    def frame(self, row: PortfolioOrder | Order) -> dict[str, Any]:
        """Return what the head of both pages needs."""
        now = timezone.now()
        ended = is_final(self.kind, row.status) or row.status == SETTLING
        end = (row.cancelled_at or row.filled_at or row.updated_at) if ended else now
        return {
            "is_ended": ended,
            "is_stale": stale_rows(self.model).filter(pk=row.pk).exists(),
            "is_asking": row.asking_until is not None and row.asking_until > now,
            "settles_by": self._settles_by(row),
            "took": end - row.created_at if end and row.created_at else None,
            **{
                f"{name}_url": reverse(f"admin:{self._name(name)}", args=[row.pk])
                for name in ("refetch", "note")
            },
        }

    def _settles_by(self, row: PortfolioOrder | Order) -> datetime | None:
        """Return until when a portfolio order that is filled should settle at the usual pace."""
        is_settling = self.kind is Kind.PORTFOLIO_ORDER and row.status == SETTLING
        return row.filled_at + settings.STALE_FILLED if is_settling and row.filled_at else None

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        return [
            self.button("refetch", REFETCH, self.press_refetch),
            self.button("note", NOTE, self.press_note),
            *super().get_urls(),
        ]

    def press_refetch(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Refetch, tell what came of it, and lead to its entry."""
        self._row_or_404(pk)
        result = _refetch(self.kind, pk, actor=request.user.get_username())
        sentence = feedback.sentence(result, now=timezone.now())
        messages.add_message(request, LEVELS[result.verdict], f"{sentence}.")
        return self.to_page(pk, result.entry_id)

    def press_note(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Add a note, and lead to it."""
        self._row_or_404(pk)
        text = request.POST.get("text", "").strip()
        if not text or len(text) > LONGEST_NOTE:
            messages.error(
                request, f"A note has 1 to {LONGEST_NOTE:,} characters. Nothing was added."
            )
            return self.to_page(pk)
        entry = journal.record_note(
            self.kind, pk, text, actor=request.user.get_username(), now=timezone.now()
        )
        return self.to_page(pk, entry.pk)

    def _row_or_404(self, pk: UUID) -> None:
        get_object_or_404(self.model, pk=pk)


def has_any(request: HttpRequest, *permissions: str) -> bool:
    """Whether this person has at least one of these permissions."""
    return any(map(request.user.has_perm, permissions))


def _refetch(kind: Kind, pk: UUID, *, actor: str) -> Result:
    """Refetch for as long as a person waits; what upstream has not answered by then a worker asks again."""
    patience = checking.PATIENCE
    result = checking.refetch(kind, pk, actor=actor, patience=patience)
    if result.verdict is not Verdict.FAILED or result.took < patience:
        return result
    task = tasks.refetch_order if kind is Kind.ORDER else tasks.refetch_portfolio_order
    is_queued = doorbell.ring(task, str(pk), actor)
    return replace(result, verdict=Verdict.QUEUED) if is_queued else result
