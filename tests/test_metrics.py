"""The numbers for Prometheus: from the database, so that every process says the same."""

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from orders import journal, metrics, projection
from orders.models import Order, PortfolioOrder
from tests.stories import START, at, event, named, order, portfolio_order
from webhooks import metrics as feed_metrics
from webhooks.models import Delivery, Verdict

NOW = START + timedelta(hours=6)
BAD = {"id": named("bad"), "type": "ORDER.NEW", "created_at": at(1), "object": {}}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def record(*events, now=NOW):
    journal.record_events(events, delivery_id=1, now=now)


def numbers(scraper):
    """Return what /metrics says of the desk, as {name: value}, with a label's value behind the name."""
    text = scraper.get("/metrics").content.decode()
    return {
        " ".join([sample.name.removeprefix("order_desk_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("order_desk_")
    }


def test_the_journal_and_the_orders_are_counted(scraper):
    record(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="old")), now=START)
    record(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="new")))
    record(event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", name="done")))
    record(event("ORDER.NEW", order("alone", parent="")), BAD)
    projection.drain(now=NOW)
    PortfolioOrder.objects.update(check_after=NOW + timedelta(hours=1))
    PortfolioOrder.objects.filter(pk=named("old")).update(check_after=NOW - timedelta(minutes=6))
    Order.objects.update(check_after=NOW - timedelta(minutes=1))
    record(event("ORDER.NEW", order("late")), now=NOW - timedelta(seconds=90))

    found = numbers(scraper)

    assert found["pending"] == 1
    assert found["pending_seconds"] == 90
    assert found["quarantined"] == 1
    assert found["open"] == 2
    assert found["stale"] == 1
    assert found["due"] == 2
    assert found["overdue"] == 1
    assert found["orders_readable"] == 1


def test_deliveries_of_the_last_hour_are_counted_by_verdict(scraper):
    for minutes, verdict in [(1, "ACCEPTED"), (2, "ACCEPTED"), (3, "REFUSED"), (61, "UNREADABLE")]:
        Delivery.objects.create(received_at=NOW - timedelta(minutes=minutes), verdict=verdict)

    found = numbers(scraper)

    assert found["deliveries_last_hour accepted"] == 2
    assert found["deliveries_last_hour refused"] == 1
    assert found["deliveries_last_hour unreadable"] == 0


def test_the_last_webhook_is_the_last_that_was_signed(scraper):
    assert "last_webhook_seconds" not in numbers(scraper)
    Delivery.objects.create(received_at=NOW - timedelta(minutes=5), verdict=Verdict.ACCEPTED)
    Delivery.objects.create(received_at=NOW, verdict=Verdict.REFUSED)

    assert numbers(scraper)["last_webhook_seconds"] == 300


def test_an_empty_desk_has_numbers_too(scraper):
    found = numbers(scraper)

    assert found["pending"] == found["pending_seconds"] == found["open"] == 0


@pytest.mark.parametrize(("module", "name"), [(metrics, "orders"), (feed_metrics, "feed")])
def test_a_database_that_does_not_answer_is_a_number_not_an_error(
    scraper, monkeypatch, module, name
):
    def fail(**questions):
        raise OperationalError("the database is starting up")

    monkeypatch.setattr(module, "ask", fail)

    found = numbers(scraper)

    assert found[f"{name}_readable"] == 0
    assert found["feed_readable" if name == "orders" else "orders_readable"] == 1
    assert "pending" not in found or name == "feed"


def test_they_cost_one_statement_for_each_app(scraper):
    with CaptureQueriesContext(connection) as queries:
        numbers(scraper)

    assert len(queries) == 2
