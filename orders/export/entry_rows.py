"""Journal entries -> rows of the journal CSV. Pure."""

from orders import actors
from orders.export.cells import Row, milliseconds, moment, optional
from orders.models import JournalEntry
from orders.tracked import Source

COLUMNS = (
    "entry_id", "recorded_at", "occurred_at", "delay_ms", "source", "outcome", "type", "status",
    "actor", "message", "portfolio_order_id", "order_id", "placement_id", "event_id", "repeat_of",
    "delivery_id", "applied_at",
)  # fmt: skip


def row(it: JournalEntry) -> Row:
    """Return one row; ``delay_ms`` is how long after the fact an event came."""
    is_event = it.source == Source.WEBHOOK
    return (
        str(it.pk),
        moment(it.recorded_at),
        moment(it.occurred_at),
        milliseconds(it.recorded_at - it.occurred_at) if is_event else "",
        it.source,
        it.outcome,
        it.type,
        it.status,
        actors.person(it),
        it.message,
        optional(it.portfolio_order_id),
        optional(it.order_id),
        optional(it.placement_id),
        optional(it.event_id),
        optional(it.repeat_of),
        optional(it.delivery_id),
        moment(it.applied_at),
    )
