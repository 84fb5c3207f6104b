"""One ask: call upstream with no transaction open, then write down in one what came of it.

Source: the model, section 5.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError, NotFoundError, UnavailableError
from orders import clocks, journal
from orders.asking.leases import MODELS, Asker, Lease, Row
from orders.attributes import clean
from orders.lifecycle import NOT_FOUND, Kind, next_check
from orders.models import Execution, JournalEntry, Order, PortfolioOrder

MOST_CHECKS = 30_000  # what the column holds; the wait has long stopped growing


@dataclass(frozen=True, slots=True)
class Reply:
    """What upstream said when it was asked about one object: an answer or an error."""

    kind: Kind
    about: UUID
    asker: Asker
    answer: Answer | None = None
    error: InvestmentAPIError | None = None
    at: datetime = field(default_factory=timezone.now)

    @property
    def is_not_found(self) -> bool:
        """Return whether upstream does not know the object."""
        return isinstance(self.error, NotFoundError)

    @property
    def wait(self) -> timedelta | None:
        """Return how long to wait before asking again, where that is known."""
        return self.error.retry_after if isinstance(self.error, UnavailableError) else None

    @property
    def was_not_sent(self) -> bool:
        """Return whether the budget kept it back: upstream has not been asked at all."""
        return self.wait is not None and self.error is not None and self.error.status is None


def paused_until(urgency: Urgency = Urgency.BACKGROUND) -> datetime | None:
    """Return until when upstream wants no requests of the poller, or of who else asks; None if it takes them."""
    return api().budget.paused_until(urgency)


def shut_until() -> datetime | None:
    """Return until when the poller need not ask: upstream wants no requests, or does not answer."""
    return api().shut_until()


def put(kind: Kind, about: UUID, asker: Asker) -> Reply:
    """Ask upstream about one object. May take 30 s: never within a transaction."""
    call = api().portfolio_order if kind is Kind.PORTFOLIO_ORDER else api().order
    try:
        answer = call(about, urgency=asker.urgency, deadline=asker.patience)
        return Reply(kind, about, asker, answer=answer)
    except InvestmentAPIError as error:
        return Reply(kind, about, asker, error=error)


def record(reply: Reply, *, row: Row | None = None, ends: Lease | None = None) -> JournalEntry:
    """Record a reply, and in the same transaction what it means for the row it was asked for.

    ``ends`` is the lease that is over with it.
    """
    with transaction.atomic():
        entry = _entry(reply)
        held = _locked(row) if row else None
        if held is not None:
            held.checked_at = reply.at
            held.checks = min(held.checks + 1, MOST_CHECKS)
            held.check_error = clean(reply.error, 200)
            if reply.is_not_found:
                held.problems |= NOT_FOUND  # the row is locked: no other bit gets lost
            _schedule(held, now=reply.at, has_failed=reply.error is not None, wait=reply.wait)
            _save(held, ends)
    return entry


def fail_late(lease: Lease, reason: str, *, wait: timedelta | None = None) -> None:
    """End a lease after an ask that was recorded, but of which a part told nothing."""
    with transaction.atomic():
        held = _locked(lease.row)
        if held is not None:
            held.check_error = clean(reason, 200)
            _schedule(held, now=timezone.now(), has_failed=True, wait=wait)
            _save(held, lease)


def _entry(reply: Reply) -> JournalEntry:
    source, actor = reply.asker.source, reply.asker.actor
    if reply.answer is None:
        return journal.record_failure(
            reply.kind, reply.about, str(reply.error), source=source, actor=actor, now=reply.at
        )
    return journal.record_answer(
        reply.kind,
        reply.answer.payload,
        about=reply.about,
        source=source,
        actor=actor,
        now=reply.at,
        request_id=reply.answer.request_id,
    )


def _locked(row: Row) -> PortfolioOrder | Order | None:
    kind, pk = row
    return MODELS[kind].objects.select_for_update(no_key=True).filter(pk=pk).first()


def _schedule(
    row: PortfolioOrder | Order, *, now: datetime, has_failed: bool, wait: timedelta | None
) -> None:
    """Set when to ask next. After a failure a row that was due stays due, later."""
    parent = row.portfolio_order_id if isinstance(row, Order) else None
    if parent and PortfolioOrder.objects.filter(pk=parent).exists():
        row.check_after = None  # its portfolio order asks for it
        return
    was_due = row.check_after is not None
    orders = Order.objects.filter(portfolio_order_id=row.pk)
    about = Q(order=row.pk) if isinstance(row, Order) else Q(order__portfolio_order=row.pk)
    clocks.plan(
        row,
        now=now,
        orders=orders if isinstance(row, PortfolioOrder) else (),
        owed=Execution.objects.unsettled().filter(about).exists(),
    )
    if has_failed and was_due and row.check_after is None:  # final, but an entry was refused
        row.check_after = next_check(
            kind=clocks.kind_of(row),
            pk=row.pk,
            status=row.status,
            now=now,
            checks=row.checks,
            doubtful=True,
            resting=False,
            first=settings.POLL_AFTER,
            longest=settings.POLL_LONGEST,
        )
    if wait is not None and row.check_after is not None:
        row.check_after = max(row.check_after, now + wait)


def _save(row: PortfolioOrder | Order, ends: Lease | None) -> None:
    if ends and row.asking_until == ends.until:
        row.asking_until = None
    row.save(
        update_fields=[
            "asking_until",
            "check_after",
            "check_error",
            "checked_at",
            "checks",
            "problems",
        ]
    )
