"""One ask: call upstream with no transaction open, then write down in one what came of it.

Source: the model, section 5.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError, NotFoundError, UnavailableError
from orders import bulk, clocks, journal, projection
from orders.asking.leases import MODELS, Asker, Lease, Row
from orders.attributes import clean
from orders.lifecycle import NOT_FOUND, Kind, next_check
from orders.models import Execution, JournalEntry, Order, PortfolioOrder

WRITTEN = ("asking_until", "check_after", "check_error", "checked_at", "checks", "problems")
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


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, the row that it was asked for, and the lease that is over with it."""

    reply: Reply
    row: Row | None = None
    ends: Lease | None = None


def record(reply: Reply, *, row: Row | None = None, ends: Lease | None = None) -> JournalEntry:
    """Record a reply, and in the same transaction what it means for the row it was asked for.

    ``ends`` is the lease that is over with it.
    """
    (entry,) = record_all([Said(reply, row, ends)])
    return entry


def record_all(said: Sequence[Said]) -> list[JournalEntry]:
    """Record replies, and what each means for the row it was asked for, in one transaction; return the entries.

    Answers are applied, but for those that need a row that somebody holds: they are pending. Of a
    row there may be several.
    """
    with transaction.atomic():
        entries = [_entry(it.reply) for it in said]
        plan = _Plan([it.row for it in said if it.row])
        for it in said:
            held = plan.rows.get(it.row) if it.row else None
            if held is None:
                continue
            held.checked_at = it.reply.at
            held.checks = min(held.checks + 1, MOST_CHECKS)
            held.check_error = clean(it.reply.error, 200)
            if it.reply.is_not_found:
                held.problems |= NOT_FOUND  # the row is locked: no other bit gets lost
            has_failed = it.reply.error is not None
            plan.schedule(held, now=it.reply.at, has_failed=has_failed, wait=it.reply.wait)
            _end(held, it.ends)
        plan.write()
        projection.apply_answers(entries, now=timezone.now())
        journal.save_asks(entries)
    return entries


def fail_late(lease: Lease, reason: str, *, wait: timedelta | None = None) -> None:
    """End a lease after an ask that was recorded, but of which a part told nothing."""
    with transaction.atomic():
        plan = _Plan([lease.row])
        for held in plan.rows.values():
            held.check_error = clean(reason, 200)
            plan.schedule(held, now=timezone.now(), has_failed=True, wait=wait)
            _end(held, lease)
        plan.write()


def _entry(reply: Reply) -> JournalEntry:
    source, actor = reply.asker.source, reply.asker.actor
    if reply.answer is None:
        return journal.failed(
            reply.kind, reply.about, str(reply.error), source=source, actor=actor, now=reply.at
        )
    return journal.answered(
        reply.kind,
        reply.answer.payload,
        about=reply.about,
        source=source,
        actor=actor,
        now=reply.at,
        request_id=reply.answer.request_id,
    )


def _end(row: PortfolioOrder | Order, lease: Lease | None) -> None:
    if lease and row.asking_until == lease.until:
        row.asking_until = None


class _Plan:
    """Rows that were asked about, locked, with what decides when to ask next: a few questions for all of them."""

    def __init__(self, wanted: Iterable[Row]) -> None:
        self.rows: dict[Row, PortfolioOrder | Order] = {}
        wanted = set(wanted)
        for kind, model in MODELS.items():  # portfolio orders first, as a batch of the projection
            pks = [pk for of, pk in wanted if of is kind]
            locked = model.objects.select_for_update(no_key=True).filter(pk__any_of=pks)
            self.rows |= {(kind, row.pk): row for row in locked.order_by("pk")} if pks else {}
        parents = [row.pk for row in self.rows.values() if isinstance(row, PortfolioOrder)]
        alone = [row for row in self.rows.values() if isinstance(row, Order)]
        self._orders: dict[UUID | None, list[Order]] = {}
        for order in Order.objects.filter(portfolio_order__pk__any_of=parents):
            self._orders.setdefault(order.portfolio_order_id, []).append(order)
        unsettled = Execution.objects.unsettled()
        of_parents = unsettled.filter(order__portfolio_order__pk__any_of=parents)
        of_orders = unsettled.filter(order__pk__any_of=[row.pk for row in alone])
        owed = of_parents.values_list("order__portfolio_order_id", flat=True)
        self._owed: set[tuple[Kind, UUID | None]] = {(Kind.PORTFOLIO_ORDER, pk) for pk in owed}
        self._owed |= {(Kind.ORDER, pk) for pk in of_orders.values_list("order_id", flat=True)}
        named = {row.portfolio_order_id for row in alone} - {None}
        here = PortfolioOrder.objects.filter(pk__any_of=list(named))
        self._here: set[UUID | None] = {*here.values_list("pk", flat=True)}

    def schedule(
        self,
        row: PortfolioOrder | Order,
        *,
        now: datetime,
        has_failed: bool,
        wait: timedelta | None,
    ) -> None:
        """Set when to ask next. After a failure a row that was due stays due, later."""
        if isinstance(row, Order) and row.portfolio_order_id in self._here:
            row.check_after = None  # its portfolio order asks for it
            return
        was_due = row.check_after is not None
        orders = self._orders.get(row.pk, ()) if isinstance(row, PortfolioOrder) else ()
        clocks.plan(row, now=now, orders=orders, owed=(clocks.kind_of(row), row.pk) in self._owed)
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

    def write(self) -> None:
        """Write what asking changed, with one statement for each table."""
        for kind, model in MODELS.items():
            bulk.update(model, [row for (of, _), row in self.rows.items() if of is kind], WRITTEN)
