"""The pages of a portfolio order, an order and a journal entry."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.market_hours import MarketHours
from orders import journal, projection
from orders.admin import history, payloads
from orders.lifecycle import Kind
from orders.models import JournalEntry, PortfolioOrder
from orders.tracked import Source
from tests.listed import NOW, receive, record_failure
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages, page, words
from tests.stories import START, at, event, execution, life, named, order, portfolio_order
from webhooks.models import Delivery, Verdict

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


def children(count, *, parent="P"):
    """Record a portfolio order with so many filled orders, told in time."""
    names = [f"O{number}" for number in range(count)]
    for second, status in ((1, "NEW"), (3, "PROCESSING"), (9, "FILLED")):
        lines = [(name, status) for name in names]
        trades = {name: [(f"{name} X", "FILLED")] if status == "FILLED" else [] for name in names}
        receive(
            event(f"PORTFOLIO_ORDER.{status}", portfolio_order(status, second, lines, parent)),
            *(
                event(f"ORDER.{status}", order(name, status, second, parent, trades[name]))
                for name in names
            ),
            now=START + timedelta(seconds=second + 1),
        )


def test_a_page_asks_the_same_few_questions_for_3_orders_and_for_40(client):
    children(3)
    client.get(
        page(P)
    )  # the first one also learns when the first webhook came, and records the look
    with CaptureQueriesContext(connection) as few:
        html(client.get(page(P)))
    children(40)
    with CaptureQueriesContext(connection) as more:
        text = html(client.get(page(P)))

    assert len(few) == len(more) <= 13, [query["sql"] for query in more]
    assert len(text.encode()) < 150_000


def test_the_pages_of_orders_say_that_deliveries_wait_to_be_applied_and_for_how_long(client):
    receive(*life(), now=START + timedelta(seconds=50))
    child = f"{ORDERS}{named('A')}/change/"
    assert "not yet applied" not in words(client.get(page(P)))

    for seconds in (8, 5):
        then = NOW - timedelta(seconds=seconds)
        Delivery.objects.create(received_at=then, verdict=Verdict.ACCEPTED, body=b"?", read_at=None)

    for address in (page(P), child):
        text = words(client.get(address))
        assert (
            "2 webhook deliveries are received and not yet applied, the oldest for 8 s. What they"
            " tell of this order, if anything, is not on this page yet." in text
        )
        assert "No worker may be running" not in text
    Delivery.objects.update(received_at=NOW - timedelta(minutes=4))
    text = words(client.get(page(P)))
    assert "the oldest for 4 min." in text
    assert "No worker may be running: see Today." in text


def test_the_head_tells_what_it_is_and_how_far(client):
    receive(*life()[:8], now=START + timedelta(seconds=22))

    text = words(client.get(page(P)))

    assert f"Portfolio order {P} Processing Buy 1,000.00 EUR placed 5 min ago" in text
    assert "1 of 2 orders filled, 1 processing" in text
    assert "Open for 5 min Last update 4 min ago by webhook Next check in" in text


def test_the_orders_are_listed_with_their_trades_and_the_average_price(client):
    trades = [
        execution("X", share_quantity="1", price="100.00"),
        execution("Y", share_quantity="3", price="104.00"),
        execution("Z", "CANCELLED", share_quantity="9", price="1.00"),
    ]
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive(event("ORDER.FILLED", order("A", "FILLED", 20) | {"executions": trades}))

    text = words(client.get(page(P)))

    assert "IE00B3XXRP09 Buy 250.00 EUR 4 of 2.5000 103.000000 3 " in text
    assert "Filled: 3 at 104.00" in text
    assert "Cancelled: 9 at 1.00" in text


def test_an_order_that_is_over_says_how_long_it_took_and_that_nothing_is_asked(client):
    receive(*life())

    text = words(client.get(page(P)))

    assert "Duration 22 s" in text
    assert "Next check none, order is final" in text


def test_a_filled_one_says_by_when_it_should_settle(client):
    receive(*life()[:10])

    text = words(client.get(page(P)))

    assert re.search(r"Next check in .* settlement expected by 8 Mar", text)


def test_a_cancelled_one_says_why_first(client):
    more = {"cancellation_reason": "SELL_LIMIT_EXCEEDED", "cancellation_details": "Above 95 %"}
    receive(event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 9, **more)))

    text = words(client.get(page(P)))

    assert "Cancellation reason Sell limit exceeded Above 95 % Account" in text
    assert "No orders." in text


def test_a_page_without_orders_waits_for_them(client):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    waiting = "Waiting for orders: the broker has not split this into individual orders yet."
    assert words(client.get(page(P))).count(waiting) == 2


def test_a_check_that_nobody_makes_is_overdue(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    PortfolioOrder.objects.update(check_after=NOW - timedelta(minutes=2))

    assert "Next check overdue 2 min" in words(client.get(page(P)))


def answered(answer, seconds, *, source=Source.POLL, actor="", about=P):
    """Record and apply an answer of upstream."""
    now = START + timedelta(seconds=seconds)
    kind = Kind.ORDER if "order_type" in answer else Kind.PORTFOLIO_ORDER
    entry = journal.record_answer(kind, answer, about=about, source=source, actor=actor, now=now)
    projection.drain(now=now, only=[entry.pk])


def test_a_stale_one_says_since_when_at_what_pace_and_what_the_polls_brought(client, clock):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)
    for seconds in (60, 900, 1800):
        answered(portfolio_order(), seconds)
    clock.move_to(START + timedelta(hours=1, minutes=19))

    text = words(client.get(page(P)))

    stale = "Stale: no change for 1 h 19 min. Expected within 1 h (setting)."
    assert f"{stale} Checked 3 times since, last at 10:30:00: no change." in text


def test_a_stale_one_says_why_the_last_poll_failed_and_names_the_market_hours(
    client, clock, settings
):
    settings.MARKET_HOURS = MarketHours.parse("Mon-Fri 07:30-22:00 Europe/Berlin")
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)
    answered(portfolio_order(), 900, source=Source.REFETCH, actor="mira")
    record_failure(
        Kind.PORTFOLIO_ORDER, P, "503 Service Unavailable", source=Source.POLL, actor="",
        now=START + timedelta(minutes=30),
    )  # fmt: skip
    clock.move_to(START + timedelta(hours=2))

    text = words(client.get(page(P)))

    assert "Expected within 1 h in market hours (setting)." in text
    assert "Asked 2 times since, last at 10:30:00: 503 Service Unavailable." in text


def test_webhooks_that_never_arrived_and_were_recovered_are_counted(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)
    answered(portfolio_order("FILLED", 30), 210)
    clock.shift(settings.GAP_GRACE)

    text = words(client.get(page(P)))

    # Nobody told when it was processing: that it was follows from what the poll said.
    assert "2 expected webhooks never arrived and were recovered by check. Show problems" in text


def test_an_impossible_step_is_pointed_out(client):
    receive(
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 5)),
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 9)),
    )

    text = words(client.get(page(P)))

    assert "1 impossible step was reported. The earlier status was kept. Show problems" in text


def test_orders_that_are_all_over_under_an_open_portfolio_order_are_pointed_out(client):
    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3)),
        event("ORDER.FILLED", order("A", "FILLED", 9)),
        event("ORDER.FILLED", order("B", "FILLED", 9)),
    )

    text = words(client.get(page(P)))

    assert "All 2 orders are filled, but the portfolio order is still Processing." in text


def test_a_conflict_is_pointed_out(client):
    receive(
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 9)),
        event("PORTFOLIO_ORDER.CANCELLED", portfolio_order("CANCELLED", 9)),
    )

    assert "The broker reported the order as both filled and cancelled." in words(
        client.get(page(P))
    )


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
    record_failure(
        Kind.PORTFOLIO_ORDER, P, "The broker answered 503", source=Source.POLL, actor="", now=NOW
    )
    clock.shift(settings.GAP_GRACE)

    response = client.get(page(P))
    text = words(response)

    assert "arrived 3 min late, at 10:03:20" in text
    assert "delivered 2x, applied once" in text
    assert "Expected webhook PORTFOLIO_ORDER.FILLED never arrived." in text
    assert "Recovered by check at 10:03:30, 3 min after the fact." in text
    assert "Refetched by mira, no change" in text
    assert "Check failed The broker answered 503" in text
    assert "expected webhooks never arrived." in text
    assert "Monday 2 March 2026" in text
    assert "Times in Europe/Berlin (UTC+1)" in text
    assert f'id="entry-{JournalEntry.objects.get(source=Source.REFETCH).pk}"' in html(response)


def test_that_a_webhook_is_missing_stands_out_from_how_it_was_recovered(client, clock, settings):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), now=START)
    answered(portfolio_order("FILLED", 30), 210)
    clock.shift(settings.GAP_GRACE)

    missing = "<strong>Expected webhook PORTFOLIO_ORDER.FILLED never arrived.</strong> Recovered by"
    assert missing in html(client.get(page(P)))


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
def test_no_part_of_an_address_becomes_a_part_of_the_page(client, query):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    assert "<script>" not in html(client.get(page(P), query))


def test_an_order_names_its_portfolio_order_its_place_in_it_and_its_executions(client):
    receive(*life())

    text = words(client.get(f"{ORDERS}{A}/change/"))

    place = sorted([named("A"), named("B")]).index(named("A")) + 1
    assert f"Order {place} of 2 in portfolio order {named('P')[:8]}" in text
    trade = "2.5000 100.00 250.00 EUR 0.10 EUR"
    assert f"Settled 2 Mar 2026, 10:00:20 {trade} 3 Mar 2026 webhook" in text
    assert f"Total 1 execution {trade}" in text


def test_an_order_without_executions_or_known_portfolio_order_says_so(client):
    receive(event("ORDER.NEW", order("A")))

    text = words(client.get(f"{ORDERS}{A}/change/"))

    assert f"of portfolio order {named('P')[:8]} , which we have not received yet" in text
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
    assert f"Related to Portfolio order {named('P')[:8]}" in told
    assert (
        "Quarantined: stored, but it could not be applied. No other event was delayed." in refused
    )
    assert quarantined.message in refused


def test_an_entry_links_its_repeats_and_its_place_in_the_history(client):
    story = event("PORTFOLIO_ORDER.NEW", portfolio_order())
    receive(story)
    receive(story)
    first, repeat = JournalEntry.objects.order_by("pk")

    text = html(client.get(f"{JOURNAL}{first.pk}/change/"))

    assert f'href="{JOURNAL}{repeat.pk}/change/"' in text
    assert f'href="{page(P)}?entry={first.pk}#entry-{first.pk}"' in text
    assert "a duplicate of an event that was received before" in words(
        client.get(f"{JOURNAL}{repeat.pk}/change/")
    )


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
    assert messages(response)[0].endswith(f"{stranger}: not found.")


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


def test_an_order_links_its_neighbours(client):
    receive(*life())
    first, second = sorted([A, UUID(named("B"))])

    assert f'href="{ORDERS}{second}/change/">Next' in html(client.get(f"{ORDERS}{first}/change/"))
    text = html(client.get(f"{ORDERS}{second}/change/"))
    assert f'href="{ORDERS}{first}/change/">← Previous' in text
    assert "Next →" not in text


def test_the_payload_stands_beside_its_entry_for_those_who_may_see_it(client, viewer):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(client_reference="<b>&")))

    text = html(client.get(page(P)))

    assert "Raw payload" in text
    assert f'"webhook_id": "{named("subscription")}"' in text
    assert "&lt;b&gt;&amp;" in text
    hidden = html(viewer.get(page(P)))
    assert named("subscription") not in hidden
    assert "Raw payload" not in hidden


@pytest.mark.parametrize("limit", ["LARGEST", "MOST"])
def test_payloads_that_would_make_the_page_heavy_have_a_page_of_their_own(
    client, monkeypatch, limit
):
    monkeypatch.setattr(payloads, limit, 500)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    text = html(client.get(page(P)))

    assert named("subscription") not in text
    assert f'href="{JOURNAL}{JournalEntry.objects.get().pk}/change/"' in text


def test_a_list_that_names_an_order_before_its_own_event_leaves_the_run_whole(client):
    lines = [(name, "PROCESSING") for name in "ABC"]
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="earlier")), now=START)
    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 1, lines)),
        now=START + timedelta(seconds=2),
    )
    for second, name in enumerate("ABC", start=4):
        receive(
            event("ORDER.PROCESSING", order(name, "PROCESSING", 3)),
            now=START + timedelta(seconds=second),
        )

    text = words(client.get(page(P)))

    assert "3 orders Processing" in text
    assert "3 already known from the portfolio order's list Show 3 orders" in text


def test_a_run_shows_when_its_events_arrived(client):
    for second, name in enumerate("ABC", start=4):
        receive(event("ORDER.NEW", order(name)), now=START + timedelta(seconds=second))
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))

    assert '<svg class="spark tone-new"' in html(client.get(page(P)))


def test_several_executions_of_few_orders_are_counted_as_executions(client):
    trades = [execution(name, order=of) for name, of in (("X", "A"), ("Y", "A"), ("Z", "B"))]
    receive(*(event("ORDER.NEW", order(name)) for name in "AB"))
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive(
        *(event("EXECUTION.FILLED", trade, name=trade["id"]) for trade in trades),
        now=START + timedelta(seconds=21),
    )

    assert "2 orders 3 executions filled" in words(client.get(page(P)))


def notes(count):
    for number in range(1, count + 1):
        journal.record_note(
            Kind.PORTFOLIO_ORDER, P, f"Note number {number}.", actor="mira",
            now=START + timedelta(seconds=10 * number),
        )  # fmt: skip


def numbers(response):
    return [int(number) for number in re.findall(r"Note number (\d+)\.", html(response))]


def test_a_long_history_has_pages_that_keep_their_entries_when_newer_ones_come(client, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 4)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    PortfolioOrder.objects.update(created_at=START - timedelta(days=1))
    notes(9)

    first = client.get(page(P), {"show": "checks"})
    assert numbers(first) == [9, 8, 7, 6]
    assert "Entries 6 to 9 of 9 Older →" in words(first)
    assert 'href="?show=checks&amp;at=5#history"' in html(first)
    second = client.get(page(P), {"show": "checks", "at": "5"})
    assert numbers(second) == [5, 4, 3, 2]
    assert "← Newer Entries 2 to 5 of 9 Older →" in words(second)
    notes(1)
    assert numbers(client.get(page(P), {"show": "checks", "at": "1"})) == [1]


def test_the_pages_of_a_history_go_on_from_the_oldest_too(client, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 4)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    notes(9)
    oldest = {"show": "checks", "order": "oldest"}

    assert numbers(client.get(page(P), oldest)) == [1, 2, 3, 4]
    last = client.get(page(P), oldest | {"at": "9"})
    assert numbers(last) == [9]
    assert "← Older Entries 9 to 9 of 9" in words(last)
    assert 'href="?order=oldest&amp;show=problems#history"' in html(
        last
    )  # another list begins anew


@pytest.mark.parametrize("at", ["0", "-1", "10", "x", "²", "9" * 30, ""])
def test_a_place_that_no_entry_has_is_the_beginning(client, monkeypatch, at):
    monkeypatch.setattr(history, "PAGE", 4)
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    notes(9)

    assert numbers(client.get(page(P), {"show": "checks", "at": at})) == [9, 8, 7, 6]
