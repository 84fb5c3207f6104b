"""The fold of the journal anew for some objects, and in what their rows differ from it.

A part is a range of ids of one kind, or some ids. What one portfolio order's list tells of orders
comes from outside, for these may be in any other part. An entry that cannot be read is named, and
what it may have told of stays as it is. Source: the model, sections 1 (state and clocks) and 2.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Greatest, Least

from backoffice.database import may_pass
from backoffice.moments import EARLIEST, LATEST
from orders import bulk, from_orders, projection, rows
from orders.attributes import UnreadableError
from orders.facts import Reading, Wants
from orders.fold import Listing, essential, told_filled_at
from orders.lifecycle import CANCELLED_EXECUTED, NOT_FOUND, Kind
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows
from orders.scratch import Damage
from orders.tracked import MEMORY

CLOCKS = {
    "missing_since", "heard_at", "heard_via", "news_at", "check_after", "asking_until",
    "checked_at", "checks", "check_error",
}  # fmt: skip
MODELS: dict[Kind, Any] = {
    Kind.PORTFOLIO_ORDER: PortfolioOrder,
    Kind.ORDER: Order,
    Kind.EXECUTION: Execution,
}
STATE = {
    kind: [
        it.attname
        for it in model._meta.concrete_fields  # noqa: SLF001
        if it.name not in CLOCKS | MEMORY | {"id", "execution_id"}
    ]
    for kind, model in MODELS.items()
}
WHOLE: dict[Kind, Callable[[Any], Any]] = {
    kind: attrgetter(
        *columns,
        *(it.attname for it in MODELS[kind]._meta.concrete_fields if it.name in MEMORY),  # noqa: SLF001
    )
    for kind, columns in STATE.items()
}
SUBJECT = {Kind.PORTFOLIO_ORDER: "portfolio_order_id", Kind.ORDER: "order_id"}
MOMENTS = ("occurred_at", "recorded_at")
COLUMNS = (
    "pk", "portfolio_order_id", "order_id", "source", "event_id", "type", "payload", *MOMENTS,
)  # fmt: skip
AT_ONCE = 200  # entries fetched: the payload of one may be as long as a hundred others
Pair = tuple[Any, Any]
Held = tuple[dict[UUID, Any], dict[UUID, dict[UUID, Any]]]


@dataclass(frozen=True, slots=True)
class Part:
    """Objects of one kind: those with ids above ``after`` up to ``upto`` (None: no bound), or with ``ids``."""

    kind: Kind
    after: UUID | None = None
    upto: UUID | None = None
    ids: Sequence[UUID] | None = None

    def on(self, column: str) -> Q:
        """Return the condition that ``column`` names one of them."""
        if self.ids is not None:
            return Q(**{f"{column}__any_of": self.ids})
        bounds: dict[str, Any] = {f"{column}__isnull": False}
        if self.after:
            bounds[f"{column}__gt"] = self.after
        if self.upto:
            bounds[f"{column}__lte"] = self.upto
        return Q(**bounds)


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one row in which the tables and the fold of the journal differ.

    ``of`` says of which order, where several report the execution.
    """

    table: str
    id: UUID
    column: str
    held: object
    folded: object
    of: str = ""

    def __str__(self) -> str:
        where = f"{self.table} {self.id}{self.of}"
        return f"{where}: {self.column} is {self.held!r}, folded anew {self.folded!r}"


@dataclass(slots=True)
class _Entry:
    """The columns of an applied entry that tell what it says: see ``orders.entries.Entry``."""

    pk: int
    portfolio_order_id: UUID | None
    order_id: UUID | None
    source: str
    event_id: UUID | None
    type: str
    payload: Any
    occurred_at: datetime
    recorded_at: datetime
    outcome: str = Outcome.APPLIED
    message: str = ""
    repeat_of: UUID | None = None
    applied_at: datetime | None = None


@dataclass(slots=True)
class Fold:
    """What the journal says of the objects of a part."""

    rows: Rows = field(default_factory=Rows)
    listings: list[Listing] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    spoilt: set[UUID] = field(default_factory=set)  # objects that damaged entries are about
    entries: int = 0


def applied() -> QuerySet[JournalEntry]:
    """Return the entries that count: those that were applied."""
    return JournalEntry.objects.filter(
        outcome__in=[Outcome.APPLIED, Outcome.NO_CHANGE], repeat_of=None
    )


