"""Fold facts into state: whatever the order, the repeats and the batches, the same facts give the same state. Pure.

Source of every rule: the model's section 2. A row is anything with the columns of ``orders.models``.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Protocol
from uuid import UUID

from orders.attributes import ALL, CURRENT, FIXED, parsed_uuid, says_same
from orders.lifecycle import (
    CANCELLED_EXECUTED,
    CONFLICT,
    MISTRADE,
    UNKNOWN_STATUS,
    UNREADABLE_ATTRIBUTE,
    Kind,
    expected,
    rank,
)

PORTFOLIO_FLOWS = frozenset({"PORTFOLIO", "PORTFOLIO_REBALANCING"})
MOMENTS = {
    "PROCESSING": "processing_at",
    "FILLED": "filled_at",
    "SETTLED": "settled_at",
    "CANCELLED": "cancelled_at",
}
LISTED = (
    "-"  # begins the key of a line of a list: below every own fact, whose key begins with a digit
)


class Row(Protocol):
    """What every folded row has.

    ``attribute_facts`` names the attributes that the fact of the row did not give, each with the
    key of the fact that did: ``attribute_facts()`` reads it. ``unreadable`` names those of the fact
    of the row that could not be read, with spaces between: whatever lesser facts said, it is the
    newest word that is incomplete.
    """

    status: str
    fact: str
    attribute_facts: str
    unreadable: str


class TrackedRow(Row, Protocol):
    """What portfolio orders and orders share."""

    announced: str
    problems: int
    processing_at: datetime | None
    filled_at: datetime | None
    is_fill_derived: bool
    cancelled_at: datetime | None


class OrderRow(TrackedRow, Protocol):
    """An order of a portfolio order, or one of its own."""

    side: str
    client_reference: str
    initiation_flow: str
    portfolio_order_id: UUID | None
    listed_in: UUID | None


@dataclass(frozen=True, slots=True)
class Fact:
    """What somebody said about one object, and how far it counts.

    ``fixed`` attributes never change upstream, ``current`` ones are those of this version; one that
    is missing was not said, or could not be read: ``unreadable`` names those. ``order_id`` names the
    order of an execution.
    """

    kind: Kind
    id: UUID
    status: str
    version: datetime
    is_answer: bool
    tie: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    current: Mapping[str, object] = field(default_factory=dict)
    order_id: UUID | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """Return the rank of the status."""
        return rank(self.kind, self.status)

    @property
    def key(self) -> str:
        """Return what facts are compared by, as text: the greatest is the state."""
        return key_of(self.kind, self.status, self.version, self.tie, is_answer=self.is_answer)


def key_of(kind: Kind, status: str, version: datetime, tie: str, *, is_answer: bool) -> str:
    """Return the key of a fact of which only so much is known."""
    filled, answer = int(status == "FILLED"), int(is_answer)
    return f"{rank(kind, status)} {_written(version)} {filled} {answer} {tie}"


@lru_cache(maxsize=2**10)  # each fact of one payload has the same
def _written(version: datetime) -> str:
    return version.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of a portfolio order's list of orders: not an own fact of the order.

    ``fact`` is the key of the portfolio order's fact that it is a part of.
    """

    order_id: UUID
    portfolio_order_id: UUID
    status: str
    side: str
    fact: str = ""

    @property
    def key(self) -> str:
        """Return what lines of lists are compared by where they give an attribute: the greatest counts."""
        return f"{LISTED}{self.fact}"


def rank_of(key: str) -> int:
    """Return the rank of the fact with ``key``; -1 for an object that is only named."""
    return int(key[0]) if key else -1


def told_by(key: str) -> tuple[datetime, bool, str]:
    """Return the version of the fact with ``key``, whether an answer of the API told it, and its tie."""
    _, version, _, answer, tie = key.split(" ", 4)
    return datetime.fromisoformat(version).replace(tzinfo=UTC), answer == "1", tie


def is_proven(kind: Kind, row: Row) -> bool:
    """Return whether an own fact is behind the status, not only a parent's list."""
    return bool(row.fact) and rank_of(row.fact) >= rank(kind, row.status)


def fold(row: Row, fact: Fact) -> bool:
    """Fold one own fact into ``row``; return whether its state changed (``fact`` aside)."""
    key = fact.key
    wins = key > row.fact
    changed = _attributes(row, fact, key, wins=wins)
    if wins:
        row.fact = key
        changed |= _set(row, "unreadable", " ".join(sorted(fact.unreadable)))
        if fact.rank >= rank(fact.kind, row.status):  # else a listing that ranks higher stands
            changed |= _set(row, "status", fact.status)
    if fact.kind is not Kind.EXECUTION:
        changed |= _moment(row, fact) | _problem(
            row, UNKNOWN_STATUS, here=not fact.rank, sticky=True
        )
    return changed


