"""The tabs of the list of portfolio orders, its dates, and what it asks of a large table."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.admin import tabs
from orders.models import PortfolioOrder
from tests.staff import LIST, browser, html, words
from tests.stories import START, event, named, order, portfolio_order

NOW = START + timedelta(minutes=5)
PERMISSIONS = ("auth_permission", "auth_group")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


def receive(*events, now=NOW):
    journal.record_events(events, delivery_id=1, now=now)
    projection.drain(now=now)


def placed(name, status="NEW", **more):
    receive(event(f"PORTFOLIO_ORDER.{status}", portfolio_order(status, name=name, **more)))


@pytest.fixture
def one_of_each():
    placed("new")
    placed("processing", "PROCESSING")
    placed("filled", "FILLED")
    placed("settled", "SETTLED")
    placed("cancelled", "CANCELLED")
    placed("odd", "HALTED")
    PortfolioOrder.objects.filter(pk=named("processing")).update(news_at=NOW - timedelta(days=1))


def shown(response):
    return {str(row.pk) for row in response.context["cl"].result_list}


def tab(response, label):
    return next(tab for tab in response.context["cl"].tabs if tab.label == label)


@pytest.mark.parametrize(("label", "names"), [
    ("All", ["new", "processing", "filled", "settled", "cancelled", "odd"]), ("New", ["new"]),
    ("Processing", ["processing"]), ("Stale", ["processing"]), ("Filled", ["filled", "settled"]),
    ("Cancelled", ["cancelled"]), ("Problems", ["odd"]),
])  # fmt: skip
def test_each_tab_leads_to_its_portfolio_orders_and_is_the_current_one_there(
    client, one_of_each, label, names
):
    response = client.get(f"{LIST}{tab(client.get(LIST), label).query}")

    assert shown(response) == {named(name) for name in names}
    assert [tab.label for tab in response.context["cl"].tabs if tab.is_current] == [label]


def test_what_needs_work_is_counted_and_the_rest_is_not(client, one_of_each):
    text = words(client.get(LIST, {"status": "CANCELLED"}))

    assert "All New 1 Processing 1 Stale 1 Filled Cancelled Problems 1" in text


def test_a_count_stops_at_its_limit(client, monkeypatch):
    monkeypatch.setattr(tabs, "MOST", 2)
    for name in "abc":
        placed(name)

    assert tab(client.get(LIST), "New").count == "2+"


def test_a_portfolio_order_with_several_problems_counts_once(client):
    receive(
        event("PORTFOLIO_ORDER.HALTED", portfolio_order("HALTED")),
        *(event("ORDER.HALTED", order(name, "HALTED")) for name in "ABC"),
    )

    assert tab(client.get(LIST), "Problems").count == "1"


def test_a_tab_keeps_what_is_searched_for_and_the_other_filters(client, one_of_each):
    asked = {"q": named("filled"), "placed": "30d", "status": "NEW", "problem": "any", "p": 2}

    found = tab(client.get(LIST, asked), "Stale").query

    assert found == f"?freshness=stale&placed=30d&q={named('filled')}"


def test_a_tab_with_a_second_filter_of_its_kind_is_no_tab(client, one_of_each):
    response = client.get(LIST, {"status": "PROCESSING", "freshness": "stale"})

    assert not any(tab.is_current for tab in response.context["cl"].tabs)
    assert shown(response) == {named("processing")}


@pytest.mark.parametrize("status", ["CANCELLED", "FILLED", "SETTLED"])
def test_a_portfolio_order_that_has_ended_without_orders_waits_for_none(client, status):
    placed("over", status)

    text = words(client.get(LIST))

    assert "no orders" in text
    assert "waiting for orders" not in text


def test_the_days_from_and_to_are_those_of_the_display_zone_and_both_count(client):
    placed("before", created_at="2026-02-28T22:59:59Z")  # 23:59:59 in Berlin
    placed("first", created_at="2026-02-28T23:00:00Z")
    placed("last", created_at="2026-03-02T22:59:59Z")
    placed("after", created_at="2026-03-02T23:00:00Z")

    response = client.get(LIST, {"placed_from": "2026-03-01", "placed_to": "2026-03-02"})

    assert shown(response) == {named("first"), named("last")}
    assert "Placed: from 1 Mar 2026 to 2 Mar 2026" in words(response)


def test_where_nothing_is_stale_the_list_says_so_as_today_does(client):
    placed("young")

    said = "Nothing is stale: all open orders are up to date."
    assert f"{said} Show all" in words(client.get(LIST, {"freshness": "stale"}))
    assert said not in words(client.get(LIST, {"freshness": "stale", "type": "SELL"}))
    assert said not in words(client.get(LIST, {"freshness": "stale", "q": "abc"}))


def test_what_is_wrong_with_an_order_marks_its_portfolio_order_in_the_list_of_problems(client):
    placed("whole", "PROCESSING")
    receive(event("ORDER.HALTED", order("part", "HALTED", 9, parent="whole")))
    placed("sound")

    response = client.get(LIST, {"problem": "any"})

    assert shown(response) == {named("whole")}
    assert "Processing Problem" in words(response)
    assert 'title="The broker reported a status that this release does not know."' in html(response)


@pytest.mark.parametrize(("asked", "names"), [
    ({"placed_from": "2026-03-02"}, {"young"}), ({"placed_to": "2026-03-01"}, {"old"}),
    ({"placed_from": "", "placed_to": ""}, {"old", "young"}),
    ({"placed_from": "2026-02-30", "placed_to": "9999-12-31"}, set()),
    ({"placed_from": "0001-01-01"}, set()),
])  # fmt: skip
def test_one_day_may_be_missing_and_a_text_that_is_no_day_finds_nothing(client, asked, names):
    placed("old", created_at="2026-02-20T12:00:00Z")
    placed("young")

    assert shown(client.get(LIST, asked)) == {named(name) for name in names}


def test_the_days_end_on_the_short_day_of_the_change_to_summer_time(client, clock):
    clock.move_to(START + timedelta(days=60))
    placed("inside", created_at="2026-03-29T21:59:59Z")  # 23:59:59, after the change
    placed("outside", created_at="2026-03-29T22:00:00Z")

    asked = {"placed_from": "2026-03-29", "placed_to": "2026-03-29"}

    assert shown(browser(name="later").get(LIST, asked)) == {named("inside")}


def test_the_form_of_the_days_keeps_the_other_filters_and_a_choice_drops_the_days(client):
    placed("one")

    text = html(client.get(LIST, {"status": "NEW", "placed_from": "2026-03-01", "p": 1}))

    assert '<input type="hidden" name="status" value="NEW">' in text
    assert 'href="?placed=7d&amp;status=NEW"' in text
    assert 'name="placed_from" value="2026-03-01"' in text


def test_clearing_the_filters_takes_the_days_away_too(client):
    asked = {"q": "abc", "status": "NEW", "placed_from": "2026-03-01", "placed_to": "2026-03-02"}

    assert '<a href="?q=abc">Clear filters</a>' in html(client.get(LIST, asked))


def questions(client, query=""):
    """Return what one page of the list asks, but for whether this person may see it."""
    with CaptureQueriesContext(connection) as asked:
        html(client.get(f"{LIST}{query}"))
    return [
        query["sql"] for query in asked if not any(table in query["sql"] for table in PERMISSIONS)
    ]


ROWS = """
INSERT INTO orders_portfolioorder (
    id, status, fact, currency, cash_amount, client_reference, initiation_flow, cancellation_reason,
    announced, problems, heard_via, checks, check_error, type, cancellation_details,
    created_at, news_at, heard_at
)
SELECT gen_random_uuid(),
    (ARRAY['NEW', 'PROCESSING', 'FILLED', 'SETTLED', 'CANCELLED'])[1 + n %% 5], '', 'EUR', '10.00', '',
    'API', '', '', CASE WHEN n %% 50 = 0 THEN 1 ELSE 0 END, 'WEBHOOK', 0, '', 'BUY', '',
    %s - n * interval '1 minute', %s - n * interval '1 hour', %s
FROM generate_series(1, %s) AS n
"""


PAGES = ["", "?p=2", "?status=DONE", "?freshness=stale", "?problem=any", "?placed=7d&type=BUY"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="rows are made by PostgreSQL")
def test_a_page_asks_the_same_five_questions_of_60_and_of_100000_portfolio_orders():
    readers = [browser(group, name=f"in {group}") for group in ("", "Viewer", "Operator")]
    asked = []
    for count in (60, 100_000):
        with connection.cursor() as cursor:
            cursor.execute(ROWS, [NOW, NOW, NOW, count])
        asked.append([len(questions(reader, page)) for reader in readers for page in PAGES])

    assert asked[0] == asked[1]
    assert set(asked[1]) == {5}


@pytest.mark.parametrize("group", ["", "Viewer"])
def test_the_tabs_cost_no_question_of_their_own(group, one_of_each):
    assert len(questions(browser(group, name="counter"))) <= 5
