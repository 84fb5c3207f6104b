"""Entries on their way into the journal: light rows with the columns of ``orders.models.JournalEntry``.

A webhook event or an answer becomes one, is applied, and is then written once, with its outcome.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from orders.models import Outcome
from orders.tracked import Source


class Entry(Protocol):
    """What is needed to apply an entry, stored or new."""

    pk: Any
    portfolio_order_id: UUID | None
    order_id: UUID | None
    source: Any
    outcome: Any
    event_id: UUID | None
    repeat_of: UUID | None
    type: str
    occurred_at: datetime
    recorded_at: datetime
    applied_at: datetime | None
    message: str
    payload: Any


@dataclass(slots=True, eq=False)
class NewEntry:
    """An event or answer that is not stored yet. ``value`` is the parsed ``payload``, or what is damaged of it."""

    delivery_id: int | None
    event_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    payload: bytes = b""
    value: Any = None
    type: str = ""
    status: str = ""
    message: str = ""
    portfolio_order_id: UUID | None = None
    order_id: UUID | None = None
    repeat_of: UUID | None = None
    outcome: Outcome = Outcome.PENDING
    applied_at: datetime | None = None
    source: Source = Source.WEBHOOK
    actor: str = ""
    placement_id: UUID | None = None
    pk: None = None
