"""The generator of the benchmarks makes what the product would have made. PostgreSQL only: it is SQL."""

import pytest
from django.core.management import call_command
from django.db import connection

from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.benchmarks.fill import fill
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is SQL of PostgreSQL's")
def test_rows_that_were_generated_are_what_their_journal_says(capsys):
    fill(1, 150, of=300)
    fill(151, 300)

    call_command("rebuild", check=True)  # exits where there is a difference
    assert "0 differences" in capsys.readouterr().out
    assert PortfolioOrder.objects.count() == 300
    assert {"BUY", "SELL", "REBALANCING"} == set(
        PortfolioOrder.objects.values_list("type", flat=True)
    )
    assert {"CANCELLED", "SETTLED"} <= set(PortfolioOrder.objects.values_list("status", flat=True))
    assert Order.objects.count() > 1000
    assert Execution.objects.filter(status="SETTLED").exists()
    told = JournalEntry.objects.filter(source="WEBHOOK")
    assert told.count() == sum(Delivery.objects.values_list("events", flat=True))
    assert not set(told.values_list("delivery_id", flat=True)) - set(
        Delivery.objects.values_list("pk", flat=True)
    )
