"""The lists of staff: what they show, what they ask the database, what they refuse."""

from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.tracked import Source
from tests.listed import NOW, receive
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, words
from tests.stories import START, event, execution, life, named, order, portfolio_order

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


def many(count):
    """Record ``count`` portfolio orders with two orders each."""
    for number in range(count):
        name = f"P{number}"
        receive(
            event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)),
            event("ORDER.NEW", order(f"A{number}", parent=name)),
            event("ORDER.FILLED", order(f"B{number}", "FILLED", 9, parent=name)),
        )


def shown(response):
    return [str(row.pk) for row in response.context["cl"].result_list]


@pytest.mark.parametrize("path", [LIST, ORDERS, JOURNAL])
def test_a_list_page_asks_the_same_few_questions_for_3_rows_and_for_50(client, path):
    many(3)
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert html(client.get(path))
    many(50)
    with CaptureQueriesContext(connection) as more:
        assert html(client.get(path))

    assert len(few) == len(more) <= 5, [query["sql"] for query in more]


def test_a_list_row_tells_status_amount_progress_and_when_it_was_last_heard_of(client):
    receive(*life()[:8], now=START + timedelta(seconds=30))

    text = words(client.get(LIST))

    assert (
        f"{named('P')[:8]} Processing Buy 1,000.00 EUR 1 of 2 filled 5 min ago 4 min ago webhook"
        in text
    )


def test_a_portfolio_order_without_orders_waits_for_them(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    assert "waiting for orders" in words(client.get(LIST))


def test_the_newest_comes_first(client, clock):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="old")))
    newer = portfolio_order(name="new", created_at="2026-03-02T09:04:00Z")
    receive(event("PORTFOLIO_ORDER.NEW", newer))

    assert shown(client.get(LIST)) == [named("new"), named("old")]


def test_a_status_that_nobody_knows_is_shown_as_the_broker_wrote_it(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order("HALTED")))

    assert "HALTED Problem" in words(client.get(LIST))
    assert shown(client.get(LIST, {"status": "OTHER"})) == [named("P")]


def test_a_stale_one_says_so_and_what_confirmed_it_since(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING")), now=START)
    clock.shift(settings.STALE_PROCESSING)
    poll = journal.record_answer(
        Kind.PORTFOLIO_ORDER,
        portfolio_order("PROCESSING"),
        about=UUID(named("P")),
        source=Source.POLL,
        actor="",
        now=START + settings.STALE_PROCESSING,
    )
    projection.drain(now=poll.recorded_at, only=[poll.pk])

    response = client.get(LIST)

    assert "Stale confirmed by check 5 min ago" in words(response)
    assert shown(client.get(LIST, {"freshness": "stale"})) == [named("P")]


def test_a_filled_order_and_one_of_a_portfolio_order_are_never_stale(client, clock, settings):
    many(1)
    receive(event("ORDER.FILLED", order("alone", "FILLED", 9, parent="")))
    clock.shift(settings.STALE_FILLED * 2)

    assert "Stale" not in words(browser(name="next week").get(ORDERS))


def test_orders_whose_portfolio_order_nobody_told_us_of_are_a_list(client):
    many(1)
    receive(event("ORDER.FILLED", order("early", "FILLED", 9, parent="later")))
    receive(event("ORDER.NEW", order("alone", parent="", client_reference="savings 7")))
    unlinked = {"problem": "unlinked"}

    assert shown(client.get(ORDERS, unlinked)) == [named("early")]
    assert named("later")[:8] in words(client.get(ORDERS, unlinked))
    assert "savings 7" in words(client.get(ORDERS))
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="later")))
    assert "No order matches." in words(client.get(ORDERS, unlinked))


def test_a_row_says_that_a_webhook_of_it_or_of_one_of_its_orders_never_came(client, clock):
    receive(event("ORDER.NEW", order("C", parent=None)), now=START)
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event("ORDER.FILLED", order("A", "FILLED", 9)),
    )
    assert "never arrived" not in html(client.get(LIST))

    clock.shift(timedelta(hours=1))

    for path in (LIST, ORDERS):
        text = html(client.get(path))
        assert "An expected webhook never arrived" in text
        assert text.count("Missed</span>") == 1


@pytest.mark.parametrize(("problem", "names"), [
    ("any", ["conflict", "unknown", "child"]), ("conflict", ["conflict"]),
    ("unknown", ["unknown"]), ("mistrade", ["child"]), ("missed", []), ("not_found", []),
])  # fmt: skip
def test_the_problem_filter_finds_portfolio_orders_by_their_own_and_their_orders_problems(
    client, problem, names
):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="sound")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 9, name="conflict")),
        event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 9, name="conflict")),
        event("PORTFOLIO_ORDER.NEW", portfolio_order("HALTED", name="unknown")),
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="child")),
        event("ORDER.FILLED", order("A", "FILLED", 9, "child", [("X", "CANCELLED")])),
    )

    assert set(shown(client.get(LIST, {"problem": problem}))) == {named(name) for name in names}


