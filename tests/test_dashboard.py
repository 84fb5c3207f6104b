"""Today: what the first page of the admin tells about orders and the worker, and what it asks for it."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis.exceptions import ConnectionError as RedisConnectionError

from backoffice import panels
from orders import journal, projection, pulse
from orders.dashboard import hours, queries
from orders.lifecycle import Kind
from orders.models import Outcome, PortfolioOrder
from orders.tracked import Source
from tests.listed import NOW, receive, record_failure
from tests.staff import browser, html, words
from tests.stories import at, event, life, named, order, portfolio_order

TODAY = "/admin/"
BERLIN = ZoneInfo("Europe/Berlin")
TILE = re.compile(r'<li[^>]*><div class="(tile[^"]*)">(.*?)</div></li>', re.DOTALL)


@pytest.fixture(autouse=True)
def clock(clocked_cache):
    panels.breaker.reset()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client(db):
    return browser()


def answer(source, status="FILLED", name="P", seconds=60):
    entry = journal.record_answer(
        Kind.PORTFOLIO_ORDER,
        portfolio_order(status, seconds, name=name),
        about=UUID(named(name)),
        source=source,
        actor="",
        now=NOW,
    )
    projection.drain(now=NOW)
    return entry


def close_round(outcome, message):
    entry = journal.open_round(NOW, now=NOW)
    assert entry
    journal.close_round(entry, outcome, message, now=NOW)


def stale(count, *, now=NOW, orders=2):
    """Record portfolio orders that had no news for 5 hours, 6, 7 ..."""
    for number in range(count):
        then = now - timedelta(hours=5 + number)
        name = f"P{number}"
        receive(
            event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", name=name)),
            *(
                event("ORDER.FILLED", order(f"{name}-{each}", "FILLED", parent=name))
                for each in range(orders)
            ),
            now=then,
        )


def tiles(response):
    """Return the tiles of the page as {label: (text, is amber or red, url)}; a sum has the url of its first part."""
    found = {}
    for classes, inside in TILE.findall(html(response)):
        text = " ".join(re.sub(r"<[^>]+>", " ", inside).split())
        (label,) = re.findall(r"</svg></span>([^<]*)<", inside)
        url = re.search(r'<a [^>]*href="([^"]*)"', inside)
        address = unescape(url[1]) if url else ""
        found[label] = (text.removeprefix(label).strip(), "tone-" in classes, address)
    return found


def test_the_tiles_tell_what_is_open_stale_filled_and_recovered(client):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="new")),
        event("PORTFOLIO_ORDER.NEW", portfolio_order("HALTED", name="odd")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 90, name="quick")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 240, name="slow")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 60, name="settled")),
        event("PORTFOLIO_ORDER.SETTLED", portfolio_order("SETTLED", 200, name="settled")),
    )
    stale(2)
    answer(Source.POLL, "PROCESSING", "new")
    answer(Source.REFETCH, "FILLED", "new")
    answer(Source.POLL, "FILLED", "quick", 90)  # no change

    found = tiles(client.get(TODAY))

    assert {label: text for label, (text, _, _) in found.items()} == {
        "Open": "3 Processing 2 Unknown 1",
        "Problem orders": "1 Unknown status 1",
        "Stale": "2 oldest 6 h",
        "Filled, last 24 h": "4 median 1 min",
        "Last webhook": found["Last webhook"][0],
        "Webhook problems": "0 none",
        "Recovered, last 7 days": "2 By check 1 By refetch 1 missed webhooks",
    }
    marked = [label for label, (_, is_marked, _) in found.items() if is_marked]
    assert marked == ["Problem orders", "Stale", "Last webhook"]


def test_nothing_is_amber_where_nothing_is_wrong(client):
    receive(event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 90)))

    assert not [label for label, (_, is_amber, _) in tiles(client.get(TODAY)).items() if is_amber]


def test_every_tile_leads_to_the_list_of_what_it_counts(client):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="new")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 90, name="done")),
        {"id": named("bad"), "type": "PORTFOLIO_ORDER.NEW", "created_at": at(1), "object": {}},
    )
    stale(1)
    answer(Source.POLL, "PROCESSING", "new")
    found = tiles(client.get(TODAY))

    for label in (
        "Open", "Stale", "Filled, last 24 h", "Webhook problems", "Recovered, last 7 days",
    ):  # fmt: skip
        text, _, url = found[label]
        shown = client.get(url)
        assert shown.status_code == 200, url
        assert len(shown.context["cl"].result_list) == int(text.split()[0]), (label, url)
        assert shown.context["cl"].has_active_filters, url
    assert client.get(found["Last webhook"][2]).status_code == 200


def test_the_stalest_six_are_listed_with_progress_and_a_button(client):
    stale(7)

    response = client.get(TODAY)

    text = words(response)
    first = f"{named('P6')[:8]} Buy Processing 2 of 2 filled 1,000.00 EUR 11 h"
    assert first in text
    assert named("P1")[:8] in text
    assert named("P0")[:8] not in text
    assert text.index(named("P6")[:8]) < text.index(named("P5")[:8])
    assert f'action="/admin/orders/portfolioorder/{named("P6")}/refetch/"' in html(response)
    assert "All 7" in text


def test_a_stale_one_without_orders_waits_for_them(client):
    stale(1, orders=0)

    assert "waiting for orders" in words(client.get(TODAY))


def test_a_filled_one_without_orders_waits_for_none(client):
    settling = portfolio_order("FILLED", name="settling")
    receive(event("PORTFOLIO_ORDER.FILLED", settling), now=NOW - timedelta(days=10))

    text = words(client.get(TODAY))

    assert "Filled no orders" in text
    assert "waiting for orders" not in text


def test_of_each_status_the_stalest_are_compared(client, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="new")), now=NOW - timedelta(days=9))
    receive(
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", name="settling")),
        now=NOW - timedelta(days=10),
    )
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order("HALTED", name="odd")),
        now=NOW - timedelta(days=8),
    )

    rows = queries.stalest(NOW)

    assert [str(row.portfolio_order.pk) for row in rows] == [
        named("settling"), named("new"), named("odd"),
    ]  # fmt: skip
    assert rows[0].portfolio_order.news_at == NOW - timedelta(days=10)


def test_where_nothing_is_stale_the_page_says_so(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    text = words(client.get(TODAY))

    assert "Nothing is stale: all open orders are up to date." in text


def test_an_empty_desk_says_what_to_check(client):
    text = words(client.get(TODAY))

    assert (
        "No webhook received yet. Check the subscription for ORDER and PORTFOLIO_ORDER and the endpoint URL."
        in text
    )
    assert "No portfolio order was placed in the last 24 hours." in text
    assert (
        "Last discovery none in 24 h Last check none in 24 h Checks overdue none Queue empty"
        in text
    )


def test_who_may_not_refetch_sees_no_button(db):
    stale(1)

    assert "Refetch" not in words(browser("Viewer").get(TODAY))


def test_who_may_see_no_orders_sees_no_numbers(db):
    stale(1)
    client = browser("Viewer")
    user = client.get(TODAY).context["user"]
    user.groups.clear()

    text = words(client.get(TODAY))

    assert "Stale" not in text
    assert "You cannot see anything yet." in text


def test_the_page_asks_at_most_ten_questions_of_a_member_of_a_group_with_a_second_factor(
    db, settings
):
    settings.REQUIRE_SECOND_FACTOR = True
    client = browser("Operator")
    user_id = client.session["_auth_user_id"]
    device = TOTPDevice.objects.create(user_id=user_id, confirmed=True)
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.save()
    seen = []
    for count in (3, 50):
        stale(count)
        cache.clear()
        with CaptureQueriesContext(connection) as statements:
            assert "Stale portfolio orders" in words(client.get(TODAY))
        seen.append(len(statements))

    assert seen[0] == seen[1] <= 10, [query["sql"][:90] for query in statements]


def test_the_numbers_are_remembered_for_fifteen_seconds(client, clock):
    assert tiles(client.get(TODAY))["Open"][0].startswith("0 ")
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    clock.shift(panels.FRESH - 1)
    assert tiles(client.get(TODAY))["Open"][0].startswith("0 ")

    clock.shift(2)

    assert tiles(client.get(TODAY))["Open"][0].startswith("1 ")


def test_a_database_that_does_not_answer_costs_a_panel_not_the_page(client, monkeypatch):
    def fail(now):
        raise OperationalError("canceling statement due to statement timeout")

    stale(1)
    monkeypatch.setattr(queries, "numbers", fail)

    text = words(client.get(TODAY))

    assert "Counters unavailable" in text
    assert "Worker: counters unavailable" in text
    assert "1 of 1 filled" not in text
    assert "2 of 2 filled" in text  # the next panel is there


def test_a_cache_that_does_not_answer_is_asked_once_and_the_numbers_are_right(client, monkeypatch):
    asked = []

    def fail(_cache, key):
        asked.append(key)
        raise RedisConnectionError("Connection refused")

    monkeypatch.setattr(LocMemCache, "get", fail)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    assert tiles(client.get(TODAY))["Open"][0] == "1 New 1"
    assert len(asked) == 1


def test_the_worker_line_tells_of_a_dead_worker(client, clock):
    receive(event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING")))
    PortfolioOrder.objects.update(check_after=NOW - timedelta(minutes=6))
    journal.record_events([life()[1]], delivery_id=1, now=NOW - timedelta(minutes=2))
    entry = record_failure(
        Kind.PORTFOLIO_ORDER, UUID(named("P")), "503 Service Unavailable", source=Source.POLL,
        actor="", now=NOW - timedelta(minutes=7),
    )  # fmt: skip

    response = client.get(TODAY)

    text = words(response)
    assert (
        "Last check 7 min ago Checks overdue 1 portfolio order Queue 1 entry waiting, for 2 min"
        in text
    )
    assert "Last API error 7 min ago : 503 Service Unavailable" in text
    assert f"/admin/orders/journalentry/{entry.pk}/change/" in html(response)
    assert '<dd class="late"><a href="/admin/orders/journalentry/?outcome=PENDING"' in html(
        response
    )


def test_the_last_sweep_is_told_and_amber_when_none_comes_any_more(client, clock):
    assert "Worker heartbeat not known" in words(client.get(TODAY))
    pulse.note(now=NOW)
    panels.forget(queries.NUMBERS)
    response = client.get(TODAY)
    assert "Worker heartbeat just now" in words(response)
    assert '<dd class="late"' not in html(response)

    clock.shift(180)
    panels.forget(queries.NUMBERS)

    assert '<dd class="late"><time' in html(client.get(TODAY))


def test_a_round_under_way_is_no_error_and_one_that_is_missing_is_amber(client, clock):
    close_round(Outcome.NOTED, "7 listed, 1 new")
    clock.shift(60 * 20)
    journal.open_round(NOW + timedelta(minutes=20), now=NOW + timedelta(minutes=20))
    response = client.get(TODAY)
    assert "Last discovery just now 7 listed, 1 new" in words(response)
    assert "Last API error none in 24 h" in words(response)

    clock.shift(60 * 31)

    assert '<dd class="late"><time' in html(client.get(TODAY))


def test_a_failed_round_is_the_last_api_error(client):
    close_round(Outcome.FAILED, "503 from the broker")

    assert "Last API error just now : 503 from the broker" in words(client.get(TODAY))


def test_the_last_api_error_is_told_in_plain_words_and_in_the_zone_of_the_page(client):
    said = "GET /orders/x: not sent, rate limited by upstream until 09:15:00 UTC"
    record_failure(Kind.ORDER, UUID(named("nobody")), said, source=Source.POLL, actor="", now=NOW)

    shown = words(client.get(TODAY))
    assert "Last API error just now : Not sent: rate limited by the broker until 10:15:00" in shown


@pytest.mark.parametrize(
    ("source", "said", "shown"),
    [
        (Source.REFETCH, "GET /orders/x: 404 Not Found", False),
        (Source.REFETCH, "GET /orders/x: 503 Service Unavailable", True),
        (Source.POLL, "GET /orders/x: 404 Not Found", False),
        (Source.POLL, "GET /orders/x: 503 Service Unavailable", True),
    ],
)
def test_a_404_is_an_answer_and_no_api_error(client, source, said, shown):
    record_failure(Kind.ORDER, UUID(named("nobody")), said, source=source, actor="mira", now=NOW)

    assert ("Last API error none" not in words(client.get(TODAY))) is shown


def test_the_numbers_come_with_one_statement(db):
    with CaptureQueriesContext(connection) as statements:
        queries.numbers(NOW)

    assert len(statements) == 1


def test_orders_are_counted_in_the_hour_in_which_they_were_placed(client):
    old = portfolio_order(name="old", created_at="2026-03-01T09:59:59Z")
    edge = portfolio_order(name="edge", created_at="2026-03-01T10:00:00Z")
    receive(event("PORTFOLIO_ORDER.NEW", old), event("PORTFOLIO_ORDER.NEW", edge), *life())

    response = client.get(TODAY)

    assert "11:00 to 12:00: 1 placed, 1 open" in html(response)
    assert "10:00 to 11:00: 1 placed, 1 filled" in html(response)
    assert "2 placed in 24 hours, 1 filled, 1 open: by hour" in words(response)


HOUR = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_the_bars_of_a_chart_stand_on_each_other_and_fill_its_height():
    placed = {(HOUR, "FILLED"): 6, (HOUR, "SETTLED"): 3, (HOUR, "CANCELLED"): 1, (HOUR, "NEW"): 2}

    drawn = hours.chart(placed, now=HOUR + timedelta(minutes=5), zone=UTC)

    parts = drawn.bars[-1].parts
    assert [(part.name, part.count) for part in parts] == [
        ("filled", 9), ("cancelled", 1), ("open", 2),
    ]  # fmt: skip
    assert parts[0].y + parts[0].height == drawn.ground
    assert parts[1].y + parts[1].height < parts[0].y
    assert drawn.top <= parts[2].y < drawn.top + 5
    assert list(drawn.scale) == [(hours.TOP, 12), (hours.TOP + hours.HEIGHT / 2, 6)]
    assert drawn.names == ["filled", "cancelled", "open"]


def test_one_order_among_thousands_is_still_seen():
    placed = {(HOUR, "FILLED"): 50_000, (HOUR - timedelta(hours=3), "NEW"): 1}

    drawn = hours.chart(placed, now=HOUR, zone=UTC)

    assert drawn.bars[-4].parts[0].height == hours.LEAST


def test_a_status_that_nobody_knows_counts_as_open():
    drawn = hours.chart({(HOUR, "HALTED"): 1}, now=HOUR, zone=UTC)

    assert drawn.bars[-1].counts == {"filled": 0, "cancelled": 0, "open": 1}


def test_a_chart_without_orders_has_bars_and_no_scale():
    drawn = hours.chart({}, now=HOUR, zone=UTC)

    assert len(drawn.bars) == 24
    assert (drawn.total, drawn.scale, drawn.names) == (0, (), [])
    assert drawn.bars[0].title == "10:00 to 11:00: none placed"


def test_the_hour_that_comes_twice_in_autumn_has_two_bars():
    now = datetime(2026, 10, 25, 8, 30, tzinfo=UTC)
    placed = {
        (datetime(2026, 10, 25, 0, tzinfo=UTC), "NEW"): 1,  # 02:00 in summer time
        (datetime(2026, 10, 25, 1, tzinfo=UTC), "NEW"): 2,  # 02:00 in winter time
    }

    bars = hours.chart(placed, now=now, zone=BERLIN).bars

    twice = [bar for bar in bars if f"{bar.begins:%H:%M}" == "02:00"]
    assert [bar.total for bar in twice] == [1, 2]
    assert twice[0].title == "02:00 to 02:00: 1 placed, 1 open"
    assert twice[1].title == "02:00 to 03:00: 2 placed, 2 open"


def test_where_the_clock_is_half_an_hour_off_the_hours_begin_at_the_half():
    bars = hours.chart({}, now=HOUR, zone=ZoneInfo("Asia/Kolkata")).bars

    assert bars[-1].title.startswith("14:30 to 15:30")
