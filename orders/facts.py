"""Upstream's payloads -> descriptions, facts and names. Pure, and the only reader of upstream's objects.

Source: investment-api.md, sections 2.2, 3.1 to 3.3, 4.2.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from orders.attributes import CURRENT, FIXED, UnreadableError, clean, lines, moment, uuid
from orders.fold import Fact, Listing
from orders.lifecycle import KNOWN_STATUSES, Kind

NAMELESS = UUID("5f0b7c52-1f8e-4f0e-9a53-6c1f5a3d7c11")  # namespace of events without a usable id
CANCELLATION, REBALANCING = "ORDER_CANCELLATION", "REBALANCING_EXECUTION_ORDER"
REASONS = ("reason", "rejection_reason", "detail")  # of a refused cancellation: not documented


@dataclass(frozen=True, slots=True)
class Description:
    """What an entry is about and when it happened, before anything is folded."""

    type: str
    status: str
    occurred_at: datetime
    portfolio_order_id: UUID | None
    order_id: UUID | None
    reason: str = ""  # why upstream could not cancel, where it says so

    @property
    def is_modelled(self) -> bool:
        """Return whether the topic is one that we keep state for."""
        return topic(self.type) in SUBJECTS


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one payload says: facts, lines of a list, orders that are only named, the word announced."""

    facts: tuple[Fact, ...] = ()
    listings: tuple[Listing, ...] = ()
    named: tuple[UUID, ...] = ()
    announced: str = ""


def tie(event_id: UUID | None, payload: bytes) -> str:
    """Return what tells two facts of the same rank and version apart, whatever came first."""
    return str(event_id) if event_id else hashlib.sha256(payload).hexdigest()[:36]


def dump(value: object) -> bytes:
    """Return ``value`` as the JSON bytes we keep: ASCII, so that every database takes them."""
    try:
        return json.dumps(value).encode("ascii")
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None


def event_id(member: object, text: bytes) -> UUID:
    """Return the id of an event; made from its ``text`` where it has none, so that repeats are recognised."""
    claimed = member.get("id") if isinstance(member, dict) else None
    try:
        return UUID(claimed)
    except (AttributeError, TypeError, ValueError):
        return uuid5(NAMELESS, hashlib.sha256(text).hexdigest())


def topic(type_: str) -> str:
    """Return the topic of an event type: ``ORDER`` of ``ORDER.FILLED``."""
    return type_.partition(".")[0].upper()


def type_of(event: object) -> str:
    """Return the type of an event that cannot be read, where that much can be told."""
    claimed = event.get("type") if isinstance(event, dict) else None
    return clean(claimed, 64) if isinstance(claimed, str) else ""


def created_at(event: object, *, default: datetime) -> datetime:
    """Return when an event that cannot be read was created, where that much can be told."""
    return _moment_or(event, "created_at", default) if isinstance(event, dict) else default


def describe_event(event: object, *, now: datetime) -> Description:
    """Return what a webhook event is about; raise UnreadableError where that cannot be told."""
    if not isinstance(event, dict):
        raise UnreadableError("the event is not a JSON object")
    type_ = clean(event.get("type"), 64)
    if not type_:
        raise UnreadableError("the event has no type")
    if topic(type_) not in SUBJECTS:
        return Description(type_, "", created_at(event, default=now), None, None)
    if not isinstance(event.get("object"), dict):
        raise UnreadableError(f"the {type_} event has no object")
    return _describe(type_, event["object"], default=created_at(event, default=now))


def describe_answer(kind: Kind, answer: object, *, now: datetime) -> Description:
    """Return what an answer of the API is about; raise UnreadableError where that cannot be told."""
    if not isinstance(answer, dict):
        raise UnreadableError("the answer is not a JSON object")
    return _describe(kind, answer, default=now)


def read(
    payload: bytes,
    *,
    type_: str,
    version: datetime,
    is_answer: bool,
    tie: str,
    order_id: UUID | None,
) -> Reading:
    """Return all that a stored payload says; ``version`` is the entry's ``occurred_at``."""
    value = json.loads(payload, parse_float=str)
    upstream = value if is_answer else value["object"]
    reader = READERS.get(topic(type_))
    if reader is None:
        return Reading(named=(order_id,) if order_id else ())
    facts, listings, named = reader(upstream, _Stamp(version, is_answer, tie))
    word = "" if is_answer or topic(type_) == Kind.EXECUTION else type_.rpartition(".")[2].upper()
    return Reading(facts, listings, named, word if word in KNOWN_STATUSES else "")


