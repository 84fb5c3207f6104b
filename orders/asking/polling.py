"""Ask about all that is due, several at a time; what upstream answers is journaled and applied in groups.

Threads wait for upstream and do nothing else. The caller's own thread claims what is due, the longest
overdue first, and writes what all of them were told: two transactions for a group, however many answers
it has. A process that is killed loses what it had not written; its leases run out, and it is asked again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from uuid import UUID

from django.utils import timezone

from backoffice.database import may_pass
from backoffice.interruptions import is_interruption
from backoffice.investment_api.client import api
from orders.asking import asks, checking, leases
from orders.asking.asks import Reply, Said
from orders.asking.feedback import Result, Verdict
from orders.asking.inquiry import Inquiry, Part, apply
from orders.asking.leases import POLLER, Lease, Row
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder

logger = logging.getLogger(__name__)

THREADS = 32  # at most: where an answer takes a second, as many as the budget has room for
TURN = 10.0  # seconds in which a worker claims: then others get their turn
LONGEST_TURN = timedelta(seconds=30)
GATHER = 0.2  # seconds in which answers come together, to be written at once
GROUP = 200  # answers that are written at once, at most
AHEAD = 8  # rows for each thread that are claimed before it is their turn, at most


@dataclass(slots=True, eq=False)
class _Ask:
    """One call: whom it is ``about``, for which ``row``, and what it came to."""

    inquiry: Inquiry
    lease: Lease | None
    guard: ExitStack
    about: Row
    row: Row
    began: datetime | None = None
    reply: Reply | None = None
    failure: BaseException | None = None

    @property
    def is_first(self) -> bool:
        """Return whether it is about the very object of its inquiry."""
        return self.about == (self.inquiry.kind, self.inquiry.pk)

    @property
    def is_for_parent(self) -> bool:
        """Return whether it is about the portfolio order that an order names."""
        return self.inquiry.kind is Kind.ORDER and not self.is_first

    @property
    def sent(self) -> Reply | None:
        """Return the reply; None if upstream was not asked at all."""
        return None if self.reply is None or self.reply.was_not_sent else self.reply

    @property
    def said(self) -> Said:
        """Return what is to be recorded."""
        reply = self.reply
        assert reply is not None  # noqa: S101 -- its caller has looked
        if self.is_for_parent and reply.is_not_found:
            return Said(reply)  # the order itself is asked for now
        is_over = reply.error and (self.is_first or self.is_for_parent)
        return Said(reply, self.row, self.lease if is_over else None)

    def then(self, about: Row, row: Row) -> "_Ask":
        """Return the next call of the same inquiry."""
        return _Ask(self.inquiry, self.lease, self.guard, about, row, self.began)


def poll(
    *,
    now: datetime,
    tell: Callable[[Result], None] = lambda _: None,
    threads: int | None = None,
    lasts: float | None = None,
) -> bool:
    """Ask about all that is due now, the longest overdue first; ``tell`` is called with each result.

    It stops where upstream wants no requests, does not answer, or the budget is used up: what is
    left stays due. After ``lasts`` seconds it claims nothing more, and returns True. Raises in the
    end what went wrong with single objects beyond what upstream may answer.
    """
    if asks.shut_until():
        return False
    most = threads or min(THREADS, api().budget.background)
    with ThreadPoolExecutor(most) as pool:
        try:
            return _Poll(pool, most, now=now, tell=tell, lasts=lasts).run()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def take_turn(*, now: datetime) -> bool:
    """Ask about what is due for ``TURN`` seconds, unless another process does; return whether there may be more.

    One at a time is enough, for its threads use up the budget. One that dies keeps the others from it
    for ``LONGEST_TURN``.
    """
    with leases.alone("asking/turn", LONGEST_TURN) as since:
        return since is None and poll(now=now, lasts=TURN)


class _Poll:
    def __init__(
        self,
        pool: ThreadPoolExecutor,
        threads: int,
        *,
        now: datetime,
        tell: Callable[[Result], None],
        lasts: float | None,
    ) -> None:
        self._pool, self._threads, self._now, self._tell = pool, threads, now, tell
        self._until = time.perf_counter() + lasts if lasts is not None else float("inf")
        self._told: SimpleQueue[_Ask] = SimpleQueue()
        self._under_way = 0
        self._ahead = threads
        self._is_held_back = False
        self._failure: BaseException | None = None
        self._seen: set[Row] = set()
        self._sources: deque[Callable[[int], list[_Ask]]] = deque(
            [self._portfolio_orders, self._orders, self._unknown]
        )
        self._strangers: list[Row] | None = None

    def run(self) -> bool:
        """Ask until nothing is left to ask about, or to be asked now; return whether the time was over before."""
        self._fill()
        while self._under_way:
            group = self._gather()
            self._fill()  # first: the threads go on while this one writes
            self._write(group)
            if not self._under_way:
                self._fill()
        if self._failure is not None:
            raise self._failure
        return bool(self._sources) and not self._is_held_back and self._is_late()

    def _fill(self) -> None:
        """Claim as many rows as the threads will come to soon."""
        while self._sources and self._may_claim():
            room = self._threads + self._ahead - self._under_way
            if room <= 0:
                return
            found = self._sources[0](room)
            for ask in found:
                self._submit(ask)
            if not found:
                self._sources.popleft()

    def _may_claim(self) -> bool:
        return not self._is_held_back and not self._is_late() and not asks.shut_until()

    def _is_late(self) -> bool:
        return time.perf_counter() > self._until

    def _portfolio_orders(self, most: int) -> list[_Ask]:
        claimed = self._new(leases.claim(Kind.PORTFOLIO_ORDER, most, due_at=self._now))
        return [_first(lease.row, lease) for lease in claimed]

    def _orders(self, most: int) -> list[_Ask]:
        """Claim orders without a portfolio order here: one that names its own is asked for by that."""
        claimed = self._new(leases.claim(Kind.ORDER, most, due_at=self._now))
        rows = Order.objects.filter(pk__in=[lease.pk for lease in claimed])
        named = dict(rows.values_list("pk", "portfolio_order_id"))
        parents = [pk for pk in named.values() if pk]
        here = set(PortfolioOrder.objects.filter(pk__in=parents).values_list("pk", flat=True))
        left = [lease for lease in claimed if named.get(lease.pk) in here]
        if left:
            Order.objects.filter(pk__in=[it.pk for it in left]).update(check_after=None)
            leases.end(left)
        found = []
        for lease in claimed:
            parent = named.get(lease.pk)
            if parent not in here:
                about = (Kind.PORTFOLIO_ORDER, parent) if parent else lease.row
                inquiry = Inquiry(*lease.row, POLLER)
                found.append(_Ask(inquiry, lease, ExitStack(), about, lease.row))
            elif of_parent := leases.take(Kind.PORTFOLIO_ORDER, parent, POLLER):
                found.append(_first(of_parent.row, of_parent))
        return found or (self._orders(most) if left else [])

    def _unknown(self, most: int) -> list[_Ask]:
        """Return what is only known from events in quarantine, unless somebody asks about it already."""
        if self._strangers is None:
            self._strangers = [it for it in checking.unknown(self._now) if it not in self._seen]
        found: list[_Ask] = []
        while self._strangers and len(found) < most:
            row = self._strangers.pop()
            ask = _first(row, None)
            if ask.guard.enter_context(leases.guard(*row)):
                self._tell(Result(Verdict.BUSY))
            else:
                found.append(ask)
        return found

    def _new(self, claimed: Sequence[Lease]) -> list[Lease]:
        """Return those that were not asked about in this poll: they are due again, and the next one's."""
        again = [lease for lease in claimed if lease.row in self._seen]
        leases.end(again)
        self._seen.update(lease.row for lease in claimed)
        return [lease for lease in claimed if lease not in again]

    def _submit(self, ask: _Ask) -> None:
        self._under_way += 1
        future = self._pool.submit(_put, ask)
        future.add_done_callback(lambda done: self._note(ask, done))

    def _note(self, ask: _Ask, done: Future[None]) -> None:
        if not done.cancelled():
            ask.failure = done.exception()
            self._told.put(ask)

    def _gather(self) -> list[_Ask]:
        """Wait for an answer, and a little for those that come just after it."""
        group = [self._told.get()]
        until = time.perf_counter() + GATHER
        while len(group) < min(GROUP, self._under_way):
            try:
                group.append(self._told.get(timeout=max(0.0, until - time.perf_counter())))
            except Empty:
                break
        self._under_way -= len(group)
        self._ahead = min(AHEAD * self._threads, max(self._threads, len(group)))
        return group

    def _write(self, group: Sequence[_Ask]) -> None:
        """Record and apply what was told, and go on with what follows from it."""
        parts = self._recorded([ask for ask in group if ask.sent])
        apply(parts.values())
        doubtful = checking.doubtful_orders(
            [ask.inquiry.pk for ask in parts if ask.is_first and _tells_of_orders(ask)],
            is_person=False,
        )
        over: list[_Ask] = []
        for ask in group:
            if ask.failure is not None and is_interruption(ask.failure):
                raise ask.failure
            if ask.failure is not None:
                logger.error("%s %s was not asked about", *ask.about, exc_info=ask.failure)
                self._failure = (
                    ask.failure
                )  # its lease runs out: it is not asked about all the time
                ask.guard.close()
            elif following := self._following(ask, doubtful):
                self._submit(following)
            else:
                over.append(ask)
        self._end(over)

    def _recorded(self, group: Sequence[_Ask]) -> dict[_Ask, Part]:
        """Record the replies together; what is wrong with one costs no other."""
        if not group:
            return {}
        try:
            entries = asks.record_all([ask.said for ask in group])
        except Exception as error:
            if may_pass(error):
                raise
            if len(group) == 1:
                group[0].failure = error
                return {}
            half = len(group) // 2
            return self._recorded(group[:half]) | self._recorded(group[half:])
        return {
            ask: ask.inquiry.accept(ask.reply, entry)
            for ask, entry in zip(group, entries, strict=True)
            if ask.reply and ask.said.row
        }

    def _following(self, ask: _Ask, doubtful: dict[UUID, list[UUID]]) -> _Ask | None:
        """Return the next call of an inquiry, if it has one."""
        reply, inquiry = ask.sent, ask.inquiry
        if reply is None:
            self._is_held_back |= ask.reply is not None
            if ask.reply is None:
                self._seen.discard(ask.row)
            elif inquiry.parts:
                inquiry.hold_back()
            return None
        if ask.is_for_parent:
            return ask.then(ask.row, ask.row) if reply.is_not_found else None
        if ask.is_first and inquiry.pk in doubtful and ask.began:
            inquiry.doubt(doubtful[inquiry.pk], until=ask.began + checking.CALLS_FOR)
        pk = inquiry.next_order()
        return ask.then((Kind.ORDER, pk), (Kind.ORDER, pk)) if pk else None

    def _end(self, over: Sequence[_Ask]) -> None:
        leases.end(ask.lease for ask in over if ask.lease and not ask.inquiry.has_ended(ask.lease))
        for ask in over:
            ask.guard.close()
            self._tell(ask.inquiry.result())


def _put(ask: _Ask) -> None:
    """Ask, in a thread; not under a lease that may run out meanwhile."""
    now = timezone.now()
    if ask.began or not ask.lease or now + checking.LONGEST <= ask.lease.until:
        ask.began = ask.began or now
        ask.reply = asks.put(*ask.about, POLLER)


def _first(row: Row, lease: Lease | None) -> _Ask:
    return _Ask(Inquiry(*row, POLLER), lease, ExitStack(), row, row)


def _tells_of_orders(ask: _Ask) -> bool:
    return ask.inquiry.kind is Kind.PORTFOLIO_ORDER and not ask.inquiry.failed()