def fold(part: Part, listings: Iterable[Listing] = ()) -> Fold:
    """Fold all entries about the objects of a part, and the lines of lists that name its orders.

    The lines that its portfolio orders list are returned: of each only what may count.
    """
    found, told = Fold(), list[Listing]()
    for entry in _entries(applied().filter(part.on(SUBJECT[part.kind]))):
        found.entries += 1
        try:
            reading = _read(entry, wants=found.rows.wants)
        except Exception as error:  # reading is deterministic: a second try says the same
            if may_pass(error):
                raise
            _spoil(found, part.kind, entry, _reason(error))
        else:
            told += reading.listings
            _take(found.rows, replace(reading, listings=()) if reading.listings else reading)
        if len(told) > AT_ONCE * 50:
            told = essential(told)
    found.listings = essential(told)
    for listing in listings:
        _take(found.rows, Reading(listings=(listing,)))
    for row in (*found.rows.portfolio_orders.values(), *found.rows.orders.values()):
        found.rows.settle(row)
    return found


def listings_of(entries: QuerySet[JournalEntry]) -> Iterator[Listing]:
    """Yield the lines of the lists that entries about portfolio orders tell, but for damaged ones."""
    for entry in _entries(entries):
        try:
            yield from _read(entry).listings
        except Exception as error:  # named by the part of its portfolio order
            if may_pass(error):
                raise


def held(part: Part, *, locked: bool = False) -> Held:
    """Return the rows of a part by id, and the executions of its orders by order and upstream's id."""
    model = MODELS[part.kind]
    query = model.objects.filter(part.on("id")).order_by("pk")
    if locked:
        query = query.select_for_update(no_key=True)
    found = {row.pk: row for row in rows.held(model, query)}
    executions: dict[UUID, dict[UUID, Any]] = {}
    if part.kind is Kind.ORDER:
        for row in rows.held(Execution, Execution.objects.filter(part.on("order__pk"))):
            executions.setdefault(row.order_id, {})[row.upstream_id] = row
    return found, executions


@dataclass(frozen=True, slots=True)
class Spoilt:
    """The objects that damaged entries may have told of."""

    portfolio_orders: AbstractSet[UUID] = frozenset()
    orders: AbstractSet[UUID] = frozenset()

    def has(self, row: Any) -> bool:
        """Return whether a damaged entry may have told of a row."""
        if row.kind is Kind.PORTFOLIO_ORDER:
            return row.pk in self.portfolio_orders
        if row.kind is Kind.EXECUTION:
            return row.order_id in self.orders
        return row.pk in self.orders or not self.portfolio_orders.isdisjoint(
            {row.portfolio_order_id, row.listed_in}
        )


@dataclass(slots=True)
class Comparison:
    """The rows that differ, as the journal gives them and as they are held; None where there is none.

    ``doubted`` are the portfolio orders whose orders are spoilt: what follows from these is unknown.
    ``corrections`` are the portfolio orders and orders that differ by what the journal says of them
    alone, without what portfolio orders take from their orders.
    """

    pairs: list[Pair] = field(default_factory=list)
    doubted: set[UUID] = field(default_factory=set)
    corrections: dict[UUID, Any] = field(default_factory=dict)


def compare(
    kind: Kind,
    folded: Rows,
    held: Held,
    spoilt: Spoilt,
    *,
    is_whole: bool = False,
) -> Comparison:
    """Hold rows that are held against those that the journal gives.

    ``is_whole``: portfolio orders have taken what follows from their orders.
    """
    found = Comparison()
    is_alone = kind is Kind.PORTFOLIO_ORDER and not is_whole
    for told, before in _all_pairs(kind, folded, *held):
        if before is not None and (spoilt.has(before) or (told is not None and spoilt.has(told))):
            if before.kind is Kind.ORDER:
                of = {it.portfolio_order_id for it in (told, before) if it is not None}
                found.doubted |= of - {None}
            continue
        row = told
        if told is not None and before is not None and is_alone:
            row = _with_what_is_taken(told, before)
        differs = row is None or before is None or WHOLE[row.kind](row) != WHOLE[row.kind](before)
        if differs:
            found.pairs.append((row, before))
        if (differs or told is not row) and (before or row).kind is kind:
            found.corrections[(before or row).pk] = told
    return found


def _with_what_is_taken(row: Any, before: Any) -> Any:
    """Return a portfolio order with what is held of what follows from its orders: that is compared later.

    The row itself where nothing follows, or all that is held may.
    """
    if not from_orders.takes(row):
        return row
    found = row if row.filled_at == told_filled_at(before) else replace(row)
    found.filled_at, found.is_fill_derived = before.filled_at, before.is_fill_derived
    found.problems = row.problems & ~CANCELLED_EXECUTED | before.problems & CANCELLED_EXECUTED
    return found


def differences(pairs: Iterable[Pair]) -> Iterator[Difference]:
    """Yield each column in which pairs differ; what the fold only remembers is none."""
    for row, before in pairs:
        if row is None or before is None:
            yield _difference(
                row if before is None else before,
                "the row",
                None if before is None else _word(before),
                None if row is None else _word(row),
            )
            continue
        for column in STATE[row.kind]:
            here, there = _state(before, column), _state(row, column)
            if here != there:
                yield _difference(before, column, here, there)


