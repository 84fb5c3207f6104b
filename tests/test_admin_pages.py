"""The pages of a portfolio order, an order and a journal entry."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import JournalEntry, PortfolioOrder
from orders.tracked import Source
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages, page, words
from tests.stories import START, at, event, execution, life, named, order, portfolio_order

NOW = START + timedelta(minutes=5)
P, A = UUID(named("P")), UUID(named("A"))

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


@pytest.fixture
def viewer():
    return browser("Viewer", name="nobody's colleague")


def receive(*events, now=NOW):
    journal.record_events(events, delivery_id=1, now=now)
    projection.drain(now=now)


def children(count, *, parent="P"):
    lines = [(f"O{number}", "PROCESSING") for number in range(count)]
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name=parent)),
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3, lines, parent)),
        *(event("ORDER.NEW", order(name, parent=parent)) for name, _ in lines),
        *(
            event("ORDER.PROCESSING", order(name, "PROCESSING", 3, parent=parent))
            for name, _ in lines
        ),
    )


def test_a_page_asks_the_same_few_questions_for_3_orders_and_for_40(client):
    children(3)
    client.get(page(P))  # the first one also learns when the first webhook came
    with CaptureQueriesContext(connection) as few:
        html(client.get(page(P)))
    children(40)
    with CaptureQueriesContext(connection) as more:
        text = html(client.get(page(P)))

    assert len(few) == len(more) <= 12, [query["sql"] for query in more]
    assert len(text) < 150_000


def test_the_head_tells_what_it_is_and_how_far(client):
    receive(*life()[:8], now=START + timedelta(seconds=22))

    text = words(client.get(page(P)))

    assert f"Portfolio order {P} Processing Buy 1,000.00 EUR placed 5 min ago" in text
    assert "1 of 2 orders filled, 1 processing" in text
    assert "Open for 5 min Last heard from broker 4 min ago by webhook Next check in" in text


def test_the_orders_are_listed_with_the_average_price_of_their_trades(client):
    trades = [
        execution("X", share_quantity="1", price="100.00"),
        execution("Y", share_quantity="3", price="104.00"),
        execution("Z", "CANCELLED", share_quantity="9", price="1.00"),
    ]
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive(event("ORDER.FILLED", order("A", "FILLED", 20) | {"executions": trades}))

    assert "IE00B3XXRP09 Buy 250.00 EUR 2.5000 103.000000" in words(client.get(page(P)))


def test_an_order_that_is_over_says_how_long_it_took_and_that_nothing_is_asked(client):
    receive(*life())

    text = words(client.get(page(P)))

    assert "Took 22 s" in text
    assert "Next check none, order is final" in text


def test_a_cancelled_one_says_why_first(client):
    more = {"cancellation_reason": "SELL_LIMIT_EXCEEDED", "cancellation_details": "Above 95 %"}
    receive(event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 9, **more)))

    text = words(client.get(page(P)))

    assert "Cancelled because Sell limit exceeded" in text
    assert "It has no orders." in text


def test_a_page_without_orders_waits_for_them(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    waiting = "Waiting for orders: the broker has not split this into individual orders yet."
    assert words(client.get(page(P))).count(waiting) == 2


def test_a_check_that_nobody_makes_is_overdue(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    PortfolioOrder.objects.update(check_after=NOW - timedelta(minutes=2))

    assert "Next check overdue 2 min" in words(client.get(page(P)))


def test_a_stale_one_says_since_when_at_what_pace_and_what_was_asked(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)
    PortfolioOrder.objects.update(checks=3, check_error="503 from the broker")
    clock.shift(settings.STALE_NEW)

    text = words(client.get(page(P)))

    stale = "Stale: nothing new for 1 h 05 min. Usual pace 1 h."
    assert f"{stale} Asked 3 times since: 503 from the broker" in text


def test_orders_that_are_all_over_under_an_open_portfolio_order_are_pointed_out(client):
    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3)),
        event("ORDER.FILLED", order("A", "FILLED", 9)),
        event("ORDER.FILLED", order("B", "FILLED", 9)),
    )

    text = words(client.get(page(P)))

    assert "All 2 orders are filled, but the portfolio order still says Processing." in text


def test_a_conflict_is_pointed_out(client):
    receive(
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 9)),
        event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 9)),
    )

    assert "Filled and cancelled were both reported." in words(client.get(page(P)))


def test_a_status_that_nobody_knows_is_shown_on_every_page(client):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order("HALTED")),
        event("ORDER.NEW", order("A", "ON_ICE")),
    )

    assert "HALTED" in words(client.get(page(P)))
    assert "ON_ICE" in words(client.get(f"{ORDERS}{A}/change/"))


def test_the_history_shows_lateness_repeats_gaps_checks_and_who_refetched(client, clock, settings):
    fill = event("ORDER.FILLED", order("A", "FILLED", 20))
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="earlier")), now=START)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START + timedelta(seconds=1))
    receive(event("ORDER.NEW", order("A")), now=START + timedelta(seconds=2))
    receive(fill, now=START + timedelta(seconds=200))
    receive(fill, now=START + timedelta(seconds=201))
    for source, actor, second in ((Source.POLL, "", 210), (Source.REFETCH, "mira", 220)):
        now = START + timedelta(seconds=second)
        entry = journal.record_answer(
            Kind.PORTFOLIO_ORDER,
            portfolio_order("FILLED", 30, [("A", "FILLED")]),
            about=P,
            source=source,
            actor=actor,
            now=now,
        )
        projection.drain(now=now, only=[entry.pk])
    journal.record_failure(
        Kind.PORTFOLIO_ORDER, P, "The broker answered 503", source=Source.POLL, actor="", now=NOW
    )
    clock.shift(settings.GAP_GRACE)

    response = client.get(page(P))
    text = words(response)

    assert "arrived 3 min late, at 10:03:20" in text
    assert "delivered 2x, applied once" in text
    assert "Expected webhook PORTFOLIO_ORDER.FILLED never arrived." in text
    assert "Recovered by poll at 10:03:30, 3 min after the fact." in text
    assert "Manual refetch by mira, no change" in text
    assert "Poll failed The broker answered 503" in text
    assert "expected webhooks never arrived." in text
    assert "Monday 2 March 2026" in text
    assert "Times in Europe/Berlin (UTC+1)" in text
    assert f'id="entry-{JournalEntry.objects.get(source=Source.REFETCH).pk}"' in html(response)


def test_filter_and_order_of_the_history_are_in_the_url(client):
    receive(*life())
    journal.record_note(Kind.PORTFOLIO_ORDER, P, "Called the client", actor="ben", now=NOW)

    both = html(client.get(page(P), {"show": "checks", "order": "oldest"}))

    assert "Called the client" in both
    assert "PROCESSING" not in both.upper().split('ID="HISTORY"')[1].split('ID="ORDERS"')[0]
    assert 'href="?show=checks#history"' in both  # newest first, the filter kept
    assert 'href="?order=oldest&amp;show=problems#history"' in both
    newest, oldest = html(client.get(page(P))), html(client.get(page(P), {"order": "oldest"}))
    last_first = re.findall(r'id="(entry-\d+)"', newest)
    assert last_first[0] == re.findall(r'id="(entry-\d+)"', oldest)[-1]


def test_an_empty_filter_says_so(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)

    text = words(client.get(page(P), {"show": "problems"}))

    assert "Nothing to show for this filter. Show all" in text


@pytest.mark.parametrize("query", [{"show": "<script>"}, {"order": "<script>"}])
def test_a_filter_that_does_not_exist_shows_all(client, query):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    assert "<script>" not in html(client.get(page(P), query))


def test_an_order_names_its_portfolio_order_its_place_in_it_and_its_executions(client):
    receive(*life())

    text = words(client.get(f"{ORDERS}{A}/change/"))

    place = sorted([named("A"), named("B")]).index(named("A")) + 1
    assert f"Order {place} of 2 in portfolio order {named('P')[:8]}" in text
    assert "Settled 250.00 EUR 2.5000 100.00 0.10 EUR 2 Mar 2026, 10:00:20 3 Mar 2026" in text


def test_an_order_without_executions_or_known_portfolio_order_says_so(client):
    receive(event("ORDER.NEW", order("A")))

    text = words(client.get(f"{ORDERS}{A}/change/"))

    assert f"of portfolio order {named('P')[:8]} , which is not known here yet" in text
    assert "No executions: the broker has not reported a trade for this order." in text


def test_an_order_that_is_only_named_has_a_page(client):
    receive(event("EXECUTION.FILLED", execution("X", order="A")))

    assert "instrument not known yet" in words(client.get(f"{ORDERS}{A}/change/"))


def test_an_entry_says_what_became_of_it_and_why(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive({"type": "ORDER.FILLED", "object": {"id": "none"}})
    applied, quarantined = JournalEntry.objects.order_by("pk")

    told = words(client.get(f"{JOURNAL}{applied.pk}/change/"))
    refused = words(client.get(f"{JOURNAL}{quarantined.pk}/change/"))

    assert "Applied: our first report of this portfolio order. It says New." in told
    assert f"About Portfolio order {named('P')[:8]}" in told
    assert "Quarantined: stored, but it could not be applied. Nothing else was held up." in refused
    assert quarantined.message in refused


def test_an_entry_links_its_repeats_and_its_place_in_the_history(client):
    story = event("PORTFOLIO_ORDER.NEW", portfolio_order())
    receive(story)
    receive(story)
    first, repeat = JournalEntry.objects.order_by("pk")

    text = html(client.get(f"{JOURNAL}{first.pk}/change/"))

    assert f'href="{JOURNAL}{repeat.pk}/change/"' in text
    assert f'href="{page(P)}#entry-{first.pk}"' in text
    assert "this event came before" in words(client.get(f"{JOURNAL}{repeat.pk}/change/"))


def test_the_payload_is_shown_to_those_who_may_see_it_only(viewer):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    path = f"{JOURNAL}{JournalEntry.objects.get().pk}/change/"

    assert named("subscription") not in html(viewer.get(path))
    assert "you need the permission to view raw payloads" in words(viewer.get(path))
    assert named("subscription") in html(browser("Auditor").get(path))


@pytest.mark.parametrize("path", [LIST, ORDERS])
def test_an_id_that_is_not_known_leads_to_the_list_and_says_so(client, path):
    stranger = uuid4()

    response = client.get(f"{path}{stranger}/change/", follow=True)

    assert response.redirect_chain[-1][0] == path
    assert messages(response)[0].endswith(f"{stranger}: not known here.")


def test_text_of_strangers_is_only_text(client):
    evil = "<script>alert(1)</script>"
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(evil[:32], client_reference=evil)),
        event("ORDER.NEW", order("A", instrument_id="<b>")),
    )
    journal.record_note(Kind.PORTFOLIO_ORDER, P, evil, actor=evil, now=NOW)

    for path in (page(P), f"{ORDERS}{A}/change/", LIST, ORDERS, JOURNAL):
        text = html(client.get(path))
        assert "alert(1)</script>" not in text
        assert "<b>" not in text


def test_the_guides_own_sample_has_pages_for_the_parent_and_the_child_with_its_id(client):
    sample = {
        "id": named("G"),
        "type": "PORTFOLIO_ORDER.NEW",
        "created_at": at(0),
        "object": portfolio_order("PROCESSING", orders=[("P", "PROCESSING"), ("A", "FILLED")]),
    }
    receive(sample)

    assert "the object counts" in words(client.get(page(P)))
    assert f"in portfolio order {named('P')[:8]}" in words(client.get(f"{ORDERS}{P}/change/"))
