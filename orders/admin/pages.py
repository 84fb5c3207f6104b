"""The frame that the pages of a portfolio order, an order and an entry share, and its buttons.

A page is shown, never edited, so it needs no form and no transaction. Each button is a POST to a
URL of its own with a permission of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Exists
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from backoffice import audit, doorbell, second_factor
from backoffice.access.permissions import MissingPermissionError
from backoffice.access.pressing import View, pressed
from backoffice.together import ask
from orders import fills, intake, journal, tasks
from orders.admin.columns import DeskList, TrackedList, stale_rows
from orders.admin.within import kept, list_url, within
from orders.asking import checking, feedback
from orders.asking.feedback import Result, Verdict
from orders.lifecycle import SETTLING, Kind, is_final
from orders.models import Order, PortfolioOrder
from orders.timeline.notices import MOST_WAITING, waiting
from orders.version import version_of

REFETCH = "orders.refetch_portfolioorder"  # portfolio orders and orders alike
NOTE = "orders.add_note"
EXPORT = "orders.export_history"
PAYLOAD = "orders.view_payload"

LONGEST_NOTE = 10_000  # characters
LONGEST_KEPT = 100_000  # of a note that is too long, in the session
KEPT_NOTE = "kept_note"  # its name there
LEVELS = {
    Verdict.ANSWERED: messages.SUCCESS,
    Verdict.FAILED: messages.ERROR,
    Verdict.NOT_FOUND: messages.WARNING,
    Verdict.LIMITED: messages.WARNING,
    Verdict.QUEUED: messages.WARNING,
    Verdict.BUSY: messages.WARNING,
    Verdict.SKIPPED: messages.WARNING,
}


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
                f"{self.name} {object_id}: not found.",
            )
            return redirect(list_url(self, request))
        title = f"{self.name} {str(row.pk)[:8]}"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": title,
            "list_url": reverse(f"admin:{self._name('changelist')}"),
            "back_url": list_url(self, request),
            "within": within(self, request, row),
            **self.page(request, row),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_form_template or "", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the page: Django's log of changes has nothing to tell of what nobody changes."""
        return redirect(self.address(request, "change", object_id))

    def button(
        self,
        name: str,
        permission: str | Sequence[str],
        press: View,
        *,
        key: str = "uuid",
        fresh: bool = False,
    ) -> URLPattern:
        """Return the URL of a button: a POST of those who have the permission, or one of several.

        Whoever opens its address (a log-in leads there, or somebody shared it) is led to the page
        of its row. ``key`` is the converter of the row's key.
        """
        permissions = [permission] if isinstance(permission, str) else permission
        view = self._pressed(self.guarded(press, *permissions, fresh=fresh), self.to_page)
        return path(f"<{key}:pk>/{name}/", view, name=self._name(name))

    def list_button(
        self,
        name: str,
        press: View,
        *permissions: str,
        home: str = "changelist",
        url_name: str = "",
        fresh: bool = False,
    ) -> URLPattern:
        """Return the URL of a button that belongs to no row; its address leads to the page ``home``."""

        def lead(_: HttpRequest) -> HttpResponse:
            return redirect(f"admin:{self._name(home)}")

        view = self._pressed(self.guarded(press, *permissions, fresh=fresh), lead)
        return path(f"{name}/", view, name=self._name(url_name or name))

    def _pressed(self, press: View, lead: View) -> View:
        return pressed(press, self.admin_site.admin_view(lead))

    def question(
        self, name: str, permission: str, ask: View, *, key: str = "uuid", fresh: bool = False
    ) -> URLPattern:
        """Return the URL of the page that asks before a button is pressed, for the same people."""
        view = require_safe(self.guarded(ask, permission, fresh=fresh))
        return path(f"<{key}:pk>/{name}/", view, name=self._name(name))

    def guarded(self, view: View, *permissions: str, fresh: bool = False) -> View:
        """Return a view for those who may see the list and have one of these permissions.

        One that moves money is ``fresh``: it asks for the second factor again if that was shown
        some time ago.
        """

        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            if not has_any(request, *permissions):
                raise MissingPermissionError(*permissions)
            if fresh and not second_factor.is_fresh(request):
                return second_factor.ask_again(request)
            return view(request, **arguments)

        return self.admin_site.admin_view(guarded)

    def address(self, request: HttpRequest, name: str, pk: Any) -> str:
        """Return where the page of a row is, or one of its buttons, within the list that somebody came from."""
        return kept(reverse(f"admin:{self._name(name)}", args=[pk]), request)

    def addresses(self, request: HttpRequest, pk: Any, *names: str) -> dict[str, str]:
        """Return the addresses of buttons for the template of a page: "refetch_url" and the like."""
        return {f"{name}_url": self.address(request, name, pk) for name in names}

    def to_page(
        self, request: HttpRequest, pk: UUID | int, entry_id: int | None = None
    ) -> HttpResponse:
        """Lead back to the page of a row, to an entry of its history."""
        url = self.address(request, "change", pk)
        return redirect(f"{url}#entry-{entry_id}" if entry_id else url)