def wanted(kind: Kind, row: Row, key: str) -> Collection[str] | None:
    """Return the attributes that a fact with ``key`` may decide; None: all, for it is greater than that of the row."""
    if key > row.fact:
        return None
    before = attribute_facts(row)
    fixed = _fixed_of[kind](row)
    blank: Iterable[str] = ()
    if None in fixed or "" in fixed:
        told = zip(FIXED[kind], fixed, strict=True)
        blank = (it for it, value in told if _blank(value) and it not in before)
    return [*(name for name, given_by in before.items() if key > given_by), *blank]


_fixed_of: Mapping[Kind, Any] = {kind: attrgetter(*names) for kind, names in FIXED.items()}


def attribute_facts(row: Row) -> dict[str, str]:
    """Return the attributes that the row's fact did not give, each with the key of the fact that did.

    "" for a current attribute that no fact has given yet. Most often there are none at all.
    """
    if not row.attribute_facts:
        return {}
    lines = (line.partition(" ") for line in row.attribute_facts.split("\n"))
    return {name: key for name, _, key in lines if name}


def _attributes(row: Row, fact: Fact, key: str, *, wins: bool) -> bool:
    """Let the greatest fact that gives an attribute decide it, each attribute by itself.

    A fixed attribute is given by a fact that has it, a current one by a fact that could be read:
    there a blank is a value.
    """
    given = {it: value for it, value in fact.fixed.items() if value is not None and value != ""}
    given.update(fact.current)
    before = attribute_facts(row)
    after = _not_given(row, fact, given, before) if wins else dict(before)
    changed = False
    for name, value in given.items():
        if not wins:
            unknown = name not in fact.current and _blank(getattr(row, name))
            if key <= before.get(name, "" if unknown else row.fact):
                continue
            after[name] = key
        held = getattr(row, name)
        if held is not value and held != value:
            setattr(
                row, name, value
            )  # as it was written, though another spelling tells nothing new
            changed |= not says_same(name, held, value)
    _remember(row, after)
    return changed


def _not_given(
    row: Row, fact: Fact, given: Mapping[str, object], before: Mapping[str, str]
) -> dict[str, str]:
    """Return the attributes that a winning fact does not give, each with the key of the fact that did."""
    if len(given) == len(ALL[fact.kind]):
        return {}
    return {
        name: before.get(name, row.fact)
        for name in ALL[fact.kind]
        if name not in given
        and (name in before or name in CURRENT[fact.kind] or not _blank(getattr(row, name)))
    }


def _write(row: Row, name: str, value: object) -> bool:
    """Set an attribute as it was written; return whether it says another than before: 2.50 tells nothing new of 2.5."""
    held = getattr(row, name)
    return _set(row, name, value) and not says_same(name, held, value)


def _remember(row: Row, keys: Mapping[str, str]) -> None:
    row.attribute_facts = "\n".join(sorted(f"{name} {key}" for name, key in keys.items()))


def fold_listing(order: OrderRow, listing: Listing) -> bool:
    """Fold a line of a portfolio order's list; its status counts only where it ranks above the own facts."""
    own, listed = rank_of(order.fact), rank(Kind.ORDER, listing.status)
    changed = False
    if listed > own:
        shown_is_own = own >= 0 and rank(Kind.ORDER, order.status) <= own
        if (
            shown_is_own
            or not order.status
            or _listed_key(listing.status) > _listed_key(order.status)
        ):
            changed |= _set(order, "status", listing.status)
    known = attribute_facts(order)
    decided = known.get("side", order.fact if order.side else "")
    if listing.side and (listing.key, listing.side) > (decided, order.side):
        changed |= _set(order, "side", listing.side)
        _remember(order, known | {"side": listing.key})
    is_unknown = bool(listing.status) and not listed  # without a status it says nothing of it
    return changed | _problem(order, UNKNOWN_STATUS, here=is_unknown, sticky=True)


def essential(listings: Iterable[Listing]) -> list[Listing]:
    """Return the lines that say all that ``listings`` do: most often one of each order and portfolio order."""
    best: dict[tuple[UUID, UUID, str], tuple[Any, Listing]] = {}
    for it in listings:
        claims: dict[str, Any] = {"status": _listed_key(it.status)}
        if it.side:
            claims["side"] = it.fact, it.side
        if it.status and not rank(Kind.ORDER, it.status):
            claims["unknown"] = ()
        for name, claim in claims.items():
            key = it.order_id, it.portfolio_order_id, name
            if key not in best or claim > best[key][0]:
                best[key] = claim, it
    return list(dict.fromkeys(it for _, it in best.values()))


