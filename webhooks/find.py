"""The search box of every page: to the page of the one thing that was pasted, else to what was found in each list.

A whole id that nothing here has may be fetched from the broker, by a press of a button.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from backoffice import admin as desk
from backoffice.access.permissions import MissingPermissionError
from backoffice.together import Rows, ask
from backoffice.weather.reading import recent_weather
from orders import search
from orders.admin.columns import DeskList
from orders.admin.pages import LEVELS, REFETCH
from orders.asking import checking, feedback
from orders.asking.feedback import Result, Verdict
from orders.lifecycle import Kind
from orders.models import (
    Cancellation,
    JournalEntry,
    Order,
    Outcome,
    Placement,
    PortfolioOrder,
    Reconciliation,
)
from orders.pasted import Pasted, hints, read, too_many
from webhooks.models import Delivery, Subscription

PAGES = {
    Kind.PORTFOLIO_ORDER: "orders_portfolioorder",
    Kind.ORDER: "orders_order",
}
LISTS = (  # that are searched, in the order in which they are shown
    PortfolioOrder, Order, Placement, Cancellation, JournalEntry, Reconciliation, Delivery,
    Subscription,
)  # fmt: skip
SHOWN = 5  # rows of each list
Page = tuple[str, Any]  # of which model, and which row


@dataclass(frozen=True, slots=True)
class Place:
    """A list that was searched, how many of its rows were found, and the first of them."""

    name: str
    searched_by: str
    url: str
    count: str
    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Any]]]  # the address of each, and its columns


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Lead to what was searched for, or show what was found where."""
    _require(request, "orders.view_portfolioorder")
    text = request.GET.get("q", "").strip()
    pasted = read(text)
    if not pasted.terms:
        return redirect("admin:orders_portfolioorder_changelist")
    if len(pasted.terms) == 1:
        pages = {page for page in _pages(pasted) if _may_see(request, page)}
        if len(pages) == 1:
            ((name, pk),) = pages
            return redirect(f"admin:{name}_change", pk)
    return _show(request, text, pasted)


def lead(_: HttpRequest, pk: UUID) -> HttpResponse:
    """Lead to what an id is known as here: the button's address was opened, not pressed."""
    return redirect(f"{reverse('find')}?{urlencode({'q': pk})}")


def fetch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask the broker for an unknown id, as that of a portfolio order, then as that of an order."""
    _require(request, REFETCH)
    try:
        kind, result = _refetch(pk, actor=request.user.get_username())
    except ImproperlyConfigured as error:
        messages.error(request, f"Not refetched: {error}.")
        return redirect(f"{reverse('find')}?{urlencode({'q': pk})}")
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


def _pages(pasted: Pasted) -> Iterator[Page]:
    """Yield the pages of what has the id, number or reference, at most two of a kind."""
    own = [
        *search.identified(pasted),
        *(("webhooks_subscription", keys) for keys in search.named(Subscription, pasted, "pk")),
        *(("webhooks_delivery", keys) for keys in search.numbered(Delivery, pasted)),
    ]
    for name, keys in own:
        for (pk,) in islice(keys.order_by()[:2].iterator(), 2):
            yield name, pk


def _may_see(request: HttpRequest, page: Page) -> bool:
    app, model = page[0].split("_")
    return request.user.has_perm(f"{app}.view_{model}")


def _show(request: HttpRequest, text: str, pasted: Pasted) -> HttpResponse:
    """Show what was looked for, and what was found in each list that this person may see."""
    lists: list[Any] = [admin.site.get_model_admin(model) for model in LISTS]
    found = [it.get_search_results(request, it.get_queryset(request), text)[0] for it in lists]
    # What was asked of the broker in vain is no trace of it.
    heard = search.entries(JournalEntry.objects.exclude(outcome=Outcome.FAILED), text)
    numbers = ask(
        **{f"n{place}": Rows(rows, desk.CAP + 1) for place, rows in enumerate(found)},
        heard=Rows(heard, 1),
    )
    counts = {model: numbers[f"n{place}"] or 0 for place, model in enumerate(LISTS)}
    is_known = bool(numbers["heard"]) or any(counts[it] for it in LISTS if it is not JournalEntry)
    places = [
        _place(it, rows, counts[it.model], text)
        for it, rows in zip(lists, found, strict=True)
        if it.has_view_permission(request)
    ]
    may_be_upstream = len(pasted.terms) == 1 and len(pasted.ids) == 1 and not is_known
    is_found = any(place.rows for place in places)
    if not is_found and _is_last_failure(pasted):
        return redirect("admin:broker-api")
    context = {
        **admin.site.each_context(request),
        "title": "Found" if is_found else "Not found",
        "term": text,
        "terms": pasted.terms,
        "hints": [*([] if is_found else hints(pasted.terms)), *too_many(pasted)],
        "places": places,
        "is_found": is_found,
        "unknown_id": pasted.ids[0] if may_be_upstream else None,
        "may_fetch": request.user.has_perm(REFETCH),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "admin/found.html", context)


def _is_last_failure(pasted: Pasted) -> bool:
    """Whether it is the request that failed last, which the page Broker API shows; not each call is in the journal."""
    failure = recent_weather().failure
    request_id = failure.request_id if failure else ""
    return any(request_id.startswith(start) for start in search.starts_of(pasted))


def _place(door: DeskList, rows: QuerySet, count: int, text: str) -> Place:
    order: Any = door.ordering or door.opts.ordering
    first: list[Any] = list(rows.order_by(*order)[:SHOWN]) if count else []
    columns: Any = (door.list_display[0], *door.preview)
    name = f"admin:{door.opts.app_label}_{door.opts.model_name}"
    return Place(
        name=str(door.opts.verbose_name_plural).capitalize(),
        searched_by=str(door.search_help_text),
        url=f"{reverse(f'{name}_changelist')}?{urlencode({'q': text})}",
        count=f"{desk.CAP:,}+" if count > desk.CAP else f"{count:,}",
        headings=[str(label_for_field(it, door.model, door)) for it in columns],
        rows=[
            (
                reverse(f"{name}_change", args=[row.pk]),
                [lookup_field(column, row, door)[2] for column in columns],
            )
            for row in first
        ],
    )


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise MissingPermissionError(permission)
