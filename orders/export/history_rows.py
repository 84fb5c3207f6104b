"""Items of a history -> rows of the history CSV. Pure. Source of the columns: ux.md, section 7."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC
from typing import Protocol
from uuid import UUID

from orders import actors
from orders.export.cells import Row, milliseconds, moment, number, optional
from orders.timeline.items import Item, ItemKind
from orders.timeline.sentences import message

COLUMNS = (
    "portfolio_order_id", "portfolio_order_status", "order_id", "level", "sequence", "entry_type",
    "from_status", "to_status", "occurred_at", "recorded_at", "delay_ms", "source", "actor",
    "event_id", "event_type", "deliveries", "account_id", "portfolio_order_type", "side",
    "instrument_id", "currency", "cash_amount", "client_reference", "message",
)  # fmt: skip


class Described(Protocol):
    """The columns that rows of both levels have."""

    account_id: UUID | None
    currency: str
    cash_amount: str
    client_reference: str


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
    """Return one row; ``identity`` has the cells before ``sequence``, ``described`` those of ``attributes``."""
    entry = item.entry
    is_event = entry is not None and entry.source == "WEBHOOK"
    return (
        *identity,
        str(sequence),
        item.kind,
        item.from_status,
        item.to_status,
        moment(item.occurred_at),
        moment(item.recorded_at),
        milliseconds(item.delay),
        item.source,
        actors.person(entry) if entry else "",
        optional(entry.event_id) if entry else "",
        entry.type if entry and is_event else item.expected,
        str(item.deliveries) if is_event or item.expected else "",
        *described,
        message(item, UTC),
    )