class OrderPageAdmin(TrackedList, PageAdmin):
    """A page with Refetch and notes: that of a portfolio order or of an order."""

    kind: Kind

    def frame(self, request: HttpRequest, row: PortfolioOrder | Order) -> dict[str, Any]:
        """Return what the head of both pages needs."""
        now = timezone.now()
        ended = is_final(self.kind, row.status) or row.status == SETTLING
        version = version_of(self.kind, row.pk)  # before all else: what comes then is news
        is_stale = Exists(stale_rows(self.model).filter(pk=row.pk))
        held = ask(is_stale=is_stale, **intake.questions(MOST_WAITING + 1))
        return {
            "version": version,
            "is_ended": ended,
            "is_stale": held["is_stale"],
            "waiting": waiting(held["unread"], held["unread_since"], now=now),
            "is_asking": row.asking_until is not None and row.asking_until > now,
            "settles_by": self._settles_by(row),
            "took": fills.took(self.kind, row, now=now),
            **self.addresses(request, row.pk, "refetch", "note"),
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
        try:
            result = _refetch(self.kind, pk, actor=request.user.get_username())
        except ImproperlyConfigured as error:
            messages.error(request, f"Not refetched: {error}.")
            return self.to_page(request, pk)
        sentence = feedback.sentence(result, now=timezone.now())
        messages.add_message(request, LEVELS[result.verdict], f"{sentence}.")
        return self.to_page(request, pk, result.entry_id)

    def press_note(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Add a note, and lead to it."""
        self._row_or_404(pk)
        text = request.POST.get("text", "").strip()
        if wrong := _wrong_with(text):
            messages.error(request, wrong)
            request.session[KEPT_NOTE] = {"of": str(pk), "text": text[:LONGEST_KEPT]}
            return self.to_page(request, pk)
        entry = journal.record_note(
            self.kind, pk, text, actor=request.user.get_username(), now=timezone.now()
        )
        messages.success(request, "Note added.")
        return self.to_page(request, pk, entry.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the page, with the text of a note that was refused."""
        kept = request.session.get(KEPT_NOTE, {})
        shown = extra_context or {}
        if kept.get("of") == unquote(object_id):
            shown = {"kept_note": request.session.pop(KEPT_NOTE)["text"], **shown}
        return super().change_view(request, object_id, form_url, shown)

    def _row_or_404(self, pk: UUID) -> None:
        get_object_or_404(self.model, pk=pk)


def _wrong_with(note: str) -> str:
    """Return why a note cannot be added; "" if it can."""
    if not note:
        return "The note is empty. Nothing was added."
    if len(note) <= LONGEST_NOTE:
        return ""
    kept = "" if len(note) <= LONGEST_KEPT else f" Its first {LONGEST_KEPT:,} are still there."
    return (
        f"A note has at most {LONGEST_NOTE:,} characters, and this one has {len(note):,}. "
        f"Nothing was added.{kept or ' The text is still there: shorten it, or split it.'}"
    )


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
    is_queued = doorbell.ring(task, str(pk), actor, audit.address())
    return replace(result, verdict=Verdict.QUEUED) if is_queued else result
