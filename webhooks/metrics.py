"""The numbers of the webhook feed for Prometheus, from the database: every process says the same."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backoffice import health
from backoffice.together import Rows, ask
from webhooks.models import Delivery, Verdict
from webhooks.subscriptions import watch
from webhooks.subscriptions.condition import Learned, State, condition

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)


class FeedCollector(Collector):
    """Reads all of its numbers with one statement, answered from indexes."""

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; without a database only that there is none."""
        now = timezone.now()
        recent = Delivery.objects.filter(received_at__gte=now - HOUR)
        counts = {verdict.value: Rows(recent.filter(verdict=verdict)) for verdict in Verdict}
        try:
            held = ask(**counts, **watch.questions())
        except DatabaseTrouble as error:
            logger.warning("No metrics of the feed: %s: %s", type(error).__name__, error)
            held = {}
        yield GaugeMetricFamily(
            "order_desk_feed_readable",
            "1 if the numbers of the feed could be read",
            int(bool(held)),
        )
        if not held:
            return
        if last_at := held["last_at"]:
            age = max((now - last_at).total_seconds(), 0)
            yield GaugeMetricFamily(
                "order_desk_last_webhook_seconds", "Age of the last signed delivery", age
            )
        deliveries = GaugeMetricFamily(
            "order_desk_deliveries_last_hour", "Deliveries of the last hour", labels=["verdict"]
        )
        for verdict in Verdict:
            deliveries.add_metric([verdict.value.lower()], held[verdict.value])
        yield deliveries
        yield from _of_the_watch(watch.learned_from(held), now)


def _of_the_watch(learned: Learned, now: datetime) -> Iterator[Metric]:
    it = condition(learned, url=settings.WEBHOOK_PUBLIC_URL, now=now)
    yield GaugeMetricFamily(
        "order_desk_feed_alarm",
        "1 while our subscription is not as it should be, unchecked, or the feed is silent",
        int(it.is_alarm),
    )
    states = GaugeMetricFamily(
        "order_desk_feed_state", "1 for the state that the feed is in", labels=["state"]
    )
    for state in State:
        states.add_metric([state.lower()], int(state is it.state))
    yield states
    if learned.listed_at:
        age = max((now - learned.listed_at).total_seconds(), 0)
        yield GaugeMetricFamily(
            "order_desk_feed_checked_seconds", "Age of the last check of our subscription", age
        )


health.registry.register(FeedCollector())
