"""Finding portfolio orders whose every webhook was lost."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.sandbox import Trouble
from orders import journal
from orders.asking import discovery
from orders.models import JournalEntry, PortfolioOrder
from tests.upstream import receive, running

MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def discover():
    return discovery.discover(now=timezone.now())


def rounds():
    return list(JournalEntry.objects.filter(type="DISCOVERY").order_by("pk"))


def test_an_order_of_which_every_webhook_was_lost_is_found(upstream):
    pk = upstream.place()
    upstream.wait(minutes=5)

    assert discover() == discovery.Listed(listed=1, unknown=1)

    assert PortfolioOrder.objects.get().pk == pk
    [entry] = JournalEntry.objects.filter(portfolio_order_id=pk)
    assert (entry.source, entry.outcome) == ("POLL", "APPLIED")


def test_what_is_known_here_is_not_recorded_again(upstream):
    upstream.place()
    receive(upstream.events())
    upstream.wait(minutes=5)

    assert discover() == discovery.Listed(listed=1, unknown=0)
    assert not JournalEntry.objects.filter(source="POLL").exclude(type="DISCOVERY").exists()


def test_what_waits_to_be_applied_counts_as_known(upstream):
    upstream.place()
    events = upstream.events()
    upstream.wait(minutes=5)
    journal.record_events(events, delivery_id=1, now=timezone.now())

    assert discover() == discovery.Listed(listed=1, unknown=0)


def test_an_order_so_young_that_its_webhook_may_be_under_way_is_left_to_the_next_round(upstream):
    upstream.place()

    assert discover() == discovery.Listed(0, 0)
    upstream.wait(minutes=15)
    assert discover() == discovery.Listed(1, 1)


def test_a_round_is_an_entry_that_says_how_much_was_found(upstream):
    upstream.place()
    upstream.wait(minutes=5)

    discover()

    [entry] = rounds()
    assert (entry.source, entry.outcome) == ("POLL", "NOTED")
    assert entry.message == "1 listed, 1 new"
    assert (entry.portfolio_order_id, entry.order_id) == (None, None)


def test_a_quarter_of_an_hour_has_one_round(upstream):
    discover()

    upstream.wait(minutes=14, seconds=59)
    assert discover() is None
    upstream.wait(seconds=1)
    assert discover() is not None
    assert len(rounds()) == 2


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_list_once(upstream, monkeypatch):
    look, both_looked = QuerySet.exists, Barrier(2, timeout=10)

    def look_together(queryset):
        found = look(queryset)
        both_looked.wait()
        return found

    monkeypatch.setattr(QuerySet, "exists", look_together)

    def beat():
        try:
            discover()
        finally:
            connections.close_all()

    threads = [Thread(target=beat) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(upstream.asked()) == len(rounds()) == 1


def test_a_round_lists_what_was_created_since_the_last_that_succeeded_and_an_hour_before(upstream):
    first = timezone.now()
    discover()
    assert upstream.since() == first - timedelta(hours=24)
    upstream.wait(minutes=15)
    upstream.expect(Trouble("problem", 503, path="/portfolios"))
    with pytest.raises(InvestmentAPIError):
        discover()

    upstream.wait(minutes=15)
    discover()

    assert upstream.since() == first - timedelta(hours=1)


def test_a_round_that_failed_says_why_and_stays_failed(upstream):
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    with pytest.raises(InvestmentAPIError):
        discover()

    [entry] = rounds()
    assert entry.outcome == "FAILED"
    assert "503" in entry.message
    assert discover() is None


def test_a_round_that_died_is_failed_and_the_next_begins_where_it_did(upstream, monkeypatch):
    began = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(discovery, "record_created", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            discover()
    assert [(entry.outcome, entry.message) for entry in rounds()] == [("FAILED", "not finished")]

    upstream.wait(hours=30)
    discover()

    assert upstream.since() == began - timedelta(hours=24)


def test_a_listed_thing_without_an_id_does_not_hide_the_others(upstream, monkeypatch):
    pk = upstream.place()
    upstream.wait(minutes=5)
    listed = upstream.market.portfolio_orders()
    monkeypatch.setattr(
        upstream.market, "portfolio_orders", lambda **_: [{"status": "NEW"}, *listed]
    )

    assert discover() == discovery.Listed(listed=2, unknown=1)
    assert PortfolioOrder.objects.get().pk == pk


def test_a_long_list_is_recorded_page_by_page(upstream, monkeypatch):
    monkeypatch.setattr(discovery, "BATCH", 2)
    for _ in range(5):
        upstream.place()
    told: list[discovery.Listed] = []

    discovery.record_created(since=timezone.now() - MINUTE, progress=told.append)

    assert [str(listed) for listed in told] == [
        "2 listed, 2 new",
        "4 listed, 4 new",
        "5 listed, 5 new",
    ]
    assert PortfolioOrder.objects.count() == 5


def test_after_a_long_outage_the_next_round_begins_where_the_last_one_ended(upstream):
    upstream.wait(minutes=5)
    discover()
    pk = upstream.place()
    upstream.wait(days=12)

    discover()

    assert PortfolioOrder.objects.get().pk == pk
