"""The numbers of the broker's API for Prometheus, from Redis: every process says the same."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backoffice import health
from backoffice.investment_api.budget import Outlook, Urgency
from backoffice.investment_api.weather import OUTCOMES, Report
from backoffice.weather.reading import read


class WeatherCollector(Collector):
    """Reads what was noted of the calls; without Redis that of this process."""

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers; where they cannot be read only that."""
        now = timezone.now()
        reading = read(now=now)
        yield GaugeMetricFamily(
            "order_desk_api_readable",
            "1 if the numbers of the broker's API could be read",
            int(reading.report is not None),
        )
        if reading.outlook:
            yield from _of_the_budget(reading.outlook, now)
        if reading.report:
            yield from _of_the_calls(reading.report)


def _of_the_calls(report: Report) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "order_desk_api_requests", "Requests to the broker's API", labels=["urgency", "outcome"]
    )
    for urgency in Urgency:
        for outcome in OUTCOMES:
            n = (report.totals or {}).get((urgency.value, outcome), 0)
            requests.add_metric([urgency.value, outcome], n)
    yield requests
    yield GaugeMetricFamily(
        "order_desk_api_breaker_open",
        "1 while the broker does not answer and background work leaves it alone",
        int(report.outage is not None),
    )


def _of_the_budget(outlook: Outlook, now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "order_desk_api_background_share",
        "Requests per second that background work may use now",
        outlook.background,
    )
    yield GaugeMetricFamily(
        "order_desk_api_paused_seconds",
        "Seconds for which the broker wants no requests at all",
        _seconds_until(outlook.paused_until, now),
    )


def _seconds_until(moment: datetime | None, now: datetime) -> float:
    return max((moment - now).total_seconds(), 0) if moment else 0


health.registry.register(WeatherCollector())
