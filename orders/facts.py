"""Upstream's payloads -> descriptions, facts and names. Pure, and the only reader of upstream's objects.

Source: investment-api.md, sections 2.2, 3.1 to 3.3, 4.2.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar, cast
from uuid import UUID, uuid5

from backoffice.foreign_json import TOO_DEEP
from backoffice.moments import AHEAD, sane
from orders.attributes import (
    CURRENT,
    FIXED,
    NAMES,
    NOTHING,
    WORD,
    Column,
    UnreadableError,
    clean,
    lines,
    moment,
    shown,
    uuid,
    word,
)
from orders.fold import Fact, Listing, key_of
from orders.lifecycle import KNOWN_STATUSES, Kind

NAMELESS = UUID("5f0b7c52-1f8e-4f0e-9a53-6c1f5a3d7c11")  # namespace of events without a usable id
CANCELLATION, REBALANCING = "ORDER_CANCELLATION", "REBALANCING_EXECUTION_ORDER"
REASONS = ("reason", "rejection_reason", "detail")  # of a refused cancellation: not documented
OF_PORTFOLIO_ORDERS = frozenset({"orders", "allocation_id"})  # what no other object has

_Line = TypeVar("_Line")
# Kind, id, the order of an execution, key -> the attributes of such a fact that may count; None: all.
Wants = Callable[[Kind, UUID, UUID | None, str], Collection[str] | None]


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

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Return the attributes that could not be read, those of an execution with its id."""
        return tuple(
            name if fact is self.facts[0] else f"{name} of execution {str(fact.id)[:8]}"
            for fact in self.facts
            for name in fact.unreadable
        )


def tie(event_id: UUID | None, payload: bytes) -> str:
    """Return what tells two facts of the same rank and version apart, whatever came first."""
    return str(event_id) if event_id else hashlib.sha256(payload).hexdigest()[:36]


def dump(value: object) -> bytes:
    """Return ``value`` as the JSON bytes we keep: ASCII, so that every database takes them."""
    try:
        return json.dumps(value).encode("ascii")
    except RecursionError:
        raise UnreadableError(f"it is {TOO_DEEP}") from None


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
    return clean(claimed, WORD) if isinstance(claimed, str) else ""


def created_at(event: object, *, default: datetime) -> datetime:
    """Return when an event was created, where that much can be told; ``default`` is when we learned it."""
    return _moment_or(event, "created_at", default) if isinstance(event, dict) else default


def describe_event(event: object, *, now: datetime) -> Description:
    """Return what a webhook event is about; raise UnreadableError where that cannot be told."""
    if not isinstance(event, dict):
        raise UnreadableError("the event is not a JSON object")
    type_ = word(event, "type")
    if not type_:
        raise UnreadableError("the event has no type")
    if topic(type_) not in SUBJECTS:
        return Description(type_, "", created_at(event, default=now), None, None)
    if not isinstance(event.get("object"), dict):
        raise UnreadableError(f"the {type_} event has no object")
    created = created_at(event, default=now)
    return _describe(type_, event["object"], default=created, now=now)


def describe_answer(kind: Kind, answer: object, *, now: datetime) -> Description:
    """Return what an answer of the API is about; raise UnreadableError where that cannot be told."""
    if not isinstance(answer, dict):
        raise UnreadableError("the answer is not a JSON object")
    return _describe(kind, answer, default=now, now=now)


def read(
    value: Any,
    *,
    type_: str,
    version: datetime,
    is_answer: bool,
    tie: str,
    known_at: datetime,
    wants: Wants | None = None,
) -> Reading:
    """Return all that a payload says, parsed, without a fact where its topic has none.

    ``version`` is the entry's ``occurred_at``, ``known_at`` its ``recorded_at``. Raises
    UnreadableError without an id or a status; any other attribute is read by itself. ``wants``
    says which attributes of a fact are read; without it all are.
    """
    upstream = value if is_answer else value.get("object") if isinstance(value, dict) else None
    if not isinstance(upstream, dict):
        raise UnreadableError("it has no object")
    reader = READERS.get(topic(type_))
    if reader is None:
        return Reading()
    stamp = _Stamp(sane(version, known_at) or known_at, is_answer, tie, known_at, wants)
    facts, listings, named = reader(upstream, stamp)
    word = "" if is_answer or topic(type_) == Kind.EXECUTION else type_.rpartition(".")[2].upper()
    return Reading(facts, listings, named, word if word in KNOWN_STATUSES else "")