def objects(pairs: Iterable[Pair]) -> list[UUID]:
    """Return the portfolio orders and orders that pairs are of; an execution is of its order."""
    rows = (row if before is None else before for row, before in pairs)
    return sorted({row.order_id if row.kind is Kind.EXECUTION else row.pk for row in rows})


def _all_pairs(
    kind: Kind,
    folded: Rows,
    held: dict[UUID, Any],
    executions: dict[UUID, dict[UUID, Any]],
) -> Iterator[Pair]:
    told = (
        {pk: row for pk, row in folded.portfolio_orders.items() if row.fact}
        if kind is Kind.PORTFOLIO_ORDER
        else folded.orders
    )
    yield from _matched(told, held)
    for pk in {**folded.executions, **executions}:
        yield from _matched(folded.executions.get(pk, {}), executions.get(pk, {}))


def _matched(told: dict[UUID, Any], held: dict[UUID, Any]) -> Iterator[Pair]:
    for pk in {**told, **held}:
        yield told.get(pk), held.get(pk)


def _entries(query: QuerySet[JournalEntry]) -> Iterator[_Entry]:
    """Yield entries, the newest first: what they tell is most often what counts, and the others add nothing."""
    found = query.order_by("-occurred_at")
    if connection.vendor == "postgresql":  # which has moments that Python has not
        found = found.annotate(**{f"{it}_here": _in_our_time(it) for it in MOMENTS})
        columns = [f"{it}_here" if it in MOMENTS else it for it in COLUMNS]
    else:
        columns = list(COLUMNS)
    for row in bulk.stream(found.values_list(*columns), portion=AT_ONCE):
        entry = _Entry(*row)
        entry.occurred_at = entry.occurred_at.replace(tzinfo=UTC)
        entry.recorded_at = entry.recorded_at.replace(tzinfo=UTC)
        yield entry


def _in_our_time(column: str) -> Least:
    """Return a moment as MomentField reads it where there is no NULL: a placeholder as the nearest of our time."""
    return Least(Greatest(column, Value(EARLIEST)), Value(LATEST))


def _read(entry: _Entry, *, wants: Wants | None = None) -> Reading:
    """Return what an entry says of the object that it is about, as far as that may count."""
    if not entry.payload:  # only repeats, notes and failures have none
        raise UnreadableError("it has no payload")
    reading = projection.read(entry, wants=wants)
    about = {
        fact.order_id or fact.id if fact.kind is not Kind.PORTFOLIO_ORDER else fact.id
        for fact in reading.facts
    }
    if not about <= {entry.portfolio_order_id, entry.order_id}:
        raise UnreadableError("it is about another object")
    return reading


def _take(folded: Rows, reading: Reading) -> None:
    """Fold what an entry says into rows, which are made for all that it tells of."""
    for fact in reading.facts:
        if fact.kind is Kind.PORTFOLIO_ORDER:
            if fact.id not in folded.portfolio_orders:
                folded.portfolio_orders[fact.id] = rows.new(PortfolioOrder, fact.id)
            continue
        _name(folded, fact.order_id or fact.id)
    for pk in reading.named:
        _name(folded, pk)
    for listing in reading.listings:
        _name(folded, listing.order_id)
    folded.tell(reading)


def _name(folded: Rows, order_id: UUID) -> None:
    if order_id not in folded.orders:
        folded.orders[order_id] = rows.new(Order, order_id)


def _spoil(found: Fold, kind: Kind, entry: _Entry, reason: str) -> None:
    pk = getattr(entry, SUBJECT[kind])
    found.damages.append(Damage(entry.pk, f"{table_of(kind)} {pk}", reason))
    found.spoilt.add(pk)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnreadableError) else f"{type(error).__name__}: {error}"


def _difference(row: Any, column: str, held: object, folded: object) -> Difference:
    if row.kind is not Kind.EXECUTION:
        return Difference(table_of(row.kind), row.pk, column, held, folded)
    of = f" of order {row.order_id}" if row.execution_id else ""
    return Difference(table_of(row.kind), row.upstream_id, column, held, folded, of)


def table_of(kind: Kind) -> str:
    """Return what rows of a kind are called."""
    return kind.lower().replace("_", " ")


def _state(row: Any, column: str) -> object:
    value = getattr(row, column)
    return (
        value & ~NOT_FOUND if column == "problems" else value
    )  # that bit an ask told, not the journal


def _word(row: Any) -> str:
    return str(getattr(row, "status", "")) or "only named"
