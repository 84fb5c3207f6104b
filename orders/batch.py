"""One batch of journal entries folded into rows: lock, fold in memory, write in bulk. Used by the projection alone.

A drain waits for no row that is there: it takes the locks that it can get, and what needs another
is left for later. Missing rows are folded in memory and inserted whole, in this order, so that two
batches cannot deadlock: portfolio orders by id, then orders by id, then executions, which are read
under their order's lock.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from orders import bulk, clocks, execution_rows, from_orders
from orders.attributes import clean
from orders.damaged import ids_in
from orders.entries import Entry
from orders.executions import OVER
from orders.facts import Reading
from orders.fold import Fact, reference_id
from orders.lifecycle import Kind, is_final
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows, held, new
from orders.tracked import Source

UNREADABLE = "could not be read and was left out:"  # begins what an entry says of its attributes
NEEDED_OF_OTHERS = (
    "portfolio_order_id", "status", "fact", "order_type", "problems", "filled_at",
)  # fmt: skip
ASKING_WRITES = {"asking_until", "checked_at", "check_error"}


class OvertakenRowsError(Exception):
    """Rows that were missing have come meanwhile: all has to be rolled back and tried anew, they are known now."""


class Batch:
    """Entries and what they say, on the way into rows."""

    def __init__(
        self,
        *,
        now: datetime,
        skips_locked: bool = False,
        first_webhook: datetime | None = None,
    ) -> None:
        self.now = now
        self._first_webhook = first_webhook
        self._skips_locked = skips_locked
        self.readings: list[tuple[Entry, Reading]] = []
        self.refused: list[Entry] = []
        self.applied: list[Entry] = []
        self.unchanged: list[Entry] = []
        self.rows = Rows()
        self._told: dict[Entry, str] = {}  # what each said before it was taken
        self._new: set[Any] = set()
        self._news: set[Any] = set()

    def add(self, entry: Entry, reading: Reading) -> None:
        """Take an entry with what it says."""
        self._told[entry] = entry.message
        if reading.unreadable:
            said = f"{UNREADABLE} {', '.join(reading.unreadable)}"
            entry.message = clean(", ".join(filter(None, [entry.message, said])), 2000)
        self.readings.append((entry, reading))

    def refuse(self, entry: Entry, reason: str) -> None:
        """Take an entry that cannot be read: it will be quarantined with the reason."""
        self._told[entry] = entry.message
        entry.outcome = Outcome.QUARANTINED
        entry.message = ", ".join(dict.fromkeys(filter(None, (reason, entry.message))))
        self.refused.append(entry)

    def lock(self) -> Collection[Entry]:
        """Lock all rows concerned, the missing ones blank in memory; return the entries left out.

        Those need a row that somebody else has locked; none is left out unless locked rows are skipped.
        """
        needs = {entry: _Needs.of(entry, reading) for entry, reading in self._all()}
        orders = {pk for need in needs.values() for pk in need.orders}
        links = _links(orders)
        for need in needs.values():
            need.portfolio_orders.update(*(links.get(pk, ()) for pk in need.orders))
        parents = {pk for need in needs.values() for pk in need.portfolio_orders}
        known = set(PortfolioOrder.objects.filter(pk__any_of=parents).values_list("pk", flat=True))
        self.rows.portfolio_orders = self._locked(PortfolioOrder, known)
        self.rows.orders = self._locked(Order, links)
        busy = {*known, *links} - {*self.rows.portfolio_orders, *self.rows.orders}
        left = self._leave_out(
            {it for it, need in needs.items() if need.meets(busy)} if busy else ()
        )
        self._add([needs[entry] for entry, _ in self._all()], known, links.keys())
        # Also of orders that are new: their rows may have been lost alone.
        executions = Execution.objects.filter(order__pk__any_of=list(self.rows.orders))
        self.rows.hold(held(Execution, executions))
        return left

    def ask_about(self, ids: Collection[UUID]) -> None:
        """Make those of ``ids`` due that are portfolio orders or orders here, and not locked by others."""
        self.rows.orders = self._locked(Order, ids)
        parents = {
            it.portfolio_order_id for it in self.rows.orders.values() if it.portfolio_order_id
        }
        self.rows.portfolio_orders = self._locked(PortfolioOrder, {*ids, *parents})
        self._make_due(ids)

    def fold(self) -> None:
        """Fold entry by entry, in memory."""
        first_webhook = clocks.first_webhook_at() or self._first_webhook
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
        self._take_from_orders()
        self._schedule()

    def write(self) -> None:
        """Write the changed rows, and the outcomes of stored entries: one statement for each table and outcome."""
        for model, rows in (
            (PortfolioOrder, self.rows.portfolio_orders),
            (Order, self.rows.orders),
        ):
            ordered = sorted(rows.values(), key=attrgetter("id"))
            added = [row for row in ordered if row.is_new]
            if bulk.insert(model, added) < len(added):
                raise OvertakenRowsError
            changed = [row for row in ordered if row in self.rows.touched and not row.is_new]
            bulk.upsert(model, changed, but=ASKING_WRITES)
        execution_rows.write(row for row in self.rows.touched if row.kind is Kind.EXECUTION)
        for entry, _ in self._all():
            entry.applied_at = self.now
        for entries in (self.applied, self.unchanged):
            if ids := [entry.pk for entry in _stored(entries)]:
                JournalEntry.objects.filter(pk__any_of=ids).update(
                    outcome=entries[0].outcome, applied_at=self.now
                )
        odd = _stored(entry for entry, reading in self.readings if reading.unreadable)
        JournalEntry.objects.bulk_update(odd, ["message"])
        for entry in _stored(self.refused):  # rare, and each has a reason of its own
            entry.save(update_fields=["outcome", "applied_at", "message"])

    def _all(self) -> Iterator[tuple[Entry, Reading]]:
        yield from self.readings
        yield from ((entry, Reading()) for entry in self.refused)

    def _leave_out(self, left: Collection[Entry]) -> Collection[Entry]:
        """Take entries out of the batch, and return them."""
        if left:
            self.readings = [pair for pair in self.readings if pair[0] not in left]
            self.refused = [entry for entry in self.refused if entry not in left]
            for entry in left:
                entry.outcome, entry.message = Outcome.PENDING, self._told[entry]
        return left

    def _add(
        self, needs: Iterable["_Needs"], parents: AbstractSet[UUID], orders: AbstractSet[UUID]
    ) -> None:
        """Add the rows that are missing, blank; ``parents`` and ``orders`` are those that are here."""
        needs = list(needs)
        told = {pk for need in needs for pk in need.told} - parents
        self.rows.portfolio_orders |= {pk: new(PortfolioOrder, pk) for pk in told}
        unknown = [row for row in self.rows.portfolio_orders.values() if not row.fact]
        if unknown:  # their orders came first, and need no checks of their own from now on
            came = Order.objects.filter(portfolio_order__pk__any_of=[row.pk for row in unknown])
            others = came.exclude(pk__any_of=list(orders)).values_list("pk", flat=True)
            self.rows.orders |= self._locked(Order, others)
        named = {pk for need in needs for pk in need.named} - orders
        self.rows.orders |= {pk: new(Order, pk) for pk in named}
        self._new.update(unknown, (self.rows.orders[pk] for pk in named))

    def _locked(self, model: type[Any], ids: Iterable[UUID]) -> dict[UUID, Any]:
        """Return the rows with these ids, locked, without those that others have locked if these are skipped."""
        rows = model.objects.select_for_update(no_key=True, skip_locked=self._skips_locked)
        return {
            row.pk: row for row in held(model, rows.filter(pk__any_of=list(ids)).order_by("pk"))
        }

    def _about(self, entry: Entry) -> list[Any]:
        """Return the row an entry is about, and the portfolio order of that."""
        order = self.rows.orders.get(entry.order_id) if entry.order_id else None
        parent = order.portfolio_order_id if order else entry.portfolio_order_id
        rows = [order, self.rows.portfolio_orders.get(parent) if parent else None]
        return [row for row in rows if row is not None]

    def _take_from_orders(self) -> None:
        """Set what of the portfolio orders follows from all of their orders."""
        rows = {pk: row for pk, row in self.rows.portfolio_orders.items() if from_orders.takes(row)}
        orders = self._orders_of([*rows])
        for pk, row in rows.items():
            if from_orders.take(row, orders[pk]):
                self.rows.touched.add(row)

    def _schedule(self) -> None:
        """Set when to ask next about all with news, all that are new, all of which an event was refused."""
        rows = self._news | self._new
        alone = []
        for order in self.rows.orders.values():
            parent = self.rows.portfolio_orders.get(order.portfolio_order_id)
            if parent and parent in self._new:
                clocks.inherit(parent, order)
            if parent is None and order in rows:
                alone.append(order)
            elif parent is not None and order.check_after is not None:
                order.check_after = None  # its portfolio order asks for it
                self.rows.touched.add(order)
        self._plan_all(alone, [row for row in rows if row.kind is Kind.PORTFOLIO_ORDER])
        doubtful = [*self.refused, *(entry for entry, _ in self.readings if entry.repeat_of)]
        for entry in doubtful:
            if entry.source == Source.WEBHOOK:
                self._ask_at_once(entry)
        self._make_due({pk for entry in doubtful for pk in _suspects(entry)})

    def _plan_all(self, alone: Sequence[Any], parents: Sequence[Any]) -> None:
        """Set when to ask next about orders without a portfolio order here, and about portfolio orders."""
        orders = self._orders_of([row.pk for row in parents])
        ended = [row.pk for row in parents if is_final(Kind.PORTFOLIO_ORDER, row.status)]
        owed = self._owed([*alone, *(order for pk in ended for order in orders[pk])])
        for order in alone:
            self._plan(order, [], owed=order.pk in owed)
        for portfolio_order in parents:
            of_it = orders[portfolio_order.pk]
            self._plan(portfolio_order, of_it, owed=any(order.pk in owed for order in of_it))

    def _ask_at_once(self, entry: Entry) -> None:
        """Make the object of an event due: the answer may tell what the event could not."""
        for row in self._about(entry)[-1:]:
            row.check_after = self.now
            self.rows.touched.add(row)

    def _make_due(self, ids: Iterable[UUID]) -> None:
        """Make the rows with these ids due; of an order the portfolio order, where that is here."""
        for pk in ids:
            order = self.rows.orders.get(pk)
            parent = self.rows.portfolio_orders.get(order.portfolio_order_id) if order else None
            for row in (self.rows.portfolio_orders.get(pk), parent or order):
                if row is not None:
                    row.check_after = self.now
                    self.rows.touched.add(row)

    def _plan(self, row: Any, orders: Sequence[Any], *, owed: bool) -> None:
        row.checks = 0
        clocks.plan(row, now=self.now, orders=orders, owed=owed)
        self.rows.touched.add(row)

    def _owed(self, orders: Iterable[Any]) -> set[UUID]:
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

    def _orders_of(self, parents: Sequence[UUID]) -> dict[UUID, list[Any]]:
        """Return the orders by portfolio order: those of this batch as it folded them, and the rest."""
        found: dict[UUID, list[Any]] = {pk: [] for pk in parents}
        rest: Iterable[Any] = []
        if parents:
            rows = Order.objects.filter(portfolio_order__pk__any_of=parents).exclude(
                pk__any_of=list(self.rows.orders)
            )
            rest = rows.only(*NEEDED_OF_OTHERS)
        for order in [*self.rows.orders.values(), *rest]:
            if order.portfolio_order_id in found:
                found[order.portfolio_order_id].append(order)
        return found


@dataclass(slots=True)
class _Needs:
    """The rows that one entry needs: those that it tells of are inserted, the others only if they are here."""

    told: set[UUID]  # portfolio orders with a fact of their own
    named: set[UUID]  # orders
    portfolio_orders: set[UUID]
    orders: set[UUID]

    @classmethod
    def of(cls, entry: Entry, reading: Reading) -> Self:
        """Return what an entry needs, the portfolio orders aside that its orders are linked to."""
        told = {fact.id for fact in reading.facts if fact.kind is Kind.PORTFOLIO_ORDER}
        named = {
            fact.order_id or fact.id
            for fact in reading.facts
            if fact.kind is not Kind.PORTFOLIO_ORDER
        }
        named |= {*reading.named, *(listing.order_id for listing in reading.listings)}
        suspects = _suspects(entry)
        parents = {*told, *suspects, *_named_parents(reading.facts)}
        orders = {*named, *suspects}
        if entry.portfolio_order_id:
            parents.add(entry.portfolio_order_id)
        if entry.order_id:
            orders.add(entry.order_id)
        return cls(told, named, parents, orders)

    def meets(self, busy: AbstractSet[UUID]) -> bool:
        """Return whether it needs one of the rows that are busy."""
        return not (busy.isdisjoint(self.orders) and busy.isdisjoint(self.portfolio_orders))


def _stored(entries: Iterable[Entry]) -> list[JournalEntry]:
    return [entry for entry in entries if isinstance(entry, JournalEntry)]


def _suspects(entry: Entry) -> frozenset[UUID]:
    """Return every id in an event that does not count: whatever it is about, upstream is asked.

    That is one that is refused, and one with the id of another event but other content.
    """
    is_doubtful = entry.outcome == Outcome.QUARANTINED or entry.repeat_of
    counts = entry.source != Source.WEBHOOK or not is_doubtful
    return frozenset() if counts else ids_in(bytes(entry.payload))


def _links(order_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """Return the orders that are here, each with the portfolio orders that it may turn out to belong to."""
    rows = Order.objects.filter(pk__any_of=list(order_ids))
    return {
        pk: {it for it in (*parents, reference_id(reference)) if it}
        for pk, reference, *parents in rows.values_list(
            "pk", "client_reference", "portfolio_order_id", "listed_in"
        )
    }


def _named_parents(facts: Iterable[Fact]) -> set[UUID]:
    """Return the portfolio orders that orders may name: another fact may say that the reference is one."""
    references = (fact.fixed.get("client_reference") for fact in facts if fact.kind is Kind.ORDER)
    return {parent for it in references if (parent := reference_id(str(it)))}
