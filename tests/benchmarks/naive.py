"""What a first version would do with each event: get or create, set the newest status, save."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source

COLUMNS = (
    "portfolio_order_id", "order_id", "source", "outcome", "type", "status", "occurred_at",
    "recorded_at", "payload",
)  # fmt: skip
OBJECTS: dict[str, Any] = {
    "PORTFOLIO_ORDER": PortfolioOrder,
    "ORDER": Order,
    "EXECUTION": Execution,
}


def entry_of(event: Any) -> JournalEntry:
    """Return an event as a row of the journal."""
    upstream, now = event["object"], timezone.now()
    topic = event["type"].partition(".")[0]
    order_id = {"ORDER": upstream["id"], "EXECUTION": upstream.get("order_id")}.get(topic)
    return JournalEntry(
        event_id=UUID(event["id"]),
        portfolio_order_id=UUID(upstream["id"]) if topic == "PORTFOLIO_ORDER" else None,
        order_id=UUID(order_id) if order_id else None,
        source=Source.WEBHOOK,
        outcome=Outcome.PENDING,
        type=event["type"],
        status=upstream["status"],
        occurred_at=datetime.fromisoformat(upstream.get("updated_at") or event["created_at"]),
        recorded_at=now,
        payload=json.dumps(event).encode(),
    )


def store(event: Any) -> JournalEntry:
    """Store one event, once."""
    entry = entry_of(event)
    given = {name: getattr(entry, name) for name in COLUMNS}
    return JournalEntry.objects.get_or_create(event_id=entry.event_id, defaults=given)[0]


def apply(entry: JournalEntry) -> None:
    """Write what one event says to its row: locked, changed and saved in a transaction of its own."""
    event = json.loads(bytes(entry.payload))
    upstream, model = event["object"], OBJECTS[entry.type.partition(".")[0]]
    names = {field.name for field in model._meta.concrete_fields} - {"id", "order"}
    with transaction.atomic():
        blank = {"order_id": entry.order_id} if model is Execution else {}
        row, _ = model.objects.select_for_update().get_or_create(pk=upstream["id"], defaults=blank)
        if getattr(row, "updated_at", None) is None or row.updated_at <= entry.occurred_at:
            for name in names & upstream.keys() - {"executions"}:
                setattr(row, name, upstream[name])
            if "updated_at" in names:
                row.updated_at = entry.occurred_at
            row.save()
        entry.outcome, entry.applied_at = Outcome.APPLIED, timezone.now()
        entry.save()
