"""Items of a history -> rows of the history CSV. Pure. Source of the columns: ux.md, section 7."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from orders import actors
from orders.export.cells import Row, milliseconds, moment, number, optional
from orders.export.columns import (
    Column,
    Kind,
    between_sql,
    choice_sql,
    iso,
    row_of,
)
from orders.lifecycle import KNOWN_STATUSES
from orders.lifecycle import Kind as Object
from orders.timeline.items import Item, ItemKind, Remark
from orders.timeline.seen import Seen, Subject
from orders.timeline.sentences import message

IDENTITY, DESCRIBED = 4, 7  # cells


class Described(Protocol):
    """The columns that rows of both levels have."""

    account_id: UUID | None
    currency: str
    cash_amount: str
    client_reference: str


class Told(NamedTuple):
    """What a row is made of; ``identity`` has the cells before ``sequence``, ``described`` those of ``attributes``."""

    item: Item
    sequence: int
    identity: Row
    described: Row

    @property
    def is_event(self) -> bool:
        """Return whether a webhook is behind it."""
        return self.item.entry is not None and self.item.entry.source == "WEBHOOK"


def attributes(row: Described, *, type_: str, side: str = "", instrument_id: str = "") -> Row:
    """Return the cells from ``account_id`` to ``client_reference``: the same in all rows of an object."""
    return (
        optional(row.account_id),
        type_,
        side,
        instrument_id,
        row.currency,
        number(row.cash_amount),
        row.client_reference,
    )


def _identity(place: int, name: str, sql: str, kind: Kind = Kind.PLAIN) -> Column:
    return Column(name, lambda it: it.identity[place], sql, kind)


def _described(place: int, name: str, kind: Kind = Kind.TEXT, sql: str = "") -> Column:
    return Column(name, lambda it: it.described[place], sql or f"h.{name}", kind)


def _item(name: str, value: Callable[[Item], str], sql: str, kind: Kind = Kind.PLAIN) -> Column:
    return Column(name, lambda it: value(it.item), sql, kind)


def _event_type(it: Told) -> str:
    entry = it.item.entry
    return entry.type if entry and it.is_event else it.item.expected


def _said_again(type_: str) -> str:
    """Return what is said of an event that told a status again, where nothing else is to be said."""
    never = datetime.min.replace(tzinfo=UTC)
    entry = Seen(0, None, None, "WEBHOOK", "", None, None, None, type_, "", never, never, "", "")
    subject, remarks = Subject(Object.ORDER, UUID(int=0)), (Remark.SAID_AGAIN,)
    return message(Item(ItemKind.NOTE, subject, never, entry, remarks=remarks), UTC)


TYPES = [
    f"{topic}.{status}"
    for topic in (Object.ORDER, Object.PORTFOLIO_ORDER)
    for status in KNOWN_STATUSES
]
_AGAIN = choice_sql("h.type", {it: _said_again(it) for it in TYPES})
# SQL's forms are those of a plain story (``orders.export.histories``): of events alone, each in its time.
COLUMNS = (
    _identity(0, "portfolio_order_id", "COALESCE(h.parent::text, '')"),
    _identity(1, "portfolio_order_status", "h.parent_status", Kind.TEXT),
    _identity(2, "order_id", "COALESCE(h.order_id::text, '')"),
    _identity(3, "level", "CASE h.is_order WHEN 1 THEN 'order' ELSE 'portfolio_order' END"),
    # Orders without a portfolio order are numbered through: Python counts. So does it where a story is not plain.
    Column(
        "sequence",
        lambda it: str(it.sequence),
        "CASE WHEN h.is_plain AND h.parent IS NOT NULL THEN h.number::text END",
    ),
    _item(
        "entry_type",
        lambda it: str(it.kind),
        "CASE WHEN h.is_step THEN 'transition' ELSE 'note' END",
    ),
    _item("from_status", lambda it: it.from_status, "CASE WHEN h.is_step THEN h.before ELSE '' END"),
    _item(
        "to_status",
        lambda it: it.to_status,
        "CASE WHEN h.is_report THEN h.status ELSE '' END",
    ),
    _item("occurred_at", lambda it: moment(it.occurred_at), iso("h.occurred_at")),
    _item("recorded_at", lambda it: moment(it.recorded_at), iso("h.recorded_at")),
    _item(
        "delay_ms",
        lambda it: milliseconds(it.delay),
        between_sql("h.recorded_at", "h.occurred_at"),
        Kind.SUM,
    ),
    _item("source", lambda it: it.source, "h.source"),
    _item(
        "actor", lambda it: actors.person(it.entry) if it.entry else "", "h.actor", Kind.TEXT
    ),
    _item(
        "event_id",
        lambda it: optional(it.entry.event_id) if it.entry else "",
        "COALESCE(h.event_id::text, '')",
    ),
    Column("event_type", _event_type, "h.type"),
    Column(
        "deliveries",
        lambda it: str(it.item.deliveries) if it.is_event or it.item.expected else "",
        "(h.copies + 1)::text",
    ),
    _described(0, "account_id", Kind.PLAIN, "COALESCE(h.account_id::text, '')"),
    _described(1, "portfolio_order_type"),
    _described(2, "side"),
    _described(3, "instrument_id"),
    _described(4, "currency"),
    _described(5, "cash_amount", Kind.NUMBER),
    _described(6, "client_reference"),
    _item(
        "message",
        lambda it: message(it, UTC),
        f"CASE WHEN h.is_late OR h.message <> '' OR h.is_execution THEN NULL WHEN h.is_step THEN '' ELSE {_AGAIN} END",
        Kind.TEXT,
    ),
)  # fmt: skip


def entries(items: Iterable[Item], *, transitions_only: bool) -> Iterator[Item]:
    """Yield what has a row of its own.

    A step that an answer told instead of its webhook is a transition and, once the grace time is
    over, a missed webhook: the page shows both in one card.
    """
    for item in items:
        if item.kind is not ItemKind.MISSED_WEBHOOK:
            if not transitions_only or item.kind is ItemKind.TRANSITION:
                yield item
            continue
        if item.is_step:
            yield replace(item, kind=ItemKind.TRANSITION, expected="", is_waiting=False, told=None)
        if not item.is_waiting and not transitions_only:
            yield replace(item, entry=None, late=None, deliveries=0, remarks=())


def row(item: Item, sequence: int, identity: Row, described: Row) -> Row:
    """Return one row."""
    return row_of(COLUMNS, Told(item, sequence, identity, described))
