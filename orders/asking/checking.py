"""What to ask upstream about and what for: checks of what is due, refetches by staff.

A portfolio order is asked for first, and of its orders only those that its answer leaves in doubt.
Source: the model, section 5.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from backoffice.investment_api.calls import DEADLINE
from orders.asking import asks, leases
from orders.asking.feedback import Result, Verdict
from orders.asking.inquiry import Inquiry
from orders.asking.leases import MODELS, POLLER, Asker, Lease, Row
from orders.fold import is_proven
from orders.lifecycle import CONFLICT, MOST_OWED, Kind, is_final
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source

LONGEST = timedelta(seconds=90)  # of one inquiry with all its calls
CALLS_FOR = LONGEST - timedelta(seconds=DEADLINE)  # then no other call is begun
PATIENCE = timedelta(seconds=5)  # the same where a person waits: the poller asks for the rest


def due(*, now: datetime, most: int | None = None) -> list[tuple[Kind, UUID]]:
    """Return what to ask about now, the longest overdue first: portfolio orders, then orders without one.

    Then those unknown here of which an event was refused. At most ``most`` of each. Nothing while
    upstream wants no requests, or does not answer: what is due stays due.
    """
    if asks.shut_until():
        return []
    found = [
        (kind, pk)
        for kind, model in MODELS.items()
        for pk in model.objects.due(now=now).values_list("pk", flat=True)[:most]
    ]
    return [*found, *unknown(now, most)]


def unknown(now: datetime, most: int | None = None) -> list[Row]:
    """Return what is only known from events in quarantine, unless it was asked about lately."""
    refused = JournalEntry.objects.filter(outcome=Outcome.QUARANTINED, source=Source.WEBHOOK)
    lately = JournalEntry.objects.filter(
        source=Source.POLL, recorded_at__gt=now - settings.POLL_LONGEST
    )
    return [
        (kind, pk)
        for kind, model, column in (
            (Kind.PORTFOLIO_ORDER, PortfolioOrder, "portfolio_order_id"),
            (Kind.ORDER, Order, "order_id"),
        )
        for pk in refused.filter(
            ~Exists(model.objects.filter(pk=OuterRef(column))),
            ~Exists(lately.filter(**{column: OuterRef(column)})),
            **{f"{column}__isnull": False},
        )
        .values_list(column, flat=True)
        .distinct()[:most]
    ]


def check(kind: Kind, pk: UUID) -> Result:
    """Ask about one object if it is due. May be called twice, or never.

    Where the budget holds the request back it stays due, as if nobody had called.
    """
    if not MODELS[kind].objects.filter(pk=pk).exists():
        return _ask_unknown(kind, pk, POLLER)
    return _check_order(pk) if kind is Kind.ORDER else _check(kind, pk, POLLER)


def refetch(kind: Kind, pk: UUID, *, actor: str, patience: timedelta | None = None) -> Result:
    """Ask about one object at once because ``actor`` wants it: due or not, final or not, known or not.

    An order is asked for itself, whatever portfolio order it belongs to. With ``patience`` whatever
    upstream has not answered by then is given up: somebody waits at a screen.
    """
    return _ask_at_once(kind, pk, Source.REFETCH, actor=actor, patience=patience)


def check_at_once(kind: Kind, pk: UUID, *, patience: timedelta) -> Result:
    """Ask about one object at once, due or not, to show what a button came to: nobody asked for a refetch.

    Served as a person is, who waits for ``patience``; booked as a check of the desk.
    """
    return _ask_at_once(kind, pk, Source.POLL, actor="", patience=patience)


def _ask_at_once(
    kind: Kind, pk: UUID, source: Source, *, actor: str, patience: timedelta | None
) -> Result:
    until = time.monotonic() + patience.total_seconds() if patience else None
    asker = Asker(source, actor, until)
    if not MODELS[kind].objects.filter(pk=pk).exists():
        return _ask_unknown(kind, pk, asker)
    return _check(kind, pk, asker)


def _check(kind: Kind, pk: UUID, asker: Asker) -> Result:
    lease = leases.take(kind, pk, asker)
    if lease is None:
        since = leases.asking_since(kind, pk)
        return Result(Verdict.BUSY if since else Verdict.SKIPPED, asking_since=since)
    return _inquire(Inquiry(kind, pk, asker), lease)


def _ask_unknown(kind: Kind, pk: UUID, asker: Asker) -> Result:
    with leases.guard(kind, pk) as since:
        if since:
            return Result(Verdict.BUSY, asking_since=since)
        return _inquire(Inquiry(kind, pk, asker), None)


def _inquire(inquiry: Inquiry, lease: Lease | None) -> Result:
    """Ask about an object, then about those of its orders that the answer leaves in doubt."""
    began = timezone.now()
    row = (inquiry.kind, inquiry.pk)
    if inquiry.ask(*row, row=row, lease=lease):
        inquiry.apply()
        if inquiry.kind is Kind.PORTFOLIO_ORDER and not inquiry.failed():
            patience = PATIENCE if inquiry.asker.is_person else CALLS_FOR
            _ask_doubtful_orders(inquiry, until=began + patience)
            inquiry.apply()
    if lease:
        inquiry.close(lease)
    return inquiry.result()


def _ask_doubtful_orders(inquiry: Inquiry, *, until: datetime) -> None:
    """Ask about the orders that a portfolio order's answer leaves in doubt, the longest unasked first."""
    orders = doubtful_orders([inquiry.pk], is_person=inquiry.asker.is_person)
    inquiry.doubt(orders[inquiry.pk], until=until)
    while pk := inquiry.next_order():
        if inquiry.ask(Kind.ORDER, pk, row=(Kind.ORDER, pk)) is None:
            return inquiry.hold_back()
    return None


