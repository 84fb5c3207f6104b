"""What upstream says of an object against what we hold of it. No database: rows in memory, folded on copies."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from backoffice.foreign_json import parse
from orders import facts
from orders.attributes import UnreadableError, says_same
from orders.facts import Reading
from orders.fold import Fact, Listing, is_proven
from orders.lifecycle import CONFLICT, NOT_FOUND, Kind
from orders.models import Execution, Order, PortfolioOrder
from orders.problems import problems_in
from orders.refold import CLOCKS
from orders.rows import Rows, new_execution
from orders.tracked import MEMORY

BLANK = {None, ""}
# What moves with the status need not be told beside it.
FOLLOWING = {
    "updated_at", "processing_at", "filled_at", "settled_at", "cancelled_at", "settlement_date",
}  # fmt: skip
# What upstream never says in so many words.
UNSAID = {"id", "fact", "announced", "order", "execution_id", "is_fill_derived"}
# The status is what people look for first.
COLUMNS = {
    model.kind: sorted(
        (
            field.attname
            for field in model._meta.concrete_fields  # noqa: SLF001 -- Django's documented way
            if field.name not in {*CLOCKS, *MEMORY, *UNSAID}
        ),
        key=lambda name: name != "status",
    )
    for model in (PortfolioOrder, Order, Execution)
}


@dataclass(frozen=True, slots=True)
class Told:
    """What upstream said of one object, when it was asked; ``reason`` says why it cannot be read."""

    kind: Kind
    pk: UUID
    payload: object
    at: datetime
    reading: Reading = field(default_factory=Reading)
    reason: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an answer would change of an object, and what we would hold against its word all the same.

    ``is_news``: it would change something, of this object or of one that it names.
    """

    changes: tuple[str, ...] = ()
    contrary: tuple[str, ...] = ()
    is_news: bool = False

    @property
    def is_equal(self) -> bool:
        """Return whether both sides say the same."""
        return not (self.is_news or self.contrary)


def told(kind: Kind, pk: UUID, payload: object, *, at: datetime, request_id: str = "") -> Told:
    """Return an answer with what it says, read as the journal would."""
    try:
        described = facts.describe_answer(kind, payload, now=at)
        if pk not in {described.portfolio_order_id, described.order_id}:
            return Told(
                kind, pk, payload, at, reason="it is about another id", request_id=request_id
            )
        text = facts.dump(payload)
        reading = facts.read(
            parse(text),
            type_=kind,
            version=described.occurred_at,
            is_answer=True,
            tie=facts.tie(None, text),
            known_at=at,
        )
    except UnreadableError as error:
        return Told(kind, pk, payload, at, reason=str(error), request_id=request_id)
    return Told(kind, pk, payload, at, reading, request_id=request_id)


def compare(reading: Reading, held: Rows) -> Comparison:
    """Fold an answer into copies of what we hold, and say what that changes and what it does not."""
    before, after = _copies(reading, held), _copies(reading, held)
    is_news, _ = after.fold(reading)
    pairs = list(_own(reading.facts, before, after))
    found_again = any(getattr(row, "problems", 0) & NOT_FOUND for row, _, _ in pairs)
    return Comparison(
        changes=(
            *(text for row, folded, _ in pairs for text in _changes(row, folded)),
            *(["not found at the broker before, found again"] if found_again else []),
        ),
        contrary=tuple(text for _, folded, fact in pairs for text in _contrary(folded, fact)),
        is_news=is_news or found_again,
    )


def is_doubtful(listing: Listing, order: Order | None) -> bool:
    """Return whether a portfolio order's list leaves open what upstream says of one of its orders."""
    return (
        order is None
        or not is_proven(Kind.ORDER, order)
        or order.status != listing.status
        or bool(order.problems & (CONFLICT | NOT_FOUND))
    )


def listings_of(answers: Iterable[Told]) -> Iterator[Listing]:
    """Yield the lines of all lists in answers."""
    for answer in answers:
        yield from answer.reading.listings


def without_lists(answer: Told) -> Told:
    """Return an answer without its list of orders: those are compared by themselves."""
    return replace(answer, reading=replace(answer.reading, listings=()))


def _copies(reading: Reading, held: Rows) -> Rows:
    """Return copies of the rows that an answer is about; those that we do not hold are blank."""
    rows = Rows()
    for fact in reading.facts:
        if fact.kind is Kind.PORTFOLIO_ORDER:
            row = held.portfolio_orders.get(fact.id) or PortfolioOrder(pk=fact.id)
            rows.portfolio_orders[fact.id] = copy.copy(row)
        elif fact.kind is Kind.ORDER:
            rows.orders[fact.id] = copy.copy(held.orders.get(fact.id) or Order(pk=fact.id))
            executions = held.executions.get(fact.id, {})
            rows.executions[fact.id] = {pk: copy.copy(row) for pk, row in executions.items()}
    for listing in reading.listings:
        known = held.orders.get(listing.order_id) or Order(pk=listing.order_id)
        rows.orders[listing.order_id] = copy.copy(known)
    return rows


def _own(facts: Iterable[Fact], before: Rows, after: Rows) -> Iterator[tuple[Any, Any, Fact]]:
    """Yield each object that an answer has a fact of, as it is and as it would be."""
    for fact in facts:
        if fact.kind is Kind.PORTFOLIO_ORDER:
            yield before.portfolio_orders[fact.id], after.portfolio_orders[fact.id], fact
        elif fact.kind is Kind.ORDER:
            yield before.orders[fact.id], after.orders[fact.id], fact
        elif fact.order_id:
            known = before.executions.get(fact.order_id, {}).get(fact.id)
            row = known or new_execution(fact.order_id, fact.id)
            yield row, after.executions[fact.order_id][fact.id], fact


def _changes(before: Any, after: Any) -> Iterator[str]:
    if before.kind is Kind.EXECUTION and not before.fact:
        yield f"execution {str(before)[:8]}: missing here, at the broker {_word('status', after.status)}"
        return
    has_moved = before.status != after.status
    for name in COLUMNS[before.kind]:
        here, there = getattr(before, name), getattr(after, name)
        if not says_same(name, here, there) and not (has_moved and name in FOLLOWING):
            yield _difference(before, name, here, there)


def _contrary(row: Any, fact: Fact) -> Iterator[str]:
    """Yield what the answer says otherwise than the row, though it was folded into it."""
    said = {"status": fact.status, **fact.current}
    said |= {name: value for name, value in fact.fixed.items() if value not in BLANK}
    has_moved = row.status != fact.status
    for name, there in said.items():
        here = getattr(row, name)
        if not says_same(name, here, there) and not (has_moved and name in FOLLOWING):
            yield _difference(row, name, here, there)


def _difference(row: Any, name: str, here: object, there: object) -> str:
    whose = f"execution {str(row)[:8]} " if row.kind is Kind.EXECUTION else ""
    word = name.removesuffix("_id").replace("_", " ")
    return f"{whose}{word}: {_word(name, here)} here, {_word(name, there)} at the broker"


def _word(name: str, value: object) -> str:
    if name == "problems":
        bits = int(value) if isinstance(value, int) else 0
        return " and ".join(problem.label.lower() for problem in problems_in(bits)) or "none"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)[:200] if value not in BLANK else "nothing"
