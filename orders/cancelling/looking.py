"""Looking what became of an order that somebody asked to cancel: its webhook may be lost.

Only the answers of upstream count, and the projection alone writes what they say of the order.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from orders.asking import checking
from orders.asking.leases import MODELS
from orders.cancelling import schedule
from orders.cancelling.attempts import status_of
from orders.cancelling.rejections import announced
from orders.lifecycle import Kind
from orders.models import Cancellation, CancellationState, Order, PortfolioOrder
from orders.timeline.reports import ENDS

SOON = timedelta(seconds=15)


def look(held: Cancellation, *, patience: timedelta | None) -> None:
    """Ask about the order now, and have it asked about again soon if it has not ended.

    With ``patience`` the order itself at once, for a person waits to see it. A check of the desk in
    either case: the person asked for the cancellation, not for this.
    """
    if patience is None:
        _poll(held)
    else:
        checking.check_at_once(held.kind, held.about, patience=patience)
    if status_of(held) not in ENDS:
        _make_due(*_asked_about(held), at=timezone.now() + SOON)


def look_again(held: Cancellation) -> None:
    """Ask again about an order whose cancellation was taken, if it is time, until it has ended or an hour is over."""
    now = timezone.now()
    mine = Cancellation.objects.filter(pk=held.pk, state=CancellationState.TAKEN)
    if not mine.filter(next_attempt_at__lte=now).update(next_attempt_at=now + schedule.LEASE):
        return
    if not is_over(held):
        _poll(held)
    now = timezone.now()
    at = schedule.next_look(held.answered_at or now, now=now)
    mine.update(next_attempt_at=None if is_over(held) else at)


def is_over(held: Cancellation) -> bool:
    """Return whether upstream has said what became of it."""
    if status_of(held) in ENDS:
        return True
    of = {"orders" if held.kind is Kind.ORDER else "portfolio_orders": [held.about]}
    return bool(announced(**of, since=held.requested_at))


def _poll(held: Cancellation) -> None:
    kind, pk = _asked_about(held)
    _make_due(kind, pk, at=timezone.now())
    checking.check(kind, pk)


def _asked_about(held: Cancellation) -> tuple[Kind, UUID]:
    """Return what is asked about for it: of an order its portfolio order, where that is here."""
    if held.kind is Kind.ORDER:
        named = Order.objects.filter(pk=held.about).values_list("portfolio_order_id", flat=True)
        parent = named.first()
        if parent is not None and PortfolioOrder.objects.filter(pk=parent).exists():
            return Kind.PORTFOLIO_ORDER, parent
    return held.kind, held.about


def _make_due(kind: Kind, pk: UUID, *, at: datetime) -> None:
    later = Q(check_after=None) | Q(check_after__gt=at)
    MODELS[kind].objects.filter(later, pk=pk).update(check_after=at)
