"""Cancelling on the pages of a portfolio order and of an order: the button, the question, the notice."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone

from orders.admin.pages import OrderPageAdmin
from orders.admin.within import list_url
from orders.cancelling import requesting
from orders.cancelling.outcome import Fate, Result
from orders.cancelling.results import results
from orders.clocks import kind_of
from orders.lifecycle import KNOWN_STATUSES, Kind
from orders.models import Cancellation, Order, PortfolioOrder
from orders.timeline.notices import Notice

CANCEL = "orders.cancel_portfolioorder"  # portfolio orders and orders alike
PATIENCE = 5.0  # seconds that a person waits for the broker
LONGEST_REASON = 1_000  # characters
WRONG = 422  # the status of a page that was sent back: nothing was sent

LOOKS = {  # tone and icon of a fate
    Fate.WAITING: ("new", "stale"),
    Fate.UNKNOWN: ("stale", "unknown"),
    Fate.TAKEN: ("processing", "processing"),
    Fate.REFUSED: ("failed", "failed"),
    Fate.CANCELLED: ("cancelled", "cancelled"),
    Fate.PARTLY: ("stale", "warning"),
    Fate.FILLED: ("filled", "filled"),
}
LEVELS = {
    Fate.TAKEN: messages.SUCCESS,
    Fate.CANCELLED: messages.SUCCESS,
    Fate.REFUSED: messages.ERROR,
}
NEW = "The broker has not started working it, so it is likely to be cancelled."
WORKED = (
    "It is already being worked: the broker may refuse, and some orders may be cancelled while "
    "others are filled. Trades already executed stand."
)
WORKED_ORDER = (
    "It is already being worked: the broker may refuse, and trades already executed stand."
)
ODD = "The broker reports the status {word}, which is unknown here: it may refuse."
OTHERS = "The other orders of its portfolio order are not affected."


class CancelAdmin(OrderPageAdmin):
    """A page with Cancel, for as long as there is something to cancel."""

    def get_urls(self) -> list[Any]:
        """Add the question and the button."""
        return [
            self.question("confirm_cancel", CANCEL, self.confirm_cancel, fresh=True),
            self.button("cancel", CANCEL, self.press_cancel, fresh=True),
            *super().get_urls(),
        ]

    def frame(self, request: HttpRequest, row: PortfolioOrder | Order) -> dict[str, Any]:
        """Add where the question is, unless the order has ended."""
        may = not requesting.why_not_in(row.status)
        urls = self.addresses(request, row.pk, *(["confirm_cancel"] if may else []))
        return {**super().frame(request, row), **urls}

    def confirm_cancel(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for a reason, beside what we know of the order and what cancelling can and cannot do."""
        row: Any = get_object_or_404(self.model, pk=pk)
        if reason := requesting.why_not_in(row.status):
            messages.warning(request, reason)
            return self.to_page(request, pk)
        return self._question(request, row)

    def _question(self, request: HttpRequest, row: Any, *, problem: str = "") -> HttpResponse:
        pk = row.pk
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": f"Cancel {self.name.lower()} {str(pk)[:8]}",
            "kind_word": self.name.lower(),
            "back_url": list_url(self, request),
            **self.addresses(request, pk, "change", "cancel"),
            "prospect": prospect(row),
            "orders": _orders_of(row),
            "notices": requests_notices(row, now=timezone.now()),
            "typed": request.POST.get("reason", ""),
            "problem": problem,
            "longest": LONGEST_REASON,
        }
        template, status = "admin/orders/cancellation/confirm.html", WRONG if problem else 200
        return TemplateResponse(request, template, context, status=status)

    def press_cancel(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask the broker, wait briefly for its answer, show it, and lead back."""
        row: Any = get_object_or_404(self.model, pk=pk)
        actor, reason = request.user.get_username(), request.POST.get("reason", "").strip()
        wrong = f"Give a reason of 1 to {LONGEST_REASON:,} characters. Nothing was sent."
        if not 0 < len(reason) <= LONGEST_REASON and not requesting.why_not_in(row.status):
            return self._question(request, row, problem=wrong)
        try:
            made = requesting.request(self.kind, pk, actor=actor, reason=reason, rings=False)
        except requesting.NotPossibleError as error:
            messages.warning(request, str(error))
            return self.to_page(request, pk)
        try:
            made = requesting.send(made.pk, patience=PATIENCE)
        except ImproperlyConfigured as error:
            messages.error(request, f"Cancellation requested, but it cannot be sent: {error}")
            return self.to_page(request, pk)
        result = results([made], now=timezone.now())[made.pk]
        level = LEVELS.get(result.fate, messages.WARNING)
        messages.add_message(request, level, f"Cancellation requested. {result.sentence}")
        return self.to_page(request, pk)


def prospect(row: PortfolioOrder | Order) -> str:
    """Return what cancelling can and cannot do to an order as it stands."""
    parent = row.portfolio_order_id if isinstance(row, Order) else None
    worked = WORKED_ORDER if isinstance(row, Order) else WORKED
    said = {"NEW": NEW, "PROCESSING": worked}.get(row.status)
    if said is None:
        word = row.status if row.status not in ("", *KNOWN_STATUSES) else "(none yet)"
        said = ODD.format(word=word)
    return f"{said} {OTHERS}" if parent else said


def requests_notices(row: PortfolioOrder | Order, *, now: datetime) -> list[Notice]:
    """Return the last request to cancel an order, or its portfolio order, and what became of it.

    One query, three more where there is a request.
    """
    about = Q(portfolio_order_id=row.pk)
    if isinstance(row, Order):
        about = Q(order_id=row.pk)
        if row.portfolio_order_id:
            about |= Q(portfolio_order_id=row.portfolio_order_id)
    found = list(Cancellation.objects.filter(about).order_by("-pk")[:20])
    last = [next((it for it in found if it.kind is kind), None) for kind in Kind]
    shown = [it for it in last if it is not None]
    known = results(shown, now=now) if shown else {}
    return [_notice(it, known[it.pk], row) for it in shown]


def _notice(request: Cancellation, result: Result, row: PortfolioOrder | Order) -> Notice:
    tone, symbol = LOOKS[result.fate]
    local = timezone.localtime(request.requested_at)
    at = f"{local:%H:%M:%S} on {local.day} {local:%b %Y}"
    of = (
        ""
        if request.about == row.pk and request.kind is kind_of(row)
        else " of its portfolio order"
    )
    headline = f"Cancellation{of} requested by {request.requested_by} at {at}."
    why = f"Reason: {request.because.rstrip('.')}. " if request.because else ""
    return Notice(tone, symbol, headline, f"{why}{result.sentence}")


def _orders_of(row: PortfolioOrder | Order) -> Sequence[Order]:
    if not isinstance(row, PortfolioOrder):
        return []
    return list(Order.objects.filter(portfolio_order_id=row.pk).order_by("created_at", "pk"))
