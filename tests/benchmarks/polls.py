"""Polls per second against an upstream that takes 50 ms to answer, within the budget.

    [TEST_DATABASE_URL=postgres://...] python -m tests.benchmarks.polls

The sandbox answers, in a thread of this process. Floor: a bare GET of the same address by as many
threads. Naive form: one poll after the other.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import requests
from django.conf import settings
from django.utils import timezone

from backoffice.investment_api.client import forget_api
from backoffice.sandbox import Sandbox
from backoffice.sandbox.placements import Placement
from orders import journal, projection
from orders.asking import checking, polling
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from orders.tracked import Source
from tests.benchmarks import ground
from tests.upstream import KEY, PEM

ANSWER_TIME = 0.05  # seconds
POLLS = 400
BUDGET = 1000  # requests a second
THREADS = 8
NARROW, NARROW_FOR = 50, 3.0  # requests a second, seconds


class Slow(Sandbox):
    """An upstream that takes its time."""

    asked = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.moments: list[float] = []

    def answer(self, message: Any) -> Any:
        """Answer after a while."""
        self.moments.append(time.monotonic())
        time.sleep(ANSWER_TIME)
        self.asked += 1
        return super().answer(message)


def main() -> None:
    """Measure the floor, the naive form and ours, then the budget."""
    client_id, key_id = str(uuid4()), str(uuid4())
    upstream = Slow(
        client_id=client_id,
        client_secret="a secret",
        client_key_id=key_id,
        client_public_key=KEY.public_key(),
    )
    with (
        ground.database(),
        patch.multiple(
            settings,
            INVESTMENT_API_URL=upstream.serve(),
            INVESTMENT_API_CLIENT_ID=client_id,
            INVESTMENT_API_CLIENT_SECRET="a secret",
            INVESTMENT_API_KEY_ID=key_id,
            INVESTMENT_API_PRIVATE_KEY=PEM,
            INVESTMENT_API_MAX_RPS=BUDGET,
        ),
    ):
        try:
            _measure(upstream)
        finally:
            upstream.stop()


def _measure(upstream: Slow) -> None:
    ground.head(f"Polls, {ANSWER_TIME * 1000:.0f} ms of answer time, {THREADS} threads")
    ids = _place(upstream)
    floor = _bare(f"{settings.INVESTMENT_API_URL}/orders/{ids[0]}")
    ground.say("bare GET, unsigned, nothing stored", floor, "requests/s")
    few = ids[: POLLS // 20]
    naive = len(few) / ground.seconds(lambda: _poll_one_by_one(few))
    ground.say("naive: one after the other", naive, "polls/s")
    _make_due(ids)
    upstream.asked, began = 0, time.perf_counter()
    polling.poll(now=timezone.now(), threads=THREADS)
    took = time.perf_counter() - began
    rate = POLLS / took
    remark = f"{rate / naive:.1f} x naive, {rate / floor:.2f} of bare"
    ground.say("ours", rate, "polls/s", f"{remark}, {upstream.asked / took:,.0f} requests/s")
    _make_due(ids)
    with patch.object(settings, "INVESTMENT_API_MAX_RPS", NARROW):
        forget_api()
        upstream.moments.clear()
        polling.poll(now=timezone.now(), threads=THREADS, lasts=NARROW_FOR)
    took = upstream.moments[-1] - upstream.moments[0]
    remark = f"at most {_most_in_a_second(upstream.moments)} in a second of {NARROW} allowed"
    ground.say("within a budget", len(upstream.moments) / took, "requests/s", remark)


def _most_in_a_second(moments: list[float]) -> int:
    """Return how many requests began within one second, at most."""
    return max(sum(moment <= other < moment + 1 for other in moments) for moment in moments)


def _place(upstream: Slow) -> list[UUID]:
    """Place portfolio orders and record them, as a round of discovery does."""
    ids = []
    for _ in range(POLLS):
        placement = Placement(str(uuid4()), str(uuid4()), "1000.00")
        answer = upstream.market.place(placement, now=timezone.now())
        ids.append(UUID(answer["id"]))
        journal.record_answers(
            Kind.PORTFOLIO_ORDER, [(ids[-1], answer)], source=Source.POLL, now=timezone.now()
        )
    projection.drain(now=timezone.now())
    return ids


def _make_due(ids: list[UUID]) -> None:
    Order.objects.update(check_after=None)
    PortfolioOrder.objects.filter(pk__in=ids).update(check_after=timezone.now())


def _poll_one_by_one(ids: list[UUID]) -> None:
    _make_due(ids)
    for pk in ids:
        checking.check(Kind.PORTFOLIO_ORDER, pk)


def _bare(url: str) -> float:
    def fetch(_: int) -> None:
        session.get(url, timeout=5)

    session = requests.Session()
    with ThreadPoolExecutor(THREADS) as pool:
        return POLLS / ground.seconds(lambda: list(pool.map(fetch, range(POLLS))))


if __name__ == "__main__":
    main()
