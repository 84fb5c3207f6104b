"""The page of the broker's API, the line on Today that leads to it, and its numbers for Prometheus."""

import re
from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from backoffice import panels
from backoffice.investment_api.breaker import FAILURES
from backoffice.investment_api.budget import Outlook, Urgency
from backoffice.investment_api.client import api, forget_api
from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.investment_api.weather import Minute, Report
from backoffice.sandbox import Trouble
from backoffice.weather.chart import HEIGHT, TOP, chart
from backoffice.weather.condition import State, condition
from backoffice.weather.reading import RECENT
from tests.staff import browser, html, words
from tests.upstream import START, running

pytestmark = pytest.mark.django_db
PAGE = "/admin/broker-api/"
MINUTE = timedelta(minutes=1)
CALM = Outlook(10, 8, 8, None, None)


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def fail(upstream, trouble, times, urgency=Urgency.BACKGROUND):
    upstream.expect(trouble, times=times)
    for _ in range(times):
        with pytest.raises(InvestmentAPIError):
            api().portfolio_order(uuid4(), urgency=urgency)


# The sentence and the bars, pure


def told(*minutes, **more):
    counts = {("person", "answered"): 1}
    it = Minute(START, counts, timedelta(), timedelta())
    return Report(minutes=minutes or (it,), **more)


def test_the_worst_is_told():
    resting = Outlook(10, 8, 0, START + MINUTE, START + MINUTE)

    assert condition(told(), CALM, now=START).state is State.ANSWERING
    assert condition(Report(), CALM, now=START).state is State.QUIET
    assert condition(None, CALM, now=START).state is State.UNKNOWN
    assert condition(told(), Outlook(10, 8, 4, None, None), now=START).state is State.THROTTLED
    assert condition(None, resting, now=START).state is State.PAUSED


def test_a_share_that_comes_back_is_told_in_numbers():
    it = condition(told(), Outlook(10, 8, 4, None, None), now=START)

    assert it.sentence.startswith(
        "The broker answered 429: background work may use 4 of its 8 requests per second, and more"
    )
    assert it.summary == "429: background work limited to 4 of 8"
    assert it.is_bad


def test_a_bar_for_each_minute_is_as_high_as_its_calls():
    counts = {("person", "answered"): 30, ("background", "answered"): 10, ("background", "429"): 20}
    full = Minute(START, counts, timedelta(), timedelta())
    few = Minute(START - MINUTE, {("person", "network"): 6}, timedelta(), timedelta())

    it = chart([few, full], now=START + timedelta(seconds=30), zone=UTC)

    assert len(it.bars) == 60
    assert it.most == 60
    assert [bar.total for bar in it.bars[-3:]] == [0, 6, 60]
    answered, throttled = it.bars[-1].parts
    assert (answered.name, round(answered.height)) == ("answered", round(HEIGHT * 40 / 60))
    assert throttled.y == pytest.approx(TOP, abs=0.2)
    assert it.bars[-1].told == "40 answered, 20 throttled"
    assert it.bars[-3].told == "no request"
    assert it.names == ["answered", "throttled", "failed"]
    assert it.sentence == (
        "Requests of the last hour: 40 answered, 20 throttled, 6 failed; at most 60 in a minute"
    )


# The page


def test_before_the_first_call_the_page_says_so(upstream):
    said = words(browser().get(PAGE))

    assert "No requests in the last hour." in said
    assert "No failure recorded." in said
    assert "Reading" not in said
    assert said.count("not fetched yet") == 4


def test_the_page_tells_of_the_last_hour(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("problem", 503, path="/portfolios"), 2)
    fail(upstream, Trouble("cut", path="/portfolios"), 1, Urgency.PERSON)

    said = words(browser().get(PAGE))

    assert "Answering The broker answers." in said
    assert "Requests, last hour 5" in said
    assert "Errors, last hour 3" in said
    assert "Failed at the broker (5xx) 0 0 2 2" in said
    assert "No answer (timeout, connection) 1 0 0 1" in said
    assert "Answered 2 0 0 2" in said
    assert said.count("GET /portfolios/orders/") == 1  # the call, beside what was said of it
    assert "Last failure The connection was closed before an answer came When" in said
    assert "Circuit breaker normal" in said
    assert "1,000 requests per second" in said
    assert "orders:read portfolios:read webhooks:read just now in" in said
    assert said.count("not fetched yet") == 3


def test_the_page_tells_of_throttling(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("problem", 429), 1, Urgency.PERSON)

    said = words(browser().get(PAGE))

    assert "Throttled The broker answered 429: background work is paused until 10:00:0" in said
    assert "0 of 800 per second, paused until 10:00:0" in said
    assert "429, too many requests 1 0 0 1" in said


def test_the_page_tells_until_when_the_broker_wants_nothing(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("problem", 429, retry_after="90"), 1, Urgency.PERSON)

    said = words(browser().get(PAGE))

    told = "Paused The broker asked us to wait: background work, placing and cancelling wait until 10:01:"
    assert told in said
    assert "Requests by staff are always sent." in said
    assert "Paused by the broker until 10:01:" in said


