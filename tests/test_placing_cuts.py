"""A thousand placements over a line that is cut at every point of the exchange: none twice, none lost, none refused."""

import json
import logging
from collections import Counter
from random import Random
from threading import Thread
from typing import get_args
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone

from backoffice.investment_api import breaker
from backoffice.sandbox import Trouble
from backoffice.sandbox.cuts import Point
from orders.models import Execution, Order, Placement, PlacementState, PortfolioOrder
from orders.placing import placing, sending
from orders.placing.wish import read_wish
from tests.upstream import receive, running

PLACEMENTS = 1000
CUTS = 2 * PLACEMENTS
THREADS = 4
SEED = 20261126
PATH = "/portfolios/orders"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def upstream(settings, monkeypatch):
    # A line that fails call by call: the breaker would take it for an outage, and wait for its end.
    monkeypatch.setattr(breaker, "FAILURES", 10**9)
    with running(settings) as upstream:
        settings.INVESTMENT_API_MAX_RPS = 100_000
        logging.disable(logging.INFO)  # of each of some thousand calls
        yield upstream
        logging.disable(logging.NOTSET)


def some_wish(rng):
    return read_wish(
        {
            "user_id": str(UUID(int=rng.getrandbits(128), version=4)),
            "account_id": str(UUID(int=rng.getrandbits(128), version=4)),
            "cash_amount": f"{rng.randrange(1, 10**6)}.{rng.randrange(100):02}",
            "currency": rng.choice(["EUR", "GBP"]),
            "side": rng.choice(["BUY", "SELL"]),
            "post_tax": rng.choice(["true", "false"]),
        }
    )


def some_trouble(rng):
    """Return a cut at any point, or silence until the caller gives up, or what a gateway says."""
    kind = rng.random()
    if kind < 0.05:
        return Trouble("page", status=rng.choice([502, 504]), path=PATH, method="POST")
    if kind < 0.08:
        return Trouble("problem", status=rng.choice([500, 503]), path=PATH, method="POST")
    if kind < 0.1:
        return Trouble("brief", path=PATH, method="POST")
    at, reset = rng.choice(get_args(Point)), rng.random() < 0.5
    return Trouble("cut", at=at, reset=reset, path=PATH, method="POST")


def send_all(pks):
    """Send placements with several workers at once, every tenth by two of them."""
    waiting = [pk for number, pk in enumerate(pks) for _ in range(1 + (number % 10 == 0))]

    def work():
        while waiting:
            try:
                pk = waiting.pop()
            except IndexError:
                break
            sending.send(pk)
        connections.close_all()

    threads = [Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _check_settled(upstream):
    """Let what was placed run to its end, told by webhook, and look that each of them has settled."""
    for _ in range(3 * 60):
        if events := upstream.wait(minutes=1):
            receive(events)
    held = {it["id"]: it["status"] for it in upstream.market.portfolio_orders()}
    rows = PortfolioOrder.objects.values_list("pk", "status")
    assert {str(pk): status for pk, status in rows} == held
    assert set(held.values()) == {"SETTLED"}
    assert not Execution.objects.exclude(status="SETTLED").exists()
    orders = Order.objects.values_list("portfolio_order_id", flat=True).distinct()
    assert set(orders) == set(Placement.objects.values_list("portfolio_order_id", flat=True))


def test_a_thousand_placements_over_a_cut_line_end_placed_once_each(upstream):
    rng = Random(SEED)
    placements = [placing.place(some_wish(rng), actor="tina") for _ in range(PLACEMENTS)]
    troubles = [some_trouble(rng) for _ in range(CUTS)]
    for trouble in troubles:
        upstream.expect(trouble)

    rounds = 0
    while Placement.objects.filter(state__in=["READY", "UNKNOWN"]).exists():
        send_all(sending.due(now=timezone.now()))
        upstream.wait(seconds=30 * 2 ** min(rounds, 6))
        rounds += 1
        assert rounds < 100

    states = Counter(Placement.objects.values_list("state", flat=True))
    assert states == {PlacementState.ACCEPTED: PLACEMENTS}
    held = {it["id"]: it for it in upstream.market.portfolio_orders()}
    assert len(held) == PLACEMENTS
    ours = {str(it.portfolio_order_id): it for it in Placement.objects.all()}
    assert ours.keys() == held.keys()
    wanted = {it.pk: json.loads(bytes(it.body)) for it in placements}
    for key, placement in ours.items():
        asked, got = wanted[placement.pk], held[key]
        assert asked == {name: got["type" if name == "side" else name] for name in asked}
    rows = {str(it.pk): it for it in PortfolioOrder.objects.all()}
    assert rows.keys() == held.keys()
    for key, row in rows.items():
        placement = ours[key]
        assert (row.account_id, row.cash_amount, row.currency, row.type) == (
            placement.account_id, placement.cash_amount, placement.currency, placement.side,
        )  # fmt: skip
    _check_settled(upstream)
    assert Counter(trouble.at for trouble in troubles).keys() == set(get_args(Point))
    assert upstream.calls.count(f"POST {PATH}") > 1.9 * PLACEMENTS
