"""Cancellations while everything goes wrong at once: the line, the answers, the webhooks, the races."""

from collections import Counter
from datetime import timedelta
from random import Random
from typing import get_args

import pytest
from django.utils import timezone

from backoffice.investment_api import breaker
from backoffice.sandbox import Trouble
from backoffice.sandbox.cuts import Point
from backoffice.sandbox.manners import Manners
from orders.asking import checking
from orders.cancelling import requesting, sending
from orders.cancelling.outcome import Fate
from orders.cancelling.results import results
from orders.lifecycle import Kind
from orders.models import Cancellation, JournalEntry, Order, PortfolioOrder
from tests.upstream import receive, running

REQUESTS = 60
SEED = 20261126

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def upstream(settings, monkeypatch):
    # A line that fails call by call: the breaker would take it for an outage, and wait for its end.
    monkeypatch.setattr(breaker, "FAILURES", 10**9)
    with running(settings) as upstream:
        yield upstream


def some_trouble(rng):
    method = rng.choice(["DELETE", "DELETE", "GET"])
    if rng.random() < 0.4:
        return Trouble("problem", status=rng.choice([404, 409, 422, 500, 503]), method=method)
    if rng.random() < 0.2:
        return Trouble("page", status=502, method=method)
    at = rng.choice(get_args(Point))
    return Trouble("cut", at=at, reset=rng.random() < 0.5, method=method)


def some_manners(rng):
    return Manners(
        taken=rng.choice([202, 204]),
        late=rng.choice([409, 422, 404, 202]),
        late_order=rng.choice([202, 409, 422]),
        takes=rng.choice([None, timedelta(seconds=40), timedelta(minutes=4)]),
        heeds=rng.choice([None, True, False]),
        mixed=rng.random() < 0.5,
    )


def some_of(events, rng):
    """Lose some webhooks, repeat some, and shuffle the rest."""
    kept = [it for it in events for _ in range(rng.choice([0, 0, 1, 1, 1, 2]))]
    rng.shuffle(kept)
    return kept


def press(pk, rng):
    """Request cancellation a portfolio order, or one of its orders; what has ended refuses."""
    child = Order.objects.filter(portfolio_order_id=pk).order_by("pk").first()
    kind, about = Kind.PORTFOLIO_ORDER, pk
    if child is not None and rng.random() < 0.3:
        kind, about = Kind.ORDER, child.pk
    try:
        sending.send(requesting.request(kind, about, actor="tina").pk)
    except requesting.NotPossibleError:
        return


def work():
    """Do what workers do: send and look after what is due, ask about what is due."""
    for number in sending.due(now=timezone.now()):
        sending.send(number)
    for kind, pk in checking.due(now=timezone.now()):
        checking.check(kind, pk)


def test_whatever_goes_wrong_each_request_ends_as_the_broker_has_it(upstream):
    rng = Random(SEED)
    for _ in range(REQUESTS):
        pk = upstream.place()
        receive(upstream.wait(seconds=rng.choice([0, 3, 9, 90, 160, 400])))
        upstream.market.manners = some_manners(rng)
        for _ in range(rng.choice([0, 1, 2])):
            upstream.expect(some_trouble(rng))
        if PortfolioOrder.objects.filter(pk=pk).exists():
            press(pk, rng)
        work()
        receive(some_of(upstream.wait(seconds=rng.choice([1, 10, 60])), rng))
    rounds = 0
    while Cancellation.objects.filter(next_attempt_at__isnull=False).exists() or rounds < 40:
        receive(some_of(upstream.wait(minutes=10), rng))
        work()
        rounds += 1
        assert rounds < 80

    requests = list(Cancellation.objects.all())
    found = results(requests, now=timezone.now())
    for it in requests:
        assert found[it.pk].fate is truth(upstream, it), (it.about, found[it.pk])
    assert len(requests) > REQUESTS / 2
    assert len(Counter(result.fate for result in found.values())) >= 3
    assert {it.state for it in requests} >= {"TAKEN", "REFUSED"}
    assert JournalEntry.objects.filter(type="ORDER_CANCELLATION.REJECTED").exists()


def truth(upstream, request):
    """Return the fate of a request by what upstream has of the order."""
    if request.kind is Kind.ORDER:
        held = upstream.market.order(str(request.about))
        if held["status"] == "CANCELLED":
            return Fate.PARTLY if held["executions"] else Fate.CANCELLED
        return Fate.FILLED
    held = upstream.truth(request.about)
    orders = [upstream.market.order(it["id"]) for it in held["orders"]]
    ends = Counter(it["status"] for it in orders)
    is_traded = any(it["executions"] for it in orders)
    if held["status"] == "CANCELLED":
        return Fate.PARTLY if is_traded else Fate.CANCELLED
    return Fate.PARTLY if ends["CANCELLED"] else Fate.FILLED