def own_parent(client_reference: str, initiation_flow: str) -> UUID | None:
    """Return the portfolio order that an order itself names, if it does."""
    return reference_id(client_reference) if initiation_flow in PORTFOLIO_FLOWS else None


def reference_id(client_reference: str) -> UUID | None:
    """Return the id that a client reference is, if it is one."""
    try:
        return parsed_uuid(client_reference) if client_reference else None
    except ValueError:
        return None


def link(order: OrderRow, listed_in: UUID | None = None) -> bool:
    """Link an order to the portfolio order it names, else to the one that lists it (several: the least id)."""
    listed = [known for known in (order.listed_in, listed_in) if known]
    order.listed_in = min(listed, default=None)
    own = own_parent(order.client_reference, order.initiation_flow)
    return _set(order, "portfolio_order_id", own or order.listed_in)


def keep_list(order: OrderRow) -> None:
    """Note who lists an order that an earlier release wrote: it named no parent itself, and yet has one."""
    own = own_parent(order.client_reference, order.initiation_flow)
    if not own and not order.listed_in:
        order.listed_in = order.portfolio_order_id


def announce(row: TrackedRow, word: str) -> None:
    """Note that a webhook announced ``word``."""
    row.announced = " ".join(sorted({*row.announced.split(), word}))


def misses(kind: Kind, row: TrackedRow) -> bool:
    """Return whether a webhook that must have been sent has not arrived."""
    words = expected(kind, row.status, was_processing=row.processing_at is not None)
    return not words <= set(row.announced.split())


def told_filled_at(row: Any) -> datetime | None:
    """Return when the broker said that an order was filled; None where that is only derived: see ``orders.fills``."""
    told: datetime | None = None if row.is_fill_derived else row.filled_at
    return told


def settle(
    row: TrackedRow,
    execution_statuses: AbstractSet[str],
    *,
    executions_are_readable: bool = True,
    is_executed_in_full: bool | None = None,
) -> bool:
    """Set or clear what several facts together say: a conflict, a mistrade. Return whether it changed.

    ``is_executed_in_full``: the executions that count come to all that was ordered. None for a
    portfolio order: that follows from its orders, see ``orders.from_orders``.
    """
    odd = bool(row.unreadable) or not executions_are_readable
    unreadable = _problem(row, UNREADABLE_ATTRIBUTE, here=odd)
    conflict = _problem(row, CONFLICT, here=bool(row.fact) and _conflicts(row))
    mistrade = row.status == "FILLED" and "CANCELLED" in execution_statuses
    in_vain = row.status == "CANCELLED" and bool(is_executed_in_full)
    executed = is_executed_in_full is not None and _problem(row, CANCELLED_EXECUTED, here=in_vain)
    return unreadable | conflict | executed | _problem(row, MISTRADE, here=mistrade)


def _conflicts(row: TrackedRow) -> bool:
    """Return whether filled and cancelled were both told, and no later answer of the API has decided."""
    told = (told_filled_at(row), getattr(row, "settled_at", None))
    ends = [moment for moment in told if moment]
    if not (row.cancelled_at and ends):
        return False
    decided_at, is_answer, _ = told_by(row.fact)
    return not (is_answer and decided_at >= max(*ends, row.cancelled_at))


def _listed_key(status: str) -> tuple[int, bool, str]:
    return rank(Kind.ORDER, status), status == "FILLED", status


def _moment(row: Row, fact: Fact) -> bool:
    name = MOMENTS.get(fact.status, "")
    if not hasattr(row, name or "-"):
        return False
    is_fill = name == "filled_at"
    earliest = told_filled_at(row) if is_fill else getattr(row, name)
    if earliest is not None and fact.version >= earliest:
        return False
    return _set(row, name, fact.version) | (is_fill and _set(row, "is_fill_derived", False))


def _problem(row: Row, bit: int, *, here: bool, sticky: bool = False) -> bool:
    problems: int = getattr(row, "problems")  # noqa: B009 -- executions have none and never come here
    return _set(
        row, "problems", problems | bit if here else problems if sticky else problems & ~bit
    )


def _blank(value: object) -> bool:
    return value is None or value == ""


def _set(row: Row, name: str, value: object) -> bool:
    held = getattr(row, name)
    if held is value or held == value:
        return False
    setattr(row, name, value)
    return True
