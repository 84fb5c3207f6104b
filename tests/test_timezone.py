"""The zone of the times on the screens: that of the settings, or UTC for whoever asks for it."""

from datetime import timedelta
from uuid import UUID

import pytest
import time_machine

from orders import journal, projection
from tests.staff import LIST, browser, html, page, words
from tests.stories import START, event, named, portfolio_order

P = UUID(named("P"))

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def known():
    now = START + timedelta(minutes=5)
    with time_machine.travel(now, tick=False):
        journal.record_events(
            [event("PORTFOLIO_ORDER.NEW", portfolio_order())], delivery_id=1, now=now
        )
        projection.drain(now=now)
        yield


@pytest.fixture
def client():
    return browser()


def test_times_are_those_of_the_settings_with_zone_and_offset(client):
    text = words(client.get(page(P)))

    assert "Times in Europe/Berlin (UTC+1) Show in UTC" in text
    assert "10:00:00" in text


def test_one_link_shows_them_in_utc_on_every_page_until_another_brings_them_back(client):
    assert 'href="?show=problems&amp;tz=utc"' in html(client.get(page(P), {"show": "problems"}))

    response = client.get(page(P), {"show": "problems", "tz": "utc"})
    assert response["Location"] == f"{page(P)}?show=problems"

    text = words(client.get(page(P)))
    assert "Times in UTC Show in Europe/Berlin" in text
    assert "09:00:00" in text
    assert 'title="2 Mar 2026, 09:00:00"' in html(client.get(LIST))
    client.get(page(P), {"tz": "local"})
    assert "Times in Europe/Berlin" in words(client.get(page(P)))


def test_the_choice_is_of_one_person_only(client):
    client.get(page(P), {"tz": "utc"})

    assert "Times in Europe/Berlin" in words(browser(name="ben").get(page(P)))


def test_a_list_can_be_asked_for_in_utc_too_and_its_days_are_those_of_utc(client):
    assert client.get(LIST, {"status": "NEW", "tz": "utc"})["Location"] == f"{LIST}?status=NEW"
    late = portfolio_order(name="late", created_at="2026-03-01T23:30:00Z")  # 00:30 in Berlin
    journal.record_events([event("PORTFOLIO_ORDER.NEW", late)], delivery_id=2, now=START)
    projection.drain(now=START)

    shown = client.get(LIST, {"placed_from": "2026-03-02"}).context["cl"].result_list

    assert [row.pk for row in shown] == [P]


def test_a_zone_that_is_no_choice_is_ignored(client):
    assert "Times in Europe/Berlin" in words(client.get(page(P), {"tz": "Mars/Olympus"}))


def test_where_the_settings_say_utc_there_is_nothing_to_choose(client, settings):
    settings.TIME_ZONE = "UTC"

    text = words(client.get(page(P)))

    assert "Times in UTC" in text
    assert "Show in" not in text


def test_the_way_back_leads_to_no_other_site(client):
    assert client.get("/?tz=utc", PATH_INFO="//a.example/")["Location"] == "/%2Fa.example/"
