"""The search box of every page: to the page of the one thing that has an id, else to a list.

A whole id that nothing here has may be fetched from the broker, by a press of a button.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from orders import search
from orders.admin.pages import LEVELS, REFETCH
from orders.asking import checking, feedback
from orders.asking.feedback import Result, Verdict
from orders.lifecycle import Kind
from orders.models import Execution, JournalEntry, Order, Placement, PortfolioOrder
from orders.search import Id, IdPrefix
from orders.tracked import Source
from webhooks.models import Delivery

PAGES = {
    Kind.PORTFOLIO_ORDER: "orders_portfolioorder",
    Kind.ORDER: "orders_order",
}
Page = tuple[str, Any]  # of which model, and which row


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Lead to what was searched for; ask about a whole id that is unknown."""
    _require(request, "orders.view_portfolioorder")
    text = request.GET.get("q", "").strip()
    term = search.classify(text)
    pages = [page for page in _pages(text, term) if _may_see(request, page)]
    if len(pages) == 1:
        name, pk = pages[0]
        return redirect(f"admin:{name}_change", pk)
    if isinstance(term, Id) and not pages:
        return _list_of(text) or _unknown(request, term.id)
    return _to_list("orders_portfolioorder", text)


@require_POST
def fetch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask the broker for an unknown id, as that of a portfolio order, then as that of an order."""
    _require(request, REFETCH)
    kind, result = _refetch(pk, actor=request.user.get_username())
    sentence = feedback.sentence(result, now=timezone.now())
    messages.add_message(request, LEVELS[result.verdict], f"{sentence}.")
    if result.verdict is not Verdict.ANSWERED:
        return redirect(f"{reverse('find')}?{urlencode({'q': pk})}")
    return redirect(f"{reverse(f'admin:{PAGES[kind]}_change', args=[pk])}#entry-{result.entry_id}")


def _refetch(pk: UUID, *, actor: str) -> tuple[Kind, Result]:
    result = checking.refetch(Kind.PORTFOLIO_ORDER, pk, actor=actor, patience=checking.PATIENCE)
    if result.verdict is not Verdict.NOT_FOUND:
        return Kind.PORTFOLIO_ORDER, result
    return Kind.ORDER, checking.refetch(Kind.ORDER, pk, actor=actor, patience=checking.PATIENCE)


def _pages(text: str, term: search.Term | None) -> Iterator[Page]:
    """Yield the pages of what has the id, at most two of a kind: more than one is for the list."""
    if isinstance(term, Id):
        yield from _first(PortfolioOrder, pk=term.id)
        yield from _first(Order, pk=term.id)
        for order_id in Execution.objects.filter(pk=term.id).values_list("order_id", flat=True):
            yield "orders_order", order_id
        yield from _first(JournalEntry, event_id=term.id)
        yield from _first(Placement, pk=term.id)
    if isinstance(term, IdPrefix):
        yield from _first(PortfolioOrder, pk__range=(term.first, term.last))
        yield from _first(Order, pk__range=(term.first, term.last))
        yield from _first(Placement, pk__range=(term.first, term.last))
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        yield from _first(Delivery, pk=int(text))


def _first(model: Any, **having: Any) -> Iterator[Page]:
    name = f"{model._meta.app_label}_{model._meta.model_name}"  # noqa: SLF001 -- Django's public name
    for pk in model.objects.filter(**having).order_by().values_list("pk", flat=True)[:2]:
        yield name, pk


def _may_see(request: HttpRequest, page: Page) -> bool:
    app, model = page[0].split("_")
    return request.user.has_perm(f"{app}.view_{model}")


def _list_of(text: str) -> HttpResponse | None:
    """Lead to the first list that holds what an id leads to, as that of an account does."""
    # What we asked for ourselves in vain is no trace of it.
    events = JournalEntry.objects.filter(source=Source.WEBHOOK)
    if search.portfolio_orders(PortfolioOrder.objects.all(), text).exists():
        return _to_list("orders_portfolioorder", text)
    if search.orders(Order.objects.all(), text).exists():
        return _to_list("orders_order", text)
    if search.entries(events, text).exists():
        return _to_list("orders_journalentry", text)
    return None


def _to_list(name: str, text: str) -> HttpResponse:
    url = reverse(f"admin:{name}_changelist")
    return redirect(f"{url}?{urlencode({'q': text})}" if text else url)


def _unknown(request: HttpRequest, pk: UUID) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Not known here",
        "id": pk,
        "term": pk,
        "may_fetch": request.user.has_perm(REFETCH),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/unknown.html", context)


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied
