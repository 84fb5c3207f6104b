"""The watch over our subscription: what it finds, when it alarms, and where the alarm is told."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from backoffice.celery import app
from backoffice.market_hours import MarketHours
from backoffice.sandbox import Trouble
from orders import pulse
from orders.models import PortfolioOrder
from tests.staff import browser, words
from tests.upstream import START, running
from webhooks import tasks
from webhooks.models import Delivery, FeedWatch, Verdict
from webhooks.subscriptions import setup, silence, wanted, watch
from webhooks.subscriptions.condition import State

pytestmark = pytest.mark.django_db
URL = "https://desk.example.com/webhooks/investment-api"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def upstream(settings):
    settings.WEBHOOK_PUBLIC_URL = URL
    with running(settings) as upstream:
        yield upstream


def check():
    watch.check(now=timezone.now())
    return watch.current(now=timezone.now())


def change(upstream, **changes):
    (it,) = upstream.subscriptions.all()
    upstream.subscriptions.update(it.id, changes, now=timezone.now())


def order(status="PROCESSING", created_at=START - 2 * HOUR):
    return PortfolioOrder.objects.create(
        pk=uuid4(), status=status, created_at=created_at, news_at=created_at
    )


def delivery(received_at, verdict=Verdict.ACCEPTED):
    Delivery.objects.create(received_at=received_at, verdict=verdict)


def test_it_finds_what_is_registered(upstream):
    assert check().state is State.MISSING
    setup.ensure(actor="mira")
    assert check().state is State.OK
    change(upstream, config={"delay": "9s"}, title="Another")
    assert check().state is State.DRIFTED
    assert "Different: batching interval, title." in check().sentence
    change(upstream, enabled=False)
    assert check().state is State.DISABLED
    upstream.subscriptions.delete(upstream.subscriptions.all()[0].id)
    assert check().state is State.MISSING


def test_it_remembers_since_when_it_is_so(upstream):
    check()
    upstream.deliver(seconds=600)
    check()
    assert watch.learned().since == START

    setup.ensure(actor="mira")

    assert watch.learned().since == START + 10 * MINUTE


def test_an_api_that_does_not_answer_is_told_with_since_when(upstream):
    setup.ensure(actor="mira")
    upstream.expect(Trouble("problem", 503, path="/webhooks"), times=9)

    for _ in range(4):
        upstream.deliver(seconds=300)
        it = check()

    assert (it.state, it.is_alarm) == (State.UNCHECKED, True)
    assert "could not be checked since 10:00" in it.sentence  # in Berlin
    assert "has not answered since 10:05 (GET /webhooks: 503" in it.sentence
    upstream._upstream.troubles.clear()
    assert check().state is State.OK
    assert watch.learned().error == ""


def test_a_process_without_credentials_is_told_too(settings):
    settings.WEBHOOK_PUBLIC_URL = URL

    assert check().state is State.UNCHECKED
    assert "INVESTMENT_API" in watch.learned().error


# Silence


@pytest.mark.parametrize(
    ("minutes", "is_silent"),
    [(59, False), (61, True)],
)
def test_an_hour_without_a_webhook_while_an_order_is_open_is_silence(minutes, is_silent):
    order()
    delivery(START - minutes * MINUTE)

    assert bool(silence.silent_since(START)) == is_silent


def test_a_quiet_feed_without_an_open_order_is_no_silence():
    order("SETTLED")
    order("FILLED")
    delivery(START - 5 * HOUR)

    assert silence.silent_since(START) is None


def test_a_refused_delivery_breaks_no_silence():
    order()
    delivery(START - 2 * HOUR)
    delivery(START - MINUTE, Verdict.REFUSED)

    assert silence.silent_since(START) == START - 2 * HOUR


def test_an_unreadable_one_does():
    order()
    delivery(START - MINUTE, Verdict.UNREADABLE)

    assert silence.silent_since(START) is None


def test_the_silence_before_an_order_was_placed_does_not_count():
    order("NEW", START - 30 * MINUTE)
    delivery(START - 5 * HOUR)

    assert silence.silent_since(START) is None
    assert silence.silent_since(START + HOUR) == START - 30 * MINUTE


def test_a_silence_ends_with_the_next_webhook_not_with_the_next_check(upstream):
    setup.ensure(actor="mira")
    order()
    delivery(START - 90 * MINUTE)
    assert check().state is State.SILENT

    delivery(START - MINUTE, Verdict.REFUSED)
    assert watch.current(now=START).state is State.SILENT
    delivery(START - MINUTE)

    assert watch.current(now=START).state is State.OK
    assert "No webhook has arrived" not in words(browser().get("/admin/webhooks/subscription/"))


def test_a_desk_to_which_no_webhook_ever_came_is_silent_too():
    order(created_at=START - 2 * HOUR)

    assert silence.silent_since(START) == START - 2 * HOUR


def test_only_market_hours_count(settings):
    settings.MARKET_HOURS = MarketHours.parse("Mon-Fri 07:30-22:00 Europe/Berlin")
    friday_evening = datetime(2026, 3, 6, 20, 30, tzinfo=UTC)  # half an hour before it closes
    order(created_at=friday_evening)
    delivery(friday_evening)

    assert silence.silent_since(datetime(2026, 3, 8, 12, tzinfo=UTC)) is None
    assert silence.silent_since(datetime(2026, 3, 9, 6, 55, tzinfo=UTC)) is None
    assert silence.silent_since(datetime(2026, 3, 9, 7, 5, tzinfo=UTC)) == friday_evening


def test_how_long_is_too_long_is_a_setting(settings):
    settings.FEED_SILENT_AFTER = 10 * MINUTE
    order()
    delivery(START - 11 * MINUTE)

    assert silence.silent_since(START) == START - 11 * MINUTE


def test_silence_is_noticed_though_the_api_does_not_answer_and_ends_with_a_webhook(upstream):
    setup.ensure(actor="mira")
    order()
    upstream.expect(Trouble("problem", 503, path="/webhooks"), times=1)

    assert check().state is State.SILENT
    delivery(START)
    assert check().state is State.OK


# The task


def test_two_beats_make_one_check(upstream):
    tasks.watch_feed.apply()
    tasks.watch_feed.apply()
    assert upstream.asked() == ["GET /webhooks"]

    upstream.deliver(seconds=299)
    tasks.watch_feed.apply()
    assert upstream.asked() == []
    upstream.deliver(seconds=1)
    tasks.watch_feed.apply()
    assert upstream.asked() == ["GET /webhooks"]


def test_beat_rings_for_it_more_often_than_it_is_due():
    entry = app.conf.beat_schedule["watch-feed"]

    assert entry["task"] == tasks.watch_feed.name
    assert timedelta(seconds=entry["schedule"]) < watch.EVERY


def test_a_database_that_is_away_leaves_it_to_the_next_beat(monkeypatch, caplog):
    def fail(**_):
        raise OperationalError("it is starting up")

    monkeypatch.setattr(watch, "check_if_due", fail)

    tasks.watch_feed.apply(throw=True)

    assert "The watch was cut short" in caplog.text


# Where it is told


def test_readiness_names_the_alarm_and_keeps_the_process_in_service(upstream, client):
    check()

    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["feed"] == "MISSING: We are not subscribed at the broker"


def test_readiness_tells_strangers_no_address_and_no_error(upstream, client):
    upstream.expect(Trouble("problem", 503, path="/webhooks"), times=1)
    check()

    text = client.get("/health/ready").content.decode()

    assert "UNCHECKED: The subscription is not being checked" in text
    assert "desk.example.com" not in text
    assert "503" not in text


def test_readiness_is_ok_while_the_feed_is(upstream, client):
    setup.ensure(actor="mira")
    pulse.note(now=timezone.now())  # a worker has swept

    assert client.get("/health/ready").json()["feed"] == "ok"
    assert client.get("/health/ready").json()["status"] == "ok"


def numbers(scraper):
    text = scraper.get("/metrics").content.decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("order_desk_feed")
    }


def test_the_metrics_have_the_alarm_the_state_and_the_age_of_the_check(upstream, scraper):
    before = numbers(scraper)
    assert (before["order_desk_feed_alarm"], before["order_desk_feed_state unchecked"]) == (1, 1)
    assert "order_desk_feed_checked_seconds" not in before

    setup.ensure(actor="mira")
    upstream.deliver(seconds=60)

    found = numbers(scraper)
    assert (found["order_desk_feed_alarm"], found["order_desk_feed_state ok"]) == (0, 1)
    assert sum(n for name, n in found.items() if "feed_state" in name) == 1
    assert found["order_desk_feed_checked_seconds"] == 60


def test_today_shows_the_alarm_at_its_top_and_nothing_while_all_is_well(upstream, clocked_cache):
    check()
    mira = browser()

    said = words(mira.get("/admin/"))
    assert f"We are not subscribed at the broker. No updates arrive at {URL}" in said
    assert said.index("We are not subscribed at the broker") < said.index("Last webhook")

    setup.ensure(actor="mira")
    assert "not subscribed" not in words(mira.get("/admin/"))


def test_without_an_address_today_does_not_alarm(db, settings):
    assert "is not checked" not in words(browser().get("/admin/"))


def test_the_row_of_the_watch_is_one():
    watch.the_row()
    watch.the_row()

    assert FeedWatch.objects.count() == 1


def test_what_should_be_registered_is_what_upstream_accepts(upstream):
    it = upstream.subscriptions.create(wanted.document(URL), now=START)

    assert it.type == wanted.TOPICS
