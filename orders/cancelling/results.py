"""The results of stored cancellations: the queries behind ``orders.cancelling.outcome``, always the same few."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from orders.cancelling import rejections
from orders.cancelling.outcome import Held, Result, outcome
from orders.cancelling.rejections import Rejection
from orders.lifecycle import Kind
from orders.models import Cancellation, Execution, Order, PortfolioOrder


def results(requests: Sequence[Cancellation], *, now: datetime) -> dict[int, Result]:
    """Return what became of each of these requests: three queries, however many."""
    known = _Known(requests)
    return {it.pk: outcome(it, known.held(it), now=now) for it in requests}


class _Known:
    """What is held of the orders of some requests."""

    def __init__(self, requests: Sequence[Cancellation]) -> None:
        portfolio = {it.portfolio_order_id for it in requests if it.portfolio_order_id}
        alone = {it.order_id for it in requests if it.order_id}
        self._said: dict[tuple[Kind, UUID], tuple[str, str]] = {
            (Kind.PORTFOLIO_ORDER, pk): (status, reason)
            for pk, status, reason in PortfolioOrder.objects.filter(pk__in=portfolio).values_list(
                "pk", "status", "cancellation_reason"
            )
        }
        self._of: dict[UUID, list[tuple[UUID, str]]] = defaultdict(list)
        traded = Execution.objects.filter(order=OuterRef("pk")).exclude(status="CANCELLED")
        rows = Order.objects.filter(Q(pk__in=alone) | Q(portfolio_order_id__in=portfolio))
        columns = ("pk", "status", "cancellation_reason", "portfolio_order_id", "has_traded")
        self._traded: set[UUID] = set()
        for pk, status, reason, parent, has_traded in rows.annotate(
            has_traded=Exists(traded)
        ).values_list(*columns):
            self._said[Kind.ORDER, pk] = (status, reason)
            self._of[parent].append((pk, status))
            if has_traded and status == "CANCELLED":
                self._traded.add(pk)
        ids = [pk for kind, pk in self._said if kind is Kind.ORDER]
        since = min((it.requested_at for it in requests), default=None)
        self._rejections = (
            rejections.announced(orders=ids, portfolio_orders=portfolio, since=since)
            if since
            else []
        )

    def held(self, request: Cancellation) -> Held:
        """Return what is held of the order of one request."""
        kind, about = request.kind, request.about
        status, reason = self._said.get((kind, about), ("", ""))
        children = dict(self._of[about]) if kind is Kind.PORTFOLIO_ORDER else {}
        ids = set(children) if kind is Kind.PORTFOLIO_ORDER else {about}
        told = [*self._told(request, Kind.ORDER, ids)]
        if kind is Kind.PORTFOLIO_ORDER:
            told += self._told(request, kind, {about})
        return Held(
            kind=kind,
            status=status,
            reason=reason,
            orders=Counter(children.values()),
            traded=len(self._traded & ids),
            rejected=len({it.about for it in told if it.kind is Kind.ORDER}),
            is_rejected=any((it.kind, it.about) == (kind, about) for it in told),
            rejection=next((it.reason for it in reversed(told) if it.reason), ""),
        )

    def _told(self, request: Cancellation, kind: Kind, ids: set[UUID]) -> list[Rejection]:
        return [
            it
            for it in self._rejections
            if it.kind is kind and it.about in ids and it.at > request.requested_at
        ]
