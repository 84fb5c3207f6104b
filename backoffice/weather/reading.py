"""The weather as it can be read now: what was noted in the last hour, and how the budget stands."""

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from backoffice.investment_api.budget import Outlook
from backoffice.investment_api.client import api
from backoffice.investment_api.weather import Failure, Report
from backoffice.panels import recent
from backoffice.weather.condition import Condition, condition, unset

RECENT = "weather"  # what it is remembered as


@dataclass(frozen=True, slots=True)
class Recent:
    """What Today tells of the weather; ``failure`` is the last call that was not answered well."""

    condition: Condition
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The weather at a moment; ``report`` is None where the counters are not to be had, ``outlook`` without an API."""

    condition: Condition
    report: Report | None = None
    outlook: Outlook | None = None


def recent_weather() -> Recent:
    """Return how it stands and the last failure, as they were a few seconds ago at most."""
    return recent(RECENT, _read_now)


def _read_now() -> Recent:
    reading = read(now=timezone.now())
    return Recent(reading.condition, reading.report.failure if reading.report else None)


def read(*, now: datetime) -> Reading:
    """Read the weather: two round trips to Redis, bounded in time, and no query."""
    try:
        client = api()
    except ImproperlyConfigured as error:
        return Reading(unset(str(error)))
    report, outlook = client.weather.report(now=now), client.budget.outlook()
    return Reading(condition(report, outlook, now=now), report, outlook)
