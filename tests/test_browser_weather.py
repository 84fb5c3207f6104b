"""The page of the broker's API in a browser, in good and in bad weather."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from backoffice.investment_api.breaker import FAILURES
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.sandbox import Trouble
from tests.browser import NARROW, WIDE, barriers
from tests.staff import browser
from tests.upstream import START, running

PAGE = "/admin/broker-api/"
PERSON, SUBMISSION, BACKGROUND = Urgency.PERSON, Urgency.SUBMISSION, Urgency.BACKGROUND


@pytest.fixture
def upstream(look, settings):
    with running(settings) as upstream:
        yield upstream


def ask(times, urgency, upstream=None, trouble=None):
    """Ask about an order that nobody knows; with a trouble, in vain."""
    if trouble:
        upstream.expect(trouble, times=times)
    for _ in range(times):
        with pytest.raises(InvestmentAPIError):
            api().portfolio_order(uuid4(), urgency=urgency)


def an_hour(upstream):
    """Have a busy hour, with trouble in the middle of it."""
    for minute in range(0, 60, 2):
        with time_machine.travel(START - timedelta(minutes=59 - minute), tick=False):
            for _ in range(minute % 7):
                api().verify_keys(urgency=PERSON)
            if minute in (20, 40):
                ask(3, PERSON, upstream, Trouble("problem", 429))
            if minute == 30:
                ask(4, SUBMISSION, upstream, Trouble("page", 502, path="/portfolios"))


def test_bad_weather_is_told_on_today_and_explained_on_the_page(look, upstream):
    api().verify_keys(urgency=PERSON)
    ask(FAILURES, BACKGROUND, upstream, Trouble("cut"))
    window = look(browser())

    shown = window.open("/admin/")
    line = shown.locator(".worker a", has_text="not answering since")
    assert "late" in line.get_attribute("class")
    line.click()

    assert window.path() == PAGE
    assert shown.locator("#weather .badge").inner_text() == "Not answering"
    assert "Requests by staff are always sent." in shown.locator("#weather").inner_text()
    assert "connection was closed before an answer came" in shown.locator("#failure").inner_text()
    assert shown.locator("#nav-sidebar [aria-current=page]").inner_text() == "Broker API"
    assert window.complaints == []


def test_the_bars_of_an_hour_have_a_table_for_who_cannot_see_them(look, upstream):
    an_hour(upstream)
    shown = look(browser()).open(PAGE)

    assert shown.locator("svg.minutes g").count() == 60
    assert shown.locator("svg.minutes .part-throttled").count() == 2
    assert shown.locator("svg.minutes .part-failed").count() == 1
    said = shown.locator("svg.minutes").get_attribute("aria-label")
    assert said.startswith("Requests of the last hour: 88 answered, 6 throttled, 4 failed; at most")
    assert shown.locator("#requests table").first.locator("tbody tr").count() == 60
    tallest = shown.locator("svg.minutes rect:not(.hit)").evaluate_all(
        "bars => Math.max(...bars.map(bar => bar.getBoundingClientRect().height))"
    )
    assert 60 < tallest <= 111


@pytest.mark.parametrize(
    ("weather", "badge"),
    [
        ("before the first call", "Quiet"),
        ("busy", "Throttled"),
        ("silent", "Not answering"),
        ("a gateway", "Not answering"),
        ("paused", "Paused"),
        ("unset", "Not set up"),
    ],
)
def test_no_barrier_stands_in_it_and_nothing_is_cut_off(look, upstream, settings, weather, badge):
    if weather in ("busy", "silent"):
        an_hour(upstream)
    if weather == "silent":
        ask(FAILURES, SUBMISSION, upstream, Trouble("cut"))
    if weather == "a gateway":
        ask(FAILURES, SUBMISSION, upstream, Trouble("gateway", 404, "no route", path="/portfolios"))
    if weather == "paused":
        ask(1, BACKGROUND, upstream, Trouble("problem", 429, retry_after="90", path="/portfolios"))
    if weather == "unset":
        settings.INVESTMENT_API_URL = ""
    window = look(browser())

    for path in (PAGE, "/admin/"):
        shown = window.open(path)
        assert path != PAGE or shown.locator("#weather .badge").inner_text() == badge
        for scheme, (width, height) in [
            ("light", WIDE), ("dark", WIDE), ("light", NARROW), ("dark", NARROW),
        ]:  # fmt: skip
            shown.emulate_media(color_scheme=scheme)
            shown.set_viewport_size({"width": width, "height": height})
            assert barriers(shown) == [], (path, scheme)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert window.complaints == []