_Columns = Sequence[tuple[str, str, Column, object]]


def _told(columns: Mapping[str, Column]) -> _Columns:
    """Return columns with upstream's name of each and what it is where nothing is told."""
    return [
        (name, NAMES.get(name, name), read, NOTHING.get(read, "")) for name, read in columns.items()
    ]


def _wanted(columns: _Columns, names: Collection[str] | None) -> _Columns:
    if names is None:
        return columns
    return [it for it in columns if it[0] in names] if names else ()


_FIXED = {kind: _told(columns) for kind, columns in FIXED.items()}
_CURRENT = {kind: _told(columns) for kind, columns in CURRENT.items()}


@dataclass(frozen=True, slots=True)
class _Stamp:
    version: datetime
    is_answer: bool
    tie: str
    known_at: datetime
    wants: Wants | None

    def fact(
        self,
        kind: Kind,
        upstream: Mapping[str, Any],
        *,
        odd: Sequence[str] = (),
        order_id: UUID | None = None,
    ) -> Fact:
        """Return a fact with what can be read; ``odd`` are lists with lines that could not be."""
        pk, status = uuid(upstream, "id", required=True), _status(kind, upstream)
        key = key_of(kind, status, self.version, self.tie, is_answer=self.is_answer)
        names = self.wants(kind, pk, order_id, key) if self.wants else None
        fixed, odd_fixed = self._read(_wanted(_FIXED[kind], names), upstream)
        current, odd_current = self._read(_wanted(_CURRENT[kind], names), upstream)
        return Fact(
            kind=kind,
            id=pk,
            status=status,
            version=self.version,
            is_answer=self.is_answer,
            tie=self.tie,
            fixed=fixed,
            current=current,
            order_id=order_id,
            unreadable=(*odd_fixed, *odd_current, *odd),
        )

    def _read(
        self, columns: _Columns, upstream: Mapping[str, Any]
    ) -> tuple[dict[str, object], list[str]]:
        read: dict[str, object] = {}
        odd = []
        for name, told, column, nothing in columns:
            if upstream.get(told) is None:  # as most are, and as every reader has it
                read[name] = nothing
                continue
            try:
                value = column(upstream, told)
            except UnreadableError:
                odd.append(told)
            else:
                read[name] = self._known(value) if isinstance(value, date) else value
        return read, odd

    def _known(self, value: date) -> date | None:
        """Return a moment or a day; None for one that cannot have been known when it was told."""
        if isinstance(value, datetime):
            return sane(value, self.known_at)
        return value if value <= (self.known_at + AHEAD).date() else None


_Said = tuple[tuple[Fact, ...], tuple[Listing, ...], tuple[UUID, ...]]


def _describe(
    type_: str, upstream: Mapping[str, Any], *, default: datetime, now: datetime
) -> Description:
    portfolio_order_id, order_id = SUBJECTS[topic(type_)](upstream)
    return Description(
        type=type_,
        status=_status_or_blank(upstream),
        occurred_at=_moment_or(upstream, "updated_at", default, known_at=now),
        portfolio_order_id=portfolio_order_id,
        order_id=order_id,
        reason=_reason(upstream) if topic(type_) == CANCELLATION else "",
    )


def _reason(rejected: Mapping[str, Any]) -> str:
    texts = (rejected.get(name) for name in REASONS)
    return next((clean(it, 400).strip() for it in texts if isinstance(it, str) and it.strip()), "")


