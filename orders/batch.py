"""One batch of journal entries folded into rows: lock, fold in memory, write in bulk. Used by the projection alone.

Rows are always locked in this order, so that two batches cannot deadlock: portfolio orders by id,
then orders by id, missing rows inserted before; executions are read under their order's lock.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from orders import bulk, clocks
from orders.executions import OVER
from orders.facts import Reading
from orders.fold import Fact, own_parent
from orders.lifecycle import Kind, is_final
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows
from orders.tracked import Source, Tracked

ASKING_WRITES = {"asking_until", "checked_at", "check_error"}


class Batch:
    """Entries and what they say, on the way into rows."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now
        self.readings: list[tuple[JournalEntry, Reading]] = []
        self.refused: list[JournalEntry] = []
        self.applied: list[JournalEntry] = []
        self.unchanged: list[JournalEntry] = []
        self.rows = Rows()
        self._new: set[Tracked] = set()
        self._news: set[Tracked] = set()

    def add(self, entry: JournalEntry, reading: Reading) -> None:
        """Take an entry with what it says."""
        self.readings.append((entry, reading))

    def refuse(self, entry: JournalEntry, reason: str) -> None:
        """Take an entry that cannot be read: it will be quarantined with the reason."""
        entry.outcome = Outcome.QUARANTINED
        entry.message = ", ".join(part for part in (reason, entry.message) if part)
        self.refused.append(entry)

    def lock(self) -> None:
        """Insert the missing rows and lock all rows concerned."""
        facts = [fact for _, reading in self.readings for fact in reading.facts]
        listings = [listing for _, reading in self.readings for listing in reading.listings]
        entries = [*self.refused, *(entry for entry, _ in self.readings)]
        told = {fact.id for fact in facts if fact.kind is Kind.PORTFOLIO_ORDER}
        named = {
            fact.order_id or fact.id for fact in facts if fact.kind is not Kind.PORTFOLIO_ORDER
        }
        named |= {listing.order_id for listing in listings}
        named |= {order_id for _, reading in self.readings for order_id in reading.named}
        wanted = named | {entry.order_id for entry in entries if entry.order_id}
        links = dict(
            Order.objects.filter(pk__any_of=wanted).values_list("pk", "portfolio_order_id")
        )

        parents = told | {entry.portfolio_order_id for entry in entries if entry.portfolio_order_id}
        parents |= {parent for parent in links.values() if parent} | _named_parents(facts)
        known = set(PortfolioOrder.objects.filter(pk__any_of=told).values_list("pk", flat=True))
        bulk.insert(PortfolioOrder, [PortfolioOrder(pk=pk) for pk in sorted(told - known)])
        self.rows.portfolio_orders = _locked(PortfolioOrder, parents)
        new = [row for row in self.rows.portfolio_orders.values() if not row.fact]
        if new:  # their orders came first, and need no checks of their own from now on
            wanted |= set(
                Order.objects.filter(portfolio_order__in=new).values_list("pk", flat=True)
            )
        bulk.insert(Order, [Order(pk=pk) for pk in sorted(named - links.keys())])
        self.rows.orders = _locked(Order, wanted)
        self._new.update(
            new,
            (row for pk, row in self.rows.orders.items() if pk not in links and not row.news_at),
        )
        for execution in Execution.objects.filter(order__pk__any_of=list(self.rows.orders)):
            self.rows.executions.setdefault(execution.order_id, {})[execution.pk] = execution

    def fold(self) -> None:
        """Fold entry by entry, in memory."""
        first_webhook = clocks.first_webhook_at()
        for entry, reading in self.readings:
            changed, rows = self.rows.fold(reading)
            entry.outcome = Outcome.APPLIED if changed else Outcome.NO_CHANGE
            (self.applied if changed else self.unchanged).append(entry)
            for row in rows:
                clocks.watch_for_gap(
                    row, recorded_at=entry.recorded_at, first_webhook_at=first_webhook
                )
            heard = self._about(entry)
            for row in heard:
                clocks.hear(row, entry)
            self.rows.touched.update(heard)
            if changed:
                self._news.update(heard)
        self._schedule()

    def write(self) -> None:
        """Write the changed rows and the outcomes: one statement for each table and outcome."""
        for model in (PortfolioOrder, Order, Execution):
            rows = sorted(
                (row for row in self.rows.touched if type(row) is model), key=lambda row: row.pk
            )
            bulk.upsert(model, rows, but=ASKING_WRITES)
        for entries in (self.applied, self.unchanged):
            ids = [entry.pk for entry in entries]
            if ids:
                JournalEntry.objects.filter(pk__any_of=ids).update(
                    outcome=entries[0].outcome, applied_at=self.now
                )
        for entry in self.refused:  # rare, and each has a reason of its own
            entry.applied_at = self.now
            entry.save(update_fields=["outcome", "applied_at", "message"])

    def _about(self, entry: JournalEntry) -> list[Tracked]:
        """Return the row an entry is about, and the portfolio order of that."""
        order = self.rows.orders.get(entry.order_id) if entry.order_id else None
        parent = order.portfolio_order_id if order else entry.portfolio_order_id
        rows = [order, self.rows.portfolio_orders.get(parent) if parent else None]
        return [row for row in rows if row is not None]

    def _schedule(self) -> None:
        """Set when to ask next about all with news, all that are new, all of which an event was refused."""
        rows = self._news | self._new
        alone = []
        for order in self.rows.orders.values():
            parent = self.rows.portfolio_orders.get(order.portfolio_order_id)  # type: ignore[arg-type]
            if parent in self._new:
                clocks.inherit(parent, order)
            if parent is None and order in rows:
                alone.append(order)
            elif parent is not None and order.check_after is not None:
                order.check_after = None  # its portfolio order asks for it
                self.rows.touched.add(order)
        self._plan_all(alone, [row for row in rows if isinstance(row, PortfolioOrder)])
        for entry in self.refused:
            if entry.source == Source.WEBHOOK:
                self._ask_at_once(entry)

    def _plan_all(self, alone: Sequence[Order], parents: Sequence[PortfolioOrder]) -> None:
        """Set when to ask next about orders without a portfolio order here, and about portfolio orders."""
        orders = self._orders_of([row.pk for row in parents])
        ended = [row.pk for row in parents if is_final(Kind.PORTFOLIO_ORDER, row.status)]
        owed = self._owed([*alone, *(order for pk in ended for order in orders[pk])])
        for order in alone:
            self._plan(order, [], owed=order.pk in owed)
        for portfolio_order in parents:
            of_it = orders[portfolio_order.pk]
            self._plan(portfolio_order, of_it, owed=any(order.pk in owed for order in of_it))

    def _ask_at_once(self, entry: JournalEntry) -> None:
        """Make the object of an event due: the answer may tell what the event could not."""
        for row in self._about(entry)[-1:]:
            row.check_after = self.now
            self.rows.touched.add(row)

    def _plan(self, row: Tracked, orders: Sequence[Order], *, owed: bool) -> None:
        row.checks = 0
        clocks.plan(row, now=self.now, orders=orders, owed=owed)
        self.rows.touched.add(row)

    def _owed(self, orders: Iterable[Order]) -> set[UUID]:
        """Return which of the orders have an execution that has not settled."""
        pks = {order.pk for order in orders}
        owed = {
            pk
            for pk in pks & self.rows.executions.keys()
            if any(it.status not in OVER for it in self.rows.executions[pk].values())
        }
        if rest := pks - self.rows.orders.keys():
            unsettled = Execution.objects.unsettled().filter(order__pk__any_of=list(rest))
            owed.update(unsettled.values_list("order_id", flat=True))
        return owed

    def _orders_of(self, parents: Sequence[UUID]) -> dict[UUID, list[Order]]:
        """Return the orders by portfolio order: those of this batch as it folded them, and the rest."""
        found: dict[UUID, list[Order]] = {pk: [] for pk in parents}
        rest: Iterable[Order] = []
        if parents:
            rows = Order.objects.filter(portfolio_order__pk__any_of=parents).exclude(
                pk__any_of=list(self.rows.orders)
            )
            rest = rows.only("portfolio_order_id", "status", "fact", "order_type", "problems")
        for order in [*self.rows.orders.values(), *rest]:
            if order.portfolio_order_id in found:
                found[order.portfolio_order_id].append(order)
        return found


def _named_parents(facts: Iterable[Fact]) -> set[UUID]:
    """Return the portfolio orders that orders name themselves."""
    named = (
        own_parent(str(fact.fixed["client_reference"]), str(fact.fixed["initiation_flow"]))
        for fact in facts
        if fact.kind is Kind.ORDER
    )
    return {parent for parent in named if parent}


def _locked(model: type[Any], ids: Iterable[UUID]) -> dict[UUID, Any]:
    rows = model.objects.select_for_update(no_key=True).filter(pk__any_of=list(ids)).order_by("pk")
    return {row.pk: row for row in rows}
