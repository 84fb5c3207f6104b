"""The version of an order's story: a number that grows with each journal entry about it or its orders."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backoffice.together import Rows, ask
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order

PERMISSIONS = {
    Kind.PORTFOLIO_ORDER: "orders.view_portfolioorder",
    Kind.ORDER: "orders.view_order",
}


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


@never_cache
@require_safe
def version(request: HttpRequest, kind: str, pk: UUID) -> JsonResponse:
    """Answer with the version of a portfolio order or of an order, known here or not."""
    asked = Kind(kind)
    if not request.user.has_perm(PERMISSIONS[asked]):
        raise PermissionDenied
    return JsonResponse({"version": version_of(asked, pk)})
