"""The numbers of orders and of the journal for Prometheus, from the database: every process says the same."""

import logging
from collections.abc import Iterator
from typing import Any

from django.db import Error as DatabaseTrouble
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backoffice import health
from backoffice.together import Rows, ask, first
from orders import intake
from orders.models import (
    Cancellation,
    JournalEntry,
    Order,
    Outcome,
    Placement,
    PlacementState,
    PortfolioOrder,
)

logger = logging.getLogger(__name__)


class OrdersCollector(Collector):
    """Reads all of its numbers with one statement, answered from indexes."""

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; without a database only that there is none."""
        now = timezone.now()
        try:
            held: dict[str, Any] | None = ask(**_questions(now))
        except DatabaseTrouble as error:
            logger.warning("No metrics of orders: %s: %s", type(error).__name__, error)
            held = None
        yield GaugeMetricFamily(
            "order_desk_orders_readable",
            "1 if the numbers of orders could be read",
            int(bool(held)),
        )
        if held is None:
            return
        for name, text in AGES.items():
            since = held.pop(f"{name}_since")
            seconds = max((now - since).total_seconds(), 0) if since else 0
            yield GaugeMetricFamily(f"order_desk_{name}_seconds", text, seconds)
        for name, text in TEXTS.items():
            yield GaugeMetricFamily(f"order_desk_{name}", text, held[name])


AGES = {
    "unread": "Age of the oldest delivery that is stored and not read yet",
    "pending": "Age of the head of the queue of entries",
    "placements_unknown": "Age of the oldest placement without a confirmed result, from its first attempt on",
    "cancellations": "Age of the oldest cancellation under way",
}
TEXTS = {
    "unread": "Deliveries that are stored and not read yet",
    "pending": "Journal entries that wait to be applied",
    "quarantined": "Journal entries that could not be applied",
    "open": "Portfolio orders that are new or processing",
    "stale": "Stale portfolio orders: unchanged for longer than expected",
    "due": "Portfolio orders and orders to ask the broker about now",
    "overdue": "Those that have been due for more than 5 minutes: the poller is dead or too slow",
    "placements_proposed": "Placements that wait for another person's approval",
    "placements_ready": "Placements that are to be sent for the first time",
    "placements_unknown": "Placements sent, without a confirmed result",
    "cancellations": "Cancellations that are to be sent, or taken and not ended yet",
}


def _questions(now: Any) -> dict[str, Any]:
    entries, orders = JournalEntry.objects, PortfolioOrder.objects
    pending = entries.filter(outcome=Outcome.PENDING)
    placements = Placement.objects
    unknown = placements.of_unknown_fate(now=now)
    cancelling = Cancellation.objects.filter(next_attempt_at__isnull=False)
    return {
        **intake.questions(),
        "placements_proposed": Rows(placements.filter(state=PlacementState.PROPOSED)),
        "placements_ready": Rows(placements.filter(state=PlacementState.READY)),
        "placements_unknown": Rows(unknown),
        "placements_unknown_since": first(unknown.order_by("submitted_at"), "first_sent_at"),
        "cancellations": Rows(cancelling),
        "cancellations_since": first(cancelling.order_by("requested_at"), "requested_at"),
        "pending": Rows(pending),
        "pending_since": first(pending.order_by("occurred_at", "id"), "recorded_at"),
        "quarantined": Rows(entries.filter(outcome=Outcome.QUARANTINED)),
        "open": Rows(orders.filter(status__in=["NEW", "PROCESSING"])),
        "stale": Rows(orders.stale(now=now)),
        "due": Rows(orders.due(now=now)) + Rows(Order.objects.due(now=now)),
        "overdue": Rows(orders.overdue(now=now)) + Rows(Order.objects.overdue(now=now)),
    }


health.registry.register(OrdersCollector())