@dataclass(frozen=True, slots=True)
class _Stamp:
    version: datetime
    is_answer: bool
    tie: str

    def fact(self, kind: Kind, upstream: Mapping[str, Any], **more: UUID | None) -> Fact:
        return Fact(
            kind=kind,
            id=uuid(upstream, "id", required=True),
            status=_status(kind, upstream),
            version=self.version,
            is_answer=self.is_answer,
            tie=self.tie,
            fixed={name: column(upstream, name) for name, column in FIXED[kind].items()},
            current={name: column(upstream, name) for name, column in CURRENT[kind].items()},
            **more,
        )


_Said = tuple[tuple[Fact, ...], tuple[Listing, ...], tuple[UUID, ...]]


def _describe(type_: str, upstream: Mapping[str, Any], *, default: datetime) -> Description:
    portfolio_order_id, order_id = SUBJECTS[topic(type_)](upstream)
    return Description(
        type=type_,
        status=_status_or_blank(upstream),
        occurred_at=_moment_or(upstream, "updated_at", default),
        portfolio_order_id=portfolio_order_id,
        order_id=order_id,
        reason=_reason(upstream) if topic(type_) == CANCELLATION else "",
    )


def _reason(rejected: Mapping[str, Any]) -> str:
    texts = (rejected.get(name) for name in REASONS)
    return next((clean(it, 400).strip() for it in texts if isinstance(it, str) and it.strip()), "")


def _read_portfolio_order(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    fact = stamp.fact(Kind.PORTFOLIO_ORDER, upstream)
    listings = tuple(
        Listing(
            order_id=uuid(line, "id", required=True),
            portfolio_order_id=fact.id,
            status=_status(Kind.ORDER, line),
            side=clean(line.get("side"), 8),
        )
        for line in lines(upstream, "orders")
    )
    return (fact,), listings, ()


def _read_order(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    fact = stamp.fact(Kind.ORDER, upstream)
    executions = (
        stamp.fact(Kind.EXECUTION, line, order_id=fact.id) for line in lines(upstream, "executions")
    )
    return (fact, *executions), (), ()


def _read_execution(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    order_id = uuid(upstream, "order_id", required=True)
    return (stamp.fact(Kind.EXECUTION, upstream, order_id=order_id),), (), (order_id,)


READERS = {
    "PORTFOLIO_ORDER": _read_portfolio_order,
    "ORDER": _read_order,
    "EXECUTION": _read_execution,
}

# Topic -> (portfolio_order_id, order_id) of what an entry is about; at most one is set.
SUBJECTS: dict[str, Callable[[Mapping[str, Any]], tuple[UUID | None, UUID | None]]] = {
    "PORTFOLIO_ORDER": lambda it: (uuid(it, "id", required=True), None),
    "ORDER": lambda it: (None, uuid(it, "id", required=True)),
    "EXECUTION": lambda it: (None, uuid(it, "order_id", required=True)),
    CANCELLATION: lambda it: (None, uuid(it, "order_id") or uuid(it, "id", required=True)),
    REBALANCING: lambda it: (uuid(it, "portfolio_order_id", required=True), None),
}


def _status(kind: Kind, upstream: Mapping[str, Any]) -> str:
    status = clean(upstream.get("status"), 32)
    if not status:
        raise UnreadableError(
            f"the {kind.lower().replace('_', ' ')} {upstream.get('id')} has no status"
        )
    return status


def _status_or_blank(upstream: Mapping[str, Any]) -> str:
    """Return the status, or "": a bad one is told when the entry is read, with its subject known."""
    try:
        return clean(upstream.get("status"), 32)
    except UnreadableError:
        return ""


def _moment_or(upstream: Mapping[str, Any], name: str, default: datetime) -> datetime:
    """Return a moment, or ``default``: a bad one is told when the entry is read, with its subject known."""
    try:
        return moment(upstream, name) or default
    except UnreadableError:
        return default