def doubtful_orders(
    portfolio_order_ids: Sequence[UUID], *, is_person: bool
) -> dict[UUID, list[UUID]]:
    """Return the orders of which more is to be learned than their portfolio order's answer told, by portfolio order.

    The longest unasked come first. Where a portfolio order has ended, also those with an execution
    that has not settled here: the poller asks for these ``MOST_OWED`` times, however long it asks
    about a conflict.
    """
    found: dict[UUID, list[UUID]] = {pk: [] for pk in portfolio_order_ids}
    orders = Order.objects.filter(portfolio_order__pk__any_of=[*found]).order_by(
        F("checked_at").asc(nulls_first=True), "pk"
    )
    parents = PortfolioOrder.objects.only("status", "checks").filter(pk__any_of=[*found])
    ended = [
        it.pk
        for it in parents
        if is_final(Kind.PORTFOLIO_ORDER, it.status) and (is_person or it.checks <= MOST_OWED)
    ]
    unsettled = Execution.objects.unsettled().filter(order__portfolio_order__pk__any_of=ended)
    owed = set(unsettled.values_list("order_id", flat=True)) if ended else set()
    for order in orders.only("portfolio_order_id", "status", "fact", "problems"):
        is_doubtful = not is_proven(Kind.ORDER, order) or order.problems & CONFLICT
        if (is_doubtful or order.pk in owed) and order.portfolio_order_id is not None:
            found[order.portfolio_order_id].append(order.pk)
    return found


def _check_order(pk: UUID) -> Result:
    """Ask about an order without a portfolio order here: for the one that it names first.

    Where that has come meanwhile, it is checked instead, if it is due.
    """
    named = Order.objects.filter(pk=pk).values_list("portfolio_order_id", flat=True).first()
    if named is None:
        return _check(Kind.ORDER, pk, POLLER)
    if PortfolioOrder.objects.filter(pk=named).exists():
        Order.objects.filter(pk=pk).update(check_after=None)
        return _check(Kind.PORTFOLIO_ORDER, named, POLLER)
    lease = leases.take(Kind.ORDER, pk, POLLER)
    if lease is None:
        return Result(Verdict.SKIPPED)
    inquiry = Inquiry(Kind.ORDER, pk, POLLER)
    reply = asks.put(Kind.PORTFOLIO_ORDER, named, POLLER)
    if reply.is_not_found:
        asks.record(reply)
        return _inquire(inquiry, lease)
    inquiry.note(reply, row=lease.row, lease=lease)
    inquiry.apply()
    inquiry.close(lease)
    return inquiry.result()
