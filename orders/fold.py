"""Fold facts into state: whatever the order, the repeats and the batches, the same facts give the same state. Pure.

Source of every rule: the model's section 2. A row is anything with the columns of ``orders.models``.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from orders.lifecycle import CONFLICT, MISTRADE, UNKNOWN_STATUS, Kind, expected, rank

PORTFOLIO_FLOWS = frozenset({"PORTFOLIO", "PORTFOLIO_REBALANCING"})
MOMENTS = {
    "PROCESSING": "processing_at",
    "FILLED": "filled_at",
    "SETTLED": "settled_at",
    "CANCELLED": "cancelled_at",
}


class Row(Protocol):
    """What every folded row has."""

    status: str
    fact: str


class TrackedRow(Row, Protocol):
    """What portfolio orders and orders share."""

    announced: str
    problems: int
    processing_at: datetime | None
    filled_at: datetime | None
    cancelled_at: datetime | None


class OrderRow(TrackedRow, Protocol):
    """An order of a portfolio order, or one of its own."""

    side: str
    client_reference: str
    initiation_flow: str
    portfolio_order_id: UUID | None


@dataclass(frozen=True, slots=True)
class Fact:
    """What somebody said about one object, and how far it counts.

    ``fixed`` attributes never change upstream, ``current`` ones are those of this version.
    ``order_id`` names the order of an execution.
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

    @property
    def rank(self) -> int:
        """Return the rank of the status."""
        return rank(self.kind, self.status)

    @property
    def key(self) -> str:
        """Return what facts are compared by, as text: the greatest is the state."""
        version = (
            self.version.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        )
        filled, answer = int(self.status == "FILLED"), int(self.is_answer)
        return f"{self.rank} {version} {filled} {answer} {self.tie}"


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of a portfolio order's list of orders: not an own fact of the order."""

    order_id: UUID
    portfolio_order_id: UUID
    status: str
    side: str


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
    changed = False
    key = fact.key
    wins = key > row.fact
    if wins:
        row.fact = key
        if fact.rank >= rank(fact.kind, row.status):  # else a listing that ranks higher stands
            changed |= _set(row, "status", fact.status)
        for name, value in fact.current.items():
            changed |= _set(row, name, value)
    for name, value in fact.fixed.items():
        if not _blank(value) and (wins or _blank(getattr(row, name))):
            changed |= _set(row, name, value)
    if fact.kind is not Kind.EXECUTION:
        changed |= _moment(row, fact) | _problem(
            row, UNKNOWN_STATUS, here=not fact.rank, sticky=True
        )
    return changed


def fold_listing(order: OrderRow, listing: Listing) -> bool:
    """Fold a line of a portfolio order's list; it counts only where it ranks above the own facts."""
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
    if listing.side and not order.side:
        changed |= _set(order, "side", listing.side)
    return changed | _problem(order, UNKNOWN_STATUS, here=not listed, sticky=True)


def own_parent(client_reference: str, initiation_flow: str) -> UUID | None:
    """Return the portfolio order that an order itself names, if it does."""
    if initiation_flow not in PORTFOLIO_FLOWS:
        return None
    try:
        return UUID(client_reference)
    except ValueError:
        return None


def link(order: OrderRow, listed_in: UUID | None = None) -> bool:
    """Link an order to the portfolio order it names, else to the one that lists it (several: the least id)."""
    own = own_parent(order.client_reference, order.initiation_flow)
    listed = [known for known in (order.portfolio_order_id, listed_in) if known]
    return _set(order, "portfolio_order_id", own or min(listed, default=None))


def announce(row: TrackedRow, word: str) -> None:
    """Note that a webhook announced ``word``."""
    row.announced = " ".join(sorted({*row.announced.split(), word}))


def misses(kind: Kind, row: TrackedRow) -> bool:
    """Return whether a webhook that must have been sent has not arrived."""
    words = expected(kind, row.status, was_processing=row.processing_at is not None)
    return not words <= set(row.announced.split())


def settle(row: TrackedRow, execution_statuses: AbstractSet[str]) -> bool:
    """Set or clear what several facts together say: a conflict, a mistrade. Return whether it changed."""
    conflict = _problem(row, CONFLICT, here=bool(row.fact) and _conflicts(row))
    mistrade = row.status == "FILLED" and "CANCELLED" in execution_statuses
    return conflict | _problem(row, MISTRADE, here=mistrade)


def _conflicts(row: TrackedRow) -> bool:
    """Return whether filled and cancelled were both told, and no later answer of the API has decided."""
    ends = [moment for name in ("filled_at", "settled_at") if (moment := getattr(row, name, None))]
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
    earliest = getattr(row, name)
    return _set(row, name, fact.version) if earliest is None or fact.version < earliest else False


def _problem(row: Row, bit: int, *, here: bool, sticky: bool = False) -> bool:
    problems: int = getattr(row, "problems")  # noqa: B009 -- executions have none and never come here
    return _set(
        row, "problems", problems | bit if here else problems if sticky else problems & ~bit
    )


def _blank(value: object) -> bool:
    return value is None or value == ""


def _set(row: Row, name: str, value: object) -> bool:
    if getattr(row, name) == value:
        return False
    setattr(row, name, value)
    return True
