"""The feed on the first page of the admin: when it last spoke, how well it is, what waits for people."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from backoffice import panels
from backoffice.market_hours import MarketHours
from orders import journal, projection
from orders.models import JournalEntry
from tests.staff import browser, html, words
from tests.stories import at, event, life, named, portfolio_order
from tests.test_dashboard import tiles
from webhooks import feed
from webhooks.models import Delivery, Verdict
from webhooks.strip import half_hour, strip
from webhooks.subscriptions.silence import is_silent

NOW = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
TODAY = "/admin/"
BAD = {"id": named("bad"), "type": "PORTFOLIO_ORDER.NEW", "created_at": at(1), "object": {}}


@pytest.fixture(autouse=True)
def clock(clocked_cache):
    panels.breaker.reset()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client(db):
    return browser()


def deliver(*events, now=NOW, verdict=Verdict.ACCEPTED):
    row = Delivery.objects.create(received_at=now, verdict=verdict, events=len(events))
    journal.record_events(events, delivery_id=row.pk, now=now)
    projection.drain(now=now)


def test_the_tiles_tell_of_the_last_webhook_and_of_what_waits_for_people(client):
    deliver(*life(), now=NOW - timedelta(minutes=1))
    deliver(life()[0])
    deliver(BAD)
    deliver(verdict=Verdict.REFUSED)
    deliver(verdict=Verdict.REFUSED)
    deliver(verdict=Verdict.UNREADABLE)

    found = tiles(client.get(TODAY))

    assert found["Last webhook"][0] == "just now Events (24 h) 14 p95 delay 4 min 59 s"
    said = "2 In quarantine 1 Unreadable (24 h) 1 Refused (24 h) 2"
    assert found["Webhook problems"][0] == said
    assert found["Webhook problems"][1]


def test_what_was_refused_is_counted_and_is_no_reason_to_look_for_anybody_can_send_it(client):
    deliver(verdict=Verdict.REFUSED)

    assert tiles(client.get(TODAY))["Webhook problems"][:2] == ("0 Refused (24 h) 1 none", False)


def test_only_what_upstream_signed_is_a_webhook(client):
    deliver(life()[0], now=NOW - timedelta(minutes=3))
    deliver(verdict=Verdict.REFUSED)

    assert tiles(client.get(TODAY))["Last webhook"][0].startswith("3 min ago")


def test_an_event_without_orders_is_a_sign_of_life(client):
    deliver()

    assert tiles(client.get(TODAY))["Last webhook"][0] == "just now"
    assert "No webhook received yet" not in words(client.get(TODAY))


def test_where_only_deliveries_are_bad_the_tile_leads_to_them(client):
    deliver(verdict=Verdict.UNREADABLE)

    url = tiles(client.get(TODAY))["Webhook problems"][2]

    assert url.startswith("/admin/webhooks/delivery/?verdict=UNREADABLE&received=")
    assert len(client.get(url).context["cl"].result_list) == 1


def test_silence_is_amber_only_while_orders_are_open(client, clock, settings):
    deliver(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    assert not tiles(client.get(TODAY))["Last webhook"][1]
    clock.shift(settings.STALE_NEW + timedelta(minutes=1))
    assert tiles(client.get(TODAY))["Last webhook"][1]

    deliver(*life(), now=NOW)
    clock.shift(panels.FRESH + 1)

    assert not tiles(client.get(TODAY))["Last webhook"][1]


def test_a_night_is_no_silence(settings):
    settings.MARKET_HOURS = MarketHours.parse("Mon-Fri 07:30-22:00 Europe/Berlin")
    friday_evening = datetime(2026, 3, 6, 20, 55, tzinfo=UTC)

    assert not is_silent(friday_evening, datetime(2026, 3, 9, 6, 40, tzinfo=UTC))
    assert is_silent(friday_evening, datetime(2026, 3, 9, 7, 45, tzinfo=UTC))


def test_the_strip_shows_each_half_hour_as_it_was(client):
    deliver(*life()[:3], now=NOW - timedelta(minutes=61))
    deliver(BAD, now=NOW - timedelta(minutes=31))
    deliver(life()[0], now=NOW)

    page = html(client.get(TODAY))

    assert "<title>09:00 to 09:30: Applied 3</title>" in page  # in Berlin
    assert "<title>09:30 to 10:00: Quarantined 1</title>" in page
    assert "<title>10:00 to 10:30: No change 1</title>" in page
    assert "<title>08:30 to 09:00: nothing received</title>" in page
    assert (
        "2 without problems, 1 with something quarantined or refused, 45 without webhooks" in page
    )


def test_the_outcomes_are_counted_with_what_they_mean(client):
    deliver(*life()[:2])
    deliver(life()[0])
    deliver(BAD)
    deliver(verdict=Verdict.REFUSED)

    text = words(client.get(TODAY))

    assert "Applied changed an order 2" in text
    assert "No change repeated, or older than what we knew 1" in text
    assert "Quarantined stored, could not be applied; no other event was delayed 1" in text
    assert "Refused signature check failed 1" in text
    assert "Unreadable" not in text


def test_what_polls_told_is_no_part_of_the_feed(db):
    JournalEntry.objects.create(
        source="POLL", outcome="APPLIED", type="ORDER", occurred_at=NOW, recorded_at=NOW
    )

    assert feed.outcomes(NOW) == {}


def test_what_is_older_than_a_day_is_not_counted(db):
    first = half_hour(NOW) - timedelta(hours=23, minutes=30)
    deliver(life()[0], now=first - timedelta(seconds=1))
    deliver(life()[1], now=first)

    assert feed.outcomes(NOW) == {first: {"APPLIED": 1}}


def test_the_numbers_and_the_strip_come_with_one_statement_each(db):
    with CaptureQueriesContext(connection) as queries:
        feed.numbers(NOW)
        feed.outcomes(NOW)

    assert len(queries) == 2


def test_a_database_that_does_not_answer_costs_these_panels_alone(client, monkeypatch):
    def fail(now):
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(feed, "numbers", fail)

    text = words(client.get(TODAY))

    assert "Webhook health, last 24 h Counters unavailable" in text
    assert "Open 0" in text


def test_half_hours_follow_the_display_zone_over_a_change_of_the_clock():
    now = datetime(2026, 3, 29, 8, 10, tzinfo=UTC)

    bars = strip({}, now=now, zone=ZoneInfo("Europe/Berlin")).bars

    assert len(bars) == 48
    assert bars[-1].hours == "10:00 to 10:30"
    assert "01:30 to 03:00" in [bar.hours for bar in bars]
    assert bars[0].hours == "09:30 to 10:00"  # yesterday, an hour nearer


@pytest.mark.parametrize(
    ("counts", "look"),
    [
        ({}, "silent"),
        ({"APPLIED": 3, "NO_CHANGE": 1, "IGNORED": 1}, "good"),
        ({"APPLIED": 3, "QUARANTINED": 1}, "bad"),
        ({"REFUSED": 1}, "bad"),
        ({"UNREADABLE": 1}, "bad"),
    ],
)
def test_a_bar_looks_as_well_as_its_half_hour_was(counts, look):
    assert strip({half_hour(NOW): counts}, now=NOW, zone=UTC).bars[-1].look == look


def test_what_has_settled_is_counted_once_and_later_only_the_last_minutes(db):
    deliver(*life()[:3], now=NOW - timedelta(hours=3))
    first = feed.outcomes(NOW)
    JournalEntry.objects.all().delete()  # as nobody does: what is remembered is not counted again
    panels.forget("outcomes")
    deliver(life()[3], now=NOW)

    second = feed.outcomes(NOW)

    assert first == {half_hour(NOW - timedelta(hours=3)): {"APPLIED": 3}}
    assert second == {**first, half_hour(NOW): {"APPLIED": 1}}


def test_what_waits_or_is_in_quarantine_is_counted_until_it_has_its_outcome(db):
    deliver(BAD, now=NOW - timedelta(hours=3))
    unread = Delivery.objects.create(
        received_at=NOW - timedelta(hours=2), verdict=Verdict.ACCEPTED, read_at=None
    )
    assert feed.outcomes(NOW) == {half_hour(NOW - timedelta(hours=3)): {"QUARANTINED": 1}}

    JournalEntry.objects.update(outcome="DISMISSED")
    Delivery.objects.filter(pk=unread.pk).update(read_at=NOW, events=1)
    journal.record_events(life()[:1], delivery_id=unread.pk, now=unread.received_at)
    projection.drain(now=NOW)
    panels.forget("outcomes")

    assert feed.outcomes(NOW) == {
        half_hour(NOW - timedelta(hours=3)): {"DISMISSED": 1},
        half_hour(NOW - timedelta(hours=2)): {"APPLIED": 1},
    }


def test_deliveries_that_held_no_event_are_counted_each_time(db):
    deliver(life()[0], now=NOW - timedelta(hours=3))
    feed.outcomes(NOW)
    deliver(verdict=Verdict.UNREADABLE, now=NOW - timedelta(hours=3))
    panels.forget("outcomes")

    then = half_hour(NOW - timedelta(hours=3))
    assert feed.outcomes(NOW) == {then: {"APPLIED": 1, "UNREADABLE": 1}}
