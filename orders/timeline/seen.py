"""What a history is built from: journal entries without their payload, and the objects they are about. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from orders.lifecycle import Kind

WEBHOOK = "WEBHOOK"  # the source of what upstream sent by itself; those of orders.tracked.Source
STAFF = "STAFF"  # the source of what staff did, and of what upstream answered to it
PLACEMENT = "PLACEMENT"  # the type of the steps of a placement
CANCELLATION = "CANCELLATION"  # the type of the steps of a cancellation, about its order


class Seen(NamedTuple):
    """A journal entry without its payload; the fields are the columns of ``orders.models.JournalEntry``."""

    id: int
    portfolio_order_id: UUID | None
    order_id: UUID | None
    source: str
    outcome: str
    event_id: UUID | None
    repeat_of: UUID | None
    delivery_id: int | None
    type: str
    status: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    message: str
    placement_id: UUID | None = None


class Asked(NamedTuple):
    """How often an object was asked about, how many of these asks were polls, and the last of them."""

    times: int
    polls: int
    last: Seen | None


class Trade(NamedTuple):
    """What an EXECUTION event says of its execution; texts as upstream wrote them, "" where it says nothing."""

    side: str
    quantity: str
    price: str
    amount: str
    tax: str
    currency: str
    settles_on: str


class Listed(NamedTuple):
    """A line of a portfolio order's list of orders, and the entry that brought it."""

    order_id: UUID
    status: str
    entry: Seen


class Told(NamedTuple):
    """The first entry, by ``recorded_at``, that showed an object at or past a status."""

    entry: Seen
    status: str  # that it showed, of the object in question
    is_listing: bool  # it is about the portfolio order, and lists the order


@dataclass(frozen=True, slots=True)
class Subject:
    """What the history needs to know of one portfolio order or order."""

    kind: Kind
    id: UUID
    status: str = ""
    created_at: datetime | None = None
    ended_at: datetime | None = None  # see orders.fills
    processing_at: datetime | None = None
    announced: str = ""
    instrument_id: str = ""
    side: str = ""
    is_reversed: bool = False  # filled, and an execution was cancelled since

    @property
    def is_order(self) -> bool:
        """Return whether it is an order, not a portfolio order."""
        return self.kind is Kind.ORDER


@dataclass(frozen=True, slots=True)
class Rules:
    """Now, and the limits from which a webhook counts as missed or late.

    Nothing is expected of an object created before ``first_webhook_at``, or of any before the first.
    """

    now: datetime
    gap_grace: timedelta
    late_after: timedelta
    first_webhook_at: datetime | None
