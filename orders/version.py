"""Versions: what changes with a page, so that an open one can say that there is news.

Of an order it is the number of journal entries about it or its orders; of a list and of Today a
word that is another after anything was recorded or applied.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models.expressions import Combinable
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backoffice.together import Rows, ask, first
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome

PERMISSIONS = {
    Kind.PORTFOLIO_ORDER: "orders.view_portfolioorder",
    Kind.ORDER: "orders.view_order",
}
TODAY = PERMISSIONS[Kind.PORTFOLIO_ORDER]
MOST_WAITING = 1000  # counted


def version_of(kind: Kind, pk: UUID) -> int:
    """Return how many entries tell of an object; one statement, answered from indexes alone."""
    entries = JournalEntry.objects
    if kind is Kind.ORDER:
        return entries.filter(order_id=pk).count()
    own = Order.objects.filter(portfolio_order_id=pk).order_by().values("pk")
    counts = ask(
        portfolio_order=Rows(entries.filter(portfolio_order_id=pk)),
        orders=Rows(entries.filter(order_id__in=own)),
    )
    return sum(counts.values())


def questions() -> dict[str, Combinable]:
    """Return what to ask the database for the version of a list of what the journal is folded into.

    Each from an index: the newest entry, and how many wait, for what is applied has no newer entry.
    """
    waiting = JournalEntry.objects.filter(outcome=Outcome.PENDING)
    return {
        "newest_entry": first(JournalEntry.objects.order_by("-pk"), "pk"),
        "waiting_entries": Rows(waiting, MOST_WAITING),
    }


def version_in(answers: Mapping[str, Any], asked: Mapping[str, Combinable]) -> str:
    """Return the version that the answers to its questions make."""
    return "-".join(str(answers[name] or 0) for name in asked)


def version_now(asked: Mapping[str, Combinable]) -> str:
    """Ask for a version alone."""
    return version_in(ask(**asked), asked)


@never_cache
@require_safe
def today(request: HttpRequest) -> JsonResponse:
    """Answer with the version of Today's numbers."""
    if not request.user.has_perm(TODAY):
        raise PermissionDenied
    return JsonResponse({"version": version_now(questions())})


@never_cache
@require_safe
def version(request: HttpRequest, kind: str, pk: UUID) -> JsonResponse:
    """Answer with the version of a portfolio order or of an order, known here or not."""
    asked = Kind(kind)
    if not request.user.has_perm(PERMISSIONS[asked]):
        raise PermissionDenied
    return JsonResponse({"version": version_of(asked, pk)})
