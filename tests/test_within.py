"""Previous and next on the page of a row are those of the filtered list that it was opened from."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice import admin
from orders import journal, projection
from orders.models import PortfolioOrder
from tests.staff import JOURNAL, LIST, browser, html, words
from tests.stories import START, event, named, portfolio_order

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(START + timedelta(hours=1), tick=False):
        yield


@pytest.fixture
def client():
    return browser()


def placed(name, **more):
    told = event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name, **more), name=f"of {name}")
    journal.record_events([told], delivery_id=1, now=START)
    projection.drain(now=START)


@pytest.fixture
def desk():
    """Seven to buy, two of one moment and two of an unknown one, and one to sell between them."""
    for n, created in enumerate(["05", "04", "04", "03", "01"]):
        placed(f"buy {n}", created_at=f"2026-03-02T08:{created}:00Z")
    placed("sell", type="SELL", created_at="2026-03-02T08:02:00Z")
    for n in (5, 6):
        placed(f"buy {n}")
    PortfolioOrder.objects.filter(pk__in=[named("buy 5"), named("buy 6")]).update(created_at=None)


def row_links(response):
    found = re.findall(r'<th class="field-short_id"><a href="([^"]+)"', html(response))
    return [unescape(it) for it in found]


def turn(response, label):
    found = re.search(rf'<a href="([^"]+)">[← ]*{label}', html(response))
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("asked", ["type=BUY", "type=BUY&status=NEW", "q=account&type=BUY"])
def test_next_walks_through_the_list_in_its_order_and_previous_walks_back(client, desk, asked):
    asked = asked.replace("account", named("account"))
    listed = row_links(client.get(f"{LIST}?{asked}"))
    assert len(listed) == 7

    walked = [listed[0]]
    while url := turn(client.get(walked[-1]), "Next in the list"):
        walked.append(url)
    back = [walked[-1]]
    while url := turn(client.get(back[-1]), "Previous in the list"):
        back.append(url)

    assert walked == listed
    assert back == listed[::-1]


def test_the_place_is_that_of_the_filtered_list(client, desk):
    third = row_links(client.get(f"{LIST}?type=BUY"))[2]

    assert "3 of 7 in Buy" in words(client.get(third))


def test_the_breadcrumb_leads_back_to_the_list_as_it_was(client, desk):
    url = row_links(client.get(f"{LIST}?type=BUY&placed=30d"))[0]

    assert f'<a href="{LIST}?type=BUY&amp;placed=30d">Portfolio orders</a>' in html(client.get(url))


def test_a_row_that_left_the_list_has_no_place_and_still_leads_back(client, desk):
    response = client.get(f"{LIST}{named('sell')}/change/?_changelist_filters=type%3DBUY")

    assert response.context["within"] is None
    assert f'<a href="{LIST}?type=BUY">Portfolio orders</a>' in html(response)


@pytest.mark.parametrize("filters", ["", "type=HOLD", "foo=1", "p=2", "%00", "status=NEW&p=999"])
def test_whatever_the_filters_are_the_page_is_shown(client, desk, filters):
    assert html(client.get(f"{LIST}{named('sell')}/change/?_changelist_filters={quote(filters)}"))


def test_a_list_too_long_to_count_is_told_as_such(client, desk, monkeypatch):
    listed = row_links(client.get(f"{LIST}?type=BUY"))
    monkeypatch.setattr(admin, "CAP", 3)

    assert "2 of 3+ in Buy" in words(client.get(listed[1]))
    assert client.get(listed[6]).context["within"].position == ""


def test_the_place_costs_two_questions_however_long_the_list(client, desk):
    def asked(url):
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        return len(queries)

    plain = f"{LIST}{named('buy 3')}/change/"
    asked(plain)

    assert asked(f"{plain}?_changelist_filters=type%3DBUY") == asked(plain) + 2


def test_entries_have_a_place_too(client, desk):
    response = client.get(f"{JOURNAL}?source=WEBHOOK")
    url = unescape(re.findall(r'<a href="([^"]+_changelist_filters[^"]+)"', html(response))[0])

    assert "1 of 8 in Webhook" in words(client.get(url))