def test_the_page_tells_that_the_broker_does_not_answer(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("cut"), FAILURES)

    said = words(browser().get(PAGE))

    assert "Not answering The broker has not answered since" in said
    assert "Background work, placing and cancelling wait; the next try is at 10:00:0" in said
    assert "Circuit breaker open, no answer since" in said


def test_the_token_is_not_on_the_page(upstream):
    api().verify_keys()
    held = [tokens._held.text for tokens in api()._tokens.values() if tokens._held]

    assert held
    assert held[0] not in html(browser().get(PAGE))


def test_without_redis_the_page_says_that_there_are_no_counters(upstream, monkeypatch):
    monkeypatch.setattr(api().weather, "report", lambda now: None)

    said = words(browser().get(PAGE))

    assert "Unknown Counters unavailable" in said
    assert "Requests per minute, last hour Counters unavailable" in said
    assert "1,000 requests per second" in said


def test_without_settings_the_page_names_what_is_missing(settings):
    settings.INVESTMENT_API_URL = ""
    forget_api()

    assert "Not set up The broker's API cannot be called: " in words(browser().get(PAGE))


def test_the_page_costs_no_query_of_its_own(upstream):
    api().verify_keys()
    client = browser()
    client.get(PAGE)
    with CaptureQueriesContext(connection) as statements:
        client.get(PAGE)

    ours = [it["sql"] for it in statements if "auth_" not in it["sql"]]
    assert [sql for sql in ours if "session" not in sql] == []


@pytest.mark.parametrize("group", ["Viewer", "Operator", "Auditor", "Trader"])
def test_whoever_may_view_portfolio_orders_may_see_it_and_finds_it_in_the_sidebar(upstream, group):
    client = browser(group)

    assert f'href="{PAGE}"' in html(client.get("/admin/orders/portfolioorder/"))
    assert client.get(PAGE).status_code == 200


def test_nobody_else_sees_it_or_a_link_to_it(upstream, client):
    nobody = browser("Viewer")
    User.objects.get().groups.clear()

    assert nobody.get(PAGE).status_code == 403
    assert PAGE not in html(nobody.get("/admin/"))
    assert client.get(PAGE).status_code == 302


def test_the_page_is_only_read(upstream):
    assert browser().post(PAGE).status_code == 405


# Today


def test_today_has_a_line_that_leads_to_the_page(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    client = browser()
    assert f'<a href="{PAGE}">answering</a>' in html(client.get("/admin/"))

    fail(upstream, Trouble("cut"), FAILURES)
    panels.forget(RECENT)

    shown = html(client.get("/admin/"))
    assert re.search(
        rf'<a class="late" href="{PAGE}">not answering since \d\d:\d\d:\d\d</a>', shown
    )


@pytest.mark.parametrize("call", [
    lambda: api().portfolio_order(uuid4()),
    lambda: api().place_portfolio_order(b"{}", idempotency_key=uuid4()),
    lambda: api().cancel_portfolio_order(uuid4()),
    lambda: next(iter(api().subscriptions())),
], ids=["ask", "placement", "cancellation", "subscription"])  # fmt: skip
def test_the_last_error_of_any_kind_of_call_is_the_same_on_today_and_on_the_page(upstream, call):
    api().verify_keys(urgency=Urgency.PERSON)
    client = browser()
    assert "Last API error none in 24 h" in words(client.get("/admin/"))
    upstream.expect(Trouble("cut"))
    with pytest.raises(InvestmentAPIError):
        call()
    panels.forget(RECENT)

    report = api().weather.report(now=timezone.now())

    assert report and report.failure
    failure = report.failure
    assert failure.call.split()[0] in failure.words  # for those who look closely, beside the words
    said = "The connection was closed before an answer came"
    assert said in words(client.get(PAGE))
    assert f"Last API error just now : {said}" in words(client.get("/admin/"))


# Metrics


def numbers(scraper):
    text = scraper.get("/metrics").content.decode()
    return {
        " ".join([sample.name.removeprefix("order_desk_api_"), *sample.labels.values()]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("order_desk_api_")
    }


def test_the_metrics_count_requests_by_urgency_and_outcome(upstream, scraper):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("cut"), FAILURES)

    found = numbers(scraper)

    assert found["readable"] == 1
    assert found["requests_total answered person"] == 2
    assert found["requests_total network background"] == FAILURES
    assert found["requests_total 429 submission"] == 0
    assert found["breaker_open"] == 1
    assert found["background_share"] == 800
    assert found["paused_seconds"] == 0


def test_the_metrics_tell_of_throttling(upstream, scraper):
    api().verify_keys(urgency=Urgency.PERSON)
    fail(upstream, Trouble("problem", 429, retry_after="90"), 1)

    found = numbers(scraper)

    assert found["background_share"] == 0
    assert 80 < found["paused_seconds"] <= 90
    assert found["breaker_open"] == 0


def test_what_cannot_be_read_is_a_number_not_an_error(scraper, settings):
    settings.INVESTMENT_API_URL = ""
    forget_api()

    assert numbers(scraper) == {"readable": 0}


def test_the_condition_goes_by_the_display_zone():
    later = START + timedelta(seconds=30)
    with timezone.override("Asia/Tokyo"):
        it = condition(told(), Outlook(10, 8, 0, later, later), now=START)

    assert "wait until 18:00:30" in it.sentence
