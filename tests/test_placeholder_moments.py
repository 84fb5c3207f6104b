"""Placeholder moments: unknown where they are read, and harmless where an earlier release stored them."""

import io
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from backoffice.moments import EARLIEST, LATEST
from orders import journal, projection, rebuild
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.crawl import pages
from tests.large import large
from tests.staff import JOURNAL, LIST, ORDERS, browser, words
from tests.stories import START, at, event, execution, life, named, order, portfolio_order

NOW = START + timedelta(minutes=5)
P, A, X = (UUID(named(name)) for name in "PAX")
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
PLACEHOLDERS = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00-05:00",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59+14:00",
    "1970-01-01T00:00:00Z", 0, "2199-01-01T00:00:00Z", "2028-01-01T00:00:00Z",
]  # fmt: skip
TRACKED = ["created_at", "updated_at", "processing_at", "filled_at", "cancelled_at"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


def receive(*events):
    journal.record_events(events, delivery_id=1, now=NOW)
    projection.drain(now=NOW)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_an_unknown_moment_and_neither_newest_nor_a_version(placeholder):
    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3))
        | {
            "object": portfolio_order("PROCESSING", 3)
            | {"created_at": placeholder, "updated_at": placeholder}
        },
        event(
            "PORTFOLIO_ORDER.PROCESSING",
            portfolio_order("PROCESSING", 4, cash_amount="2.00"),
            name="newer",
        ),
        event(
            "ORDER.FILLED",
            order("A", "FILLED", 9)
            | {
                "executions": [
                    execution("X", transaction_time=placeholder, settlement_date=placeholder)
                ]
            },
        ),
    )

    held, trade = PortfolioOrder.objects.get(), Execution.objects.get()
    assert (held.status, held.cash_amount) == ("PROCESSING", "2.00")
    assert held.updated_at == START + timedelta(seconds=4)
    assert held.created_at == START  # that the newer report gives
    assert held.processing_at == START + timedelta(seconds=3)  # the event's own time
    assert (trade.transaction_time, trade.settlement_date) == (None, None)
    assert not (held.problems or Order.objects.get().problems)
    assert list(rebuild.compare()) == []


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_an_event_without_any_usable_moment_happened_when_it_was_recorded(placeholder):
    told = event("ORDER.NEW", order("A") | {"updated_at": placeholder, "created_at": placeholder})
    receive(told | {"created_at": placeholder})

    assert JournalEntry.objects.get().occurred_at == NOW
    assert (Order.objects.get().created_at, Order.objects.get().updated_at) == (None, None)


def test_what_was_placed_at_an_unknown_moment_is_not_found_by_a_date_and_listed_last():
    receive(
        *(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)) for name in "QR"),
        event(
            "PORTFOLIO_ORDER.NEW",
            portfolio_order(name="P") | {"created_at": "9999-12-31T23:59:59Z"},
        ),
        *(event("ORDER.NEW", order(name, parent=None)) for name in "BC"),
        event("ORDER.NEW", order("A", parent=None) | {"created_at": "0001-01-01T00:00:00Z"}),
    )

    out = io.StringIO()
    call_command("export_orders", "--since", "2199-01-01", stdout=out)
    assert len(out.getvalue().splitlines()) == 1
    assert list(PortfolioOrder.objects.values_list("pk", flat=True))[-1] == P
    assert list(Order.objects.values_list("pk", flat=True))[-1] == A
    text = words(browser().get(LIST))
    assert text.index(named("Q")[:8]) < text.index(str(P)[:8])


# What an earlier release may have stored.


def store(moment, *, odd=False):
    """Receive a whole life, then put ``moment`` directly into every column of a moment that the broker gives."""
    receive(*life(), event("ORDER.NEW", order("C", parent=None)))
    day = moment.date()
    PortfolioOrder.objects.update(**dict.fromkeys([*TRACKED, "settled_at"], moment))
    Order.objects.update(**dict.fromkeys(TRACKED, moment))
    Execution.objects.update(transaction_time=moment, settlement_date=day)
    JournalEntry.objects.update(occurred_at=moment)
    if odd:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE orders_portfolioorder SET created_at = 'infinity', updated_at = '-infinity'"
            )
            cursor.execute(
                "UPDATE orders_order SET created_at = '20000-01-01', updated_at = '0044-03-15 BC'"
            )
            cursor.execute(
                "UPDATE orders_execution SET transaction_time = 'infinity', settlement_date = '-infinity'"
            )
            cursor.execute("UPDATE orders_journalentry SET occurred_at = 'infinity'")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "UTC"])
@pytest.mark.parametrize(
    "moment", [FIRST, LAST, datetime(1969, 12, 31, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)]
)
def test_no_page_list_file_or_command_is_broken_by_a_moment_that_was_stored(settings, moment, zone):
    settings.TIME_ZONE = zone
    store(moment)
    everything_works()


def test_nor_by_one_that_only_postgresql_can_hold():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite holds no infinity")
    store(LAST, odd=True)
    everything_works()


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC"])
def test_nor_is_the_page_of_a_long_history(moment):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite holds no such moments")
    pk = large(101, polls=1).pk
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journalentry SET occurred_at = %s", [moment])
    assert browser().get(f"{LIST}{pk}/change/?show=problems").status_code == 200


def everything_works():
    client = browser()
    client.raise_request_exception = True
    found = pages(client, queries=True)
    assert {path.partition("?")[0] for path in found} >= {LIST, ORDERS}
    for path in (f"{LIST}{P}/change/", f"{ORDERS}{A}/change/", f"{ORDERS}{named('C')}/change/"):
        assert client.get(path).status_code == 200
        assert client.get(f"{path}?show=problems&order=newest").status_code == 200
    days = "from=2026-01-01&{0}_to=2026-12-31"
    for path, name in ((LIST, "placed"), (ORDERS, "placed"), (JOURNAL, "received")):
        for query in (f"{name}=7d", f"{name}_{days.format(name)}", "p=1", "q=A"):
            assert client.get(f"{path}?{query}").status_code == 200
    for command in ("export_history", "export_orders"):
        for options in (
            (),
            ("--since", "0001-01-02"),
            ("--since", "2026-01-01", "--until", "9999-12-30"),
        ):
            call_command(command, *options, stdout=io.StringIO())
    call_command("drain")
    list(rebuild.compare())
    list(rebuild.rebuild(now=NOW))
    assert list(rebuild.compare()) == []


@pytest.mark.parametrize("moment", [FIRST, LAST, EARLIEST - timedelta(microseconds=1), LATEST])
def test_a_stored_placeholder_is_read_as_unknown_and_a_moment_that_must_be_known_as_the_nearest(
    moment,
):
    store(moment)

    held, trade = PortfolioOrder.objects.get(), Execution.objects.get()
    assert {getattr(held, name) for name in (*TRACKED, "settled_at")} == {None}
    assert (trade.transaction_time, trade.settlement_date) == (None, None)
    assert {entry.occurred_at for entry in JournalEntry.objects.all()} <= {EARLIEST, LATEST}


@pytest.mark.parametrize("moment", [EARLIEST, LATEST - timedelta(microseconds=1), START])
def test_a_stored_moment_of_our_time_is_itself(moment):
    store(moment)

    assert PortfolioOrder.objects.get().created_at == moment
    assert Execution.objects.get().settlement_date == moment.date()
    assert at(0).startswith(str(date(2026, 3, 2)))