def test_the_placed_filter_starts_at_midnight_of_the_display_zone(client, clock):
    def placed(name, moment):
        receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name, created_at=moment)))

    placed("yesterday", "2026-03-01T22:59:59Z")  # 23:59:59 in Berlin
    placed("today", "2026-03-01T23:00:00Z")

    assert shown(client.get(LIST, {"placed": "today"})) == [named("today")]
    assert len(shown(client.get(LIST, {"placed": "7d"}))) == 2


@pytest.mark.parametrize("lookup", ["cash_amount__icontains", "account_id", "orders__side"])
def test_no_column_can_be_searched_by_the_url(client, lookup):
    many(2)

    response = client.get(LIST, {lookup: "1"})

    assert shown(response) == []
    assert f"“{lookup}” is not a filter of this list. Nothing is shown." in words(response)


def test_no_other_order_can_be_asked_for_by_the_url(client):
    many(2)

    assert shown(client.get(LIST, {"o": "1"})) == shown(client.get(LIST))


def test_an_empty_list_says_what_to_do(client):
    assert "No portfolio order matches. Clear filters" in words(client.get(LIST, {"status": "NEW"}))
    assert 'href="?"' in html(client.get(LIST, {"q": "nothing"}))


def test_a_list_that_shows_all_does_not_offer_to_show_all(client):
    path = "/admin/orders/portfolioorder/"

    assert "Show all" not in words(client.get(path))
    assert "Show all" in words(client.get(path, {"status": "OPEN"}))
    assert "Show all" in words(client.get(path, {"q": "abcdef"}))


def test_the_search_box_finds_by_any_id(client):
    receive(*life())

    for text in (named("P"), named("A")[:8], "IE00B3XXRP09"):
        assert shown(client.get(LIST, {"q": text})) == [named("P")]


def test_a_list_too_long_to_count_says_so_and_links_to_its_neighbours(client, monkeypatch):
    monkeypatch.setattr("backoffice.admin.CAP", 60)
    many(70)

    text = html(client.get(LIST))

    assert "60+ portfolio orders" in text
    assert "?p=2" in text
    assert "Previous" not in text
    last = html(client.get(LIST, {"p": 2}))
    assert "?p=1" in last
    assert "Next" not in last


def test_the_list_of_orders_shows_instrument_quantity_and_portfolio_order(client):
    receive(event("ORDER.FILLED", order("A", "FILLED", 9)))

    text = words(client.get(ORDERS))

    assert f"Filled IE00B3XXRP09 Buy 250.00 EUR 2.5000 {named('P')[:8]}" in text


def test_the_journal_shows_repeats_and_how_far_an_event_was_behind(client):
    story = event("PORTFOLIO_ORDER.NEW", portfolio_order())
    receive(story, now=START + timedelta(seconds=2))
    journal.record_events([story], delivery_id=2, now=NOW)

    text = words(client.get(JOURNAL))

    about = f"PORTFOLIO_ORDER.NEW Portfolio order {named('P')[:8]} Webhook"
    assert f"Applied {about} 4 min ago 2 s 2" in text
    assert f"No change {about} just now 5 min repeat" in text


def test_the_journal_is_filtered_by_outcome_source_and_time(client):
    receive(event("ORDER.NEW", order()), {"type": "ORDER.NEW", "object": {"id": "none"}})
    journal.record_step("Exported", actor="mira", now=NOW)

    assert len(shown(client.get(JOURNAL, {"outcome": "QUARANTINED"}))) == 1
    assert len(shown(client.get(JOURNAL, {"source": "STAFF"}))) == 1
    assert len(shown(client.get(JOURNAL, {"received": "today"}))) == JournalEntry.objects.count()


def test_every_list_is_read_only(client):
    many(1)
    for path, model in ((LIST, PortfolioOrder), (ORDERS, Order), (JOURNAL, JournalEntry)):
        pk = model.objects.values_list("pk", flat=True)[0]
        assert client.get(f"{path}add/").status_code == 403
        assert client.post(f"{path}{pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.post(f"{path}{pk}/change/", {"status": "FILLED"}).status_code == 405


@pytest.mark.parametrize("path", [LIST, ORDERS, JOURNAL])
def test_staff_who_may_view_nothing_see_no_list(path):
    Group.objects.create(name="Newcomers")

    assert browser("Newcomers").get(path).status_code == 403


def test_the_guides_own_sample_is_shown(client):
    sample = {
        "id": named("G"),
        "type": "PORTFOLIO_ORDER.NEW",
        "created_at": "2021-07-21T14:10:00.00Z",
        "object": portfolio_order("PROCESSING", orders=[("P", "PROCESSING"), ("A", "FILLED")]),
    }
    receive(sample, event("EXECUTION.FILLED", execution("X", order="A")))

    assert f"{named('P')[:8]} Processing Buy 1,000.00 EUR 1 of 2 filled" in words(client.get(LIST))
