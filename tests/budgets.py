"""What tests of the budget need: a clock of their own, and all that is left of it."""

import os
from datetime import timedelta

import pytest

from backoffice.investment_api.errors import UnavailableError

HOUR = timedelta(hours=1)
NOT_AT_ALL = timedelta()

needs_redis = pytest.mark.skipif(
    not os.environ.get("TEST_REDIS_URL"), reason="needs a Redis: set TEST_REDIS_URL"
)


class Clock:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def taken(budget, urgency):
    """Take without waiting until nothing is left; return how many there were."""
    for count in range(1000):
        try:
            budget.take(urgency, timeout=NOT_AT_ALL)
        except UnavailableError:
            return count
    raise AssertionError("there is no limit")
