"""One inquiry: an ask with the asks that follow from it, applied, and summed up."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from backoffice.investment_api.errors import InvestmentAPIError
from orders import projection
from orders.asking import asks
from orders.asking.asks import Reply
from orders.asking.feedback import Change, Result, Verdict
from orders.asking.leases import MODELS, Asker, Lease, Row
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder

OUT_OF_TIME = "the broker took too long"
UNREADABLE = "the broker's answer could not be read"
NOT_FOUND = "not found at the broker"
RATE_LIMITED = "rate limited"

_Statuses = dict[tuple[Kind, UUID], tuple[str, str]]


@dataclass(slots=True)
class Part:
    """One reply of upstream, with its journal entry."""

    reply: Reply
    entry: JournalEntry

    @property
    def trouble(self) -> str:
        """Return in a few words why it told nothing; "" if it did."""
        if self.reply.error is None:
            return UNREADABLE if self.entry.outcome == Outcome.QUARANTINED else ""
        if self.reply.is_not_found:
            return NOT_FOUND
        if self.reply.was_not_sent:
            return RATE_LIMITED
        return _why(self.reply.error)

    @property
    def detail(self) -> str:
        """Return what upstream said, or what is wrong with it."""
        return str(self.reply.error or self.entry.message)


class Inquiry:
    """What is being asked about one portfolio order or order, and what came of it so far.

    The first part is about the object itself and decides; later ones are about its orders.
    ``skipped`` counts the orders that were to be asked about and were not, ``skipped_for`` says why.
    Only a person is told which statuses changed: for the poller nobody looks.
    """

    def __init__(self, kind: Kind, pk: UUID, asker: Asker) -> None:
        self.kind, self.pk, self.asker = kind, pk, asker
        self.parts: list[Part] = []
        self.skipped, self.skipped_for = 0, ""
        self._began = time.perf_counter()
        self._before = _statuses(kind, pk) if asker.is_person else {}
        self._doubtful: deque[UUID] = deque()
        self._until: datetime | None = None

    def ask(self, kind: Kind, about: UUID, *, row: Row, lease: Lease | None = None) -> Part | None:
        """Ask about one object and note the reply."""
        return self.note(asks.put(kind, about, self.asker), row=row, lease=lease)

    def note(self, reply: Reply, *, row: Row, lease: Lease | None = None) -> Part | None:
        """Record a reply, with what it means for the ``row`` it was asked for; an error ends the ``lease``.

        None if the budget kept the poller's request back: that is no ask, and changes nothing. A
        person is told.
        """
        if reply.was_not_sent and not self.asker.is_person:
            return None
        return self.accept(reply, asks.record(reply, row=row, ends=lease if reply.error else None))

    def accept(self, reply: Reply, entry: JournalEntry) -> Part:
        """Take a reply that was recorded."""
        part = Part(reply, entry)
        self.parts.append(part)
        return part

    def apply(self) -> None:
        """Fold what was answered into the rows, now."""
        apply(self.parts)

    def doubt(self, orders: Iterable[UUID], *, until: datetime) -> None:
        """Take the orders to ask about next, one after the other; from ``until`` on no other ask is begun."""
        self._doubtful, self._until = deque(orders), until

    def next_order(self) -> UUID | None:
        """Return the next order to ask about; None if there is none, or no time, or after an error that meets all."""
        if not self._doubtful:
            return None
        last = self.parts[-1]
        reason = ""
        if self._until is not None and timezone.now() > self._until:
            reason = OUT_OF_TIME
        if last.reply.error and not last.reply.is_not_found:
            reason = last.trouble
        if reason:
            self._skip(len(self._doubtful), reason)
            return None
        return self._doubtful.popleft()

    def hold_back(self) -> None:
        """Leave the order that was about to be asked about, and those after it, to the next check."""
        self._skip(len(self._doubtful) + 1, RATE_LIMITED)

    def failed(self) -> Part | None:
        """Return the first part that told nothing."""
        return next((part for part in self.parts if part.trouble), None)

    def _skip(self, count: int, reason: str) -> None:
        self._doubtful.clear()
        self.skipped, self.skipped_for = count, reason

    def has_ended(self, lease: Lease) -> bool:
        """Return whether an error has ended the lease; where a later part told nothing, ask again for that."""
        if self.parts and self.parts[0].reply.error:
            return True
        failed = self.failed()
        if failed is not None:
            asks.fail_late(lease, failed.detail, wait=failed.reply.wait)
        return failed is not None

    def close(self, lease: Lease) -> None:
        """End the lease, unless it has ended."""
        if not self.has_ended(lease):
            lease.end()

    def result(self) -> Result:
        """Return what came of it, once all is applied."""
        if not self.parts:
            return Result(Verdict.SKIPPED)
        first, failed = self.parts[0], self.failed()
        updated = any(part.entry.outcome == Outcome.APPLIED for part in self.parts)
        wait = failed.reply.wait if failed else None
        return Result(
            verdict=_verdict(first),
            took=timedelta(seconds=time.perf_counter() - self._began),
            updated=updated,
            changes=self._changes() if updated and self.asker.is_person else (),
            reason=failed.trouble if failed else self.skipped_for,
            detail=failed.detail if failed else "",
            unasked=self.skipped + sum(bool(part.trouble) for part in self.parts[1:]),
            wait_until=failed.reply.at + wait if failed and wait else None,
            next_try=_next_try(self.kind, self.pk) if self.asker.is_person else None,
            entry_id=first.entry.pk,
        )

    def _changes(self) -> tuple[Change, ...]:
        return _changes(self._before, _statuses(self.kind, self.pk))


def apply(parts: Iterable[Part]) -> None:
    """Fold the answers that met a row that somebody held into the rows, now, all together."""
    pending = {part.entry.pk: part for part in parts if part.entry.outcome == Outcome.PENDING}
    if not pending:
        return
    projection.drain(now=timezone.now(), only=[*pending])
    fresh = JournalEntry.objects.only("outcome", "message").in_bulk([*pending])
    for pk, entry in fresh.items():
        pending[pk].entry = entry


def _why(error: InvestmentAPIError) -> str:
    """Return in a few words why an ask told nothing."""
    if error.status is None:
        return "the broker could not be reached"
    if not error.is_foreign:
        return f"broker answered {error.status}"
    return (
        UNREADABLE if error.status < 300 else f"a gateway answered {error.status}, not the broker"
    )


def _verdict(part: Part) -> Verdict:
    if not part.trouble:
        return Verdict.ANSWERED
    if part.reply.is_not_found:
        return Verdict.NOT_FOUND
    error = part.reply.error
    is_limited = part.reply.was_not_sent or (error is not None and error.status == 429)
    return Verdict.LIMITED if is_limited else Verdict.FAILED


def _next_try(kind: Kind, pk: UUID) -> datetime | None:
    rows = MODELS[kind].objects.filter(pk=pk)
    return rows.values_list("check_after", flat=True).first()


def _statuses(kind: Kind, pk: UUID) -> _Statuses:
    """Return the name and status of an object and of its orders."""
    found: _Statuses = {}
    orders = Order.objects.filter(pk=pk)
    if kind is Kind.PORTFOLIO_ORDER:
        status = PortfolioOrder.objects.filter(pk=pk).values_list("status", flat=True).first()
        found[kind, pk] = "portfolio order", status or ""
        orders = Order.objects.filter(portfolio_order_id=pk)
    lines = orders.order_by("created_at", "pk").values_list("pk", "instrument_id", "status")
    return found | {
        (Kind.ORDER, pk): (isin or f"order {str(pk)[:8]}", status) for pk, isin, status in lines
    }


def _changes(before: _Statuses, after: _Statuses) -> tuple[Change, ...]:
    return tuple(
        Change(name, before.get(key, ("", ""))[1], status)
        for key, (name, status) in after.items()
        if status != before.get(key, ("", ""))[1]
    )