def _read_portfolio_order(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    listed, odd = _each(upstream, "orders", _listed)
    fact = stamp.fact(Kind.PORTFOLIO_ORDER, upstream, odd=odd)
    listings = tuple(
        Listing(
            order_id=order_id,
            portfolio_order_id=fact.id,
            status=status,
            side=side,
            fact=fact.key,
        )
        for order_id, status, side in listed
    )
    return (fact,), listings, ()


def _listed(line: Mapping[str, Any]) -> tuple[tuple[UUID, str, str], bool]:
    """Return what a line says of an order, and whether that is whole: it needs but an id to be one."""
    order_id, odd = uuid(line, "id", required=True), False
    said = {"status": "", "side": ""}
    for name in said:
        try:
            said[name] = word(line, name)
        except UnreadableError:
            odd = True
    return (order_id, said["status"], said["side"]), bool(said["status"]) and not odd


def _read_order(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    order_id = uuid(upstream, "id", required=True)
    executions, odd = _each(
        upstream,
        "executions",
        lambda line: (stamp.fact(Kind.EXECUTION, line, order_id=order_id), True),
    )
    return (stamp.fact(Kind.ORDER, upstream, odd=odd), *executions), (), ()


def _read_execution(upstream: Mapping[str, Any], stamp: _Stamp) -> _Said:
    order_id = uuid(upstream, "order_id", required=True)
    return (stamp.fact(Kind.EXECUTION, upstream, order_id=order_id),), (), (order_id,)


def _each(
    upstream: Mapping[str, Any],
    name: str,
    read_line: Callable[[Mapping[str, Any]], tuple[_Line, bool]],
) -> tuple[list[_Line], Sequence[str]]:
    """Return the lines of a list that can be read, and its name where that is not all of it."""
    found = []
    objects, is_whole = lines(upstream, name)
    for line in objects:
        try:
            said, line_is_whole = read_line(line)
        except UnreadableError:
            is_whole = False
            continue
        found.append(said)
        is_whole &= line_is_whole
    return found, () if is_whole else (name,)


READERS = {
    "PORTFOLIO_ORDER": _read_portfolio_order,
    "ORDER": _read_order,
    "EXECUTION": _read_execution,
}


def _subject_of_cancellation(upstream: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    """Return what a refused cancellation is about: what it names, else the object that it is.

    Its fields are not documented; an id of its own names nothing where another field names something.
    """
    for name in ("order", "portfolio_order"):
        if named := _named_in_cancellation(upstream, name):
            return (None, named) if name == "order" else (named, None)
    own = uuid(upstream, "id", required=True)
    return (own, None) if OF_PORTFOLIO_ORDERS & upstream.keys() else (None, own)


def _named_in_cancellation(upstream: Mapping[str, Any], name: str) -> UUID | None:
    """Return the id that stands under ``order_id``, under ``order``, or in the object there."""
    inner = upstream.get(name)
    nested = _uuid_or_none(inner, "id") if isinstance(inner, dict) else None
    return _uuid_or_none(upstream, f"{name}_id") or nested or _uuid_or_none(upstream, name)


# Topic -> (portfolio_order_id, order_id) of what an entry is about; at most one is set.
SUBJECTS: dict[str, Callable[[Mapping[str, Any]], tuple[UUID | None, UUID | None]]] = {
    "PORTFOLIO_ORDER": lambda it: (uuid(it, "id", required=True), None),
    "ORDER": lambda it: (None, uuid(it, "id", required=True)),
    "EXECUTION": lambda it: (None, uuid(it, "order_id", required=True)),
    CANCELLATION: _subject_of_cancellation,
    REBALANCING: lambda it: (uuid(it, "portfolio_order_id", required=True), None),
}


def _status(kind: Kind, upstream: Mapping[str, Any]) -> str:
    status = word(upstream, "status")
    if not status:
        noun, pk = kind.lower().replace("_", " "), upstream.get("id")
        named = f"{noun} {shown(pk)}" if pk else noun
        raise UnreadableError(f"the {named} has no status")
    return status


def _status_or_blank(upstream: Mapping[str, Any]) -> str:
    """Return the status, or "": a bad one is told when the entry is read, with its subject known."""
    try:
        return word(upstream, "status")
    except UnreadableError:
        return ""


def _uuid_or_none(upstream: Mapping[str, Any], name: str) -> UUID | None:
    try:
        return cast("UUID | None", uuid(upstream, name))
    except UnreadableError:
        return None


def _moment_or(
    upstream: Mapping[str, Any], name: str, default: datetime, *, known_at: datetime | None = None
) -> datetime:
    """Return a moment, or ``default`` where it is unknown; a bad one is told when the entry is read."""
    try:
        found = moment(upstream, name)
    except UnreadableError:
        return default
    return (found and sane(found, known_at or default)) or default
