"""Actions on selected portfolio orders: refetch them in the background, take their data away."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from backoffice import doorbell
from backoffice.client_address import client_address
from orders import tasks
from orders.lifecycle import Kind, is_final
from orders.models import PortfolioOrder

MOST = 200  # refetched at once


@admin.action(permissions=["refetch"], description="Refetch selected")
def refetch_selected(_: Any, request: HttpRequest, queryset: QuerySet[PortfolioOrder]) -> None:
    """Queue a refetch of each that is not final and that nobody is asking about; tell the numbers."""
    now = timezone.now()
    rows = list(queryset.order_by().values_list("pk", "status", "asking_until")[: MOST + 1])
    if len(rows) > MOST:
        messages.error(request, f"At most {MOST} can be refetched at once. Nothing was queued.")
        return
    open_ones = [row for row in rows if not is_final(Kind.PORTFOLIO_ORDER, row[1])]
    wanted = [pk for pk, _, until in open_ones if until is None or until < now]
    actor = request.user.get_username()
    from_, queued = client_address(request), 0
    for pk in wanted:
        if not doorbell.ring(tasks.refetch_portfolio_order, str(pk), actor, from_):
            break  # the broker is away for all of them
        queued += 1
    lost = len(wanted) - queued
    parts = [
        f"{queued} queued",
        f"{len(rows) - len(open_ones)} skipped: final" if len(open_ones) < len(rows) else "",
        f"{len(open_ones) - len(wanted)} already being checked"
        if len(wanted) < len(open_ones)
        else "",
        f"{lost} not queued: the task queue does not answer, try again" if lost else "",
    ]
    level = messages.ERROR if lost else messages.SUCCESS if queued else messages.WARNING
    messages.add_message(request, level, f"Refetch: {', '.join(part for part in parts if part)}.")
