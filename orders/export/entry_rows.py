"""Journal entries -> rows of the journal CSV. Pure."""

from typing import NamedTuple

from orders import actors
from orders.export.cells import Row, milliseconds
from orders.export.columns import (
    Column,
    Kind,
    between_sql,
    certain_moment,
    ident,
    listed,
    moment,
    quoted,
    row_of,
    text,
)
from orders.models import JournalEntry
from orders.tracked import Source

# Of steps that the desk may have taken by itself the sentence says who did it: Python reads it.
BY_ITSELF = " OR ".join(
    f"j.type = {quoted(type_)} AND j.status IN {listed(words)}"
    for type_, words in actors.BY_ITSELF.items()
)
PERSON = (
    "CASE WHEN j.actor = '' OR j.source <> 'STAFF' THEN j.actor WHEN j.outcome <> 'NOTED' THEN '' "
    f"WHEN {BY_ITSELF} THEN NULL ELSE j.actor END"
)
DELAY = f"CASE WHEN j.source = 'WEBHOOK' THEN {between_sql('j.recorded_at', 'j.occurred_at')} ELSE '' END"


class Entry(NamedTuple):
    """What a row is made of."""

    j: JournalEntry


def _delay(it: Entry) -> str:
    """Return how long after the fact an event came."""
    is_event = it.j.source == Source.WEBHOOK
    return milliseconds(it.j.recorded_at - it.j.occurred_at) if is_event else ""


COLUMNS = (
    ident("entry_id", "j.id"),
    certain_moment("recorded_at", "j.recorded_at"),
    certain_moment("occurred_at", "j.occurred_at"),
    Column("delay_ms", _delay, DELAY, Kind.SUM),
    text("source", "j.source"),
    text("outcome", "j.outcome"),
    text("type", "j.type"),
    text("status", "j.status"),
    Column("actor", lambda it: actors.person(it.j), PERSON, Kind.TEXT),
    text("message", "j.message"),
    ident("portfolio_order_id", "j.portfolio_order_id"),
    ident("order_id", "j.order_id"),
    ident("placement_id", "j.placement_id"),
    ident("event_id", "j.event_id"),
    ident("repeat_of", "j.repeat_of"),
    ident("delivery_id", "j.delivery_id"),
    moment("applied_at", "j.applied_at"),
)


def row(it: JournalEntry) -> Row:
    """Return the row of an entry."""
    return row_of(COLUMNS, Entry(it))
