"""The search box of every page: anything by a pasted id."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backoffice import panels
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import NotFoundError, UnavailableError
from backoffice.sandbox import Trouble
from backoffice.weather.reading import RECENT
from orders import journal, projection, search
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Placement, PortfolioOrder
from orders.pasted import read
from orders.placing.placing import place
from orders.placing.wish import read_wish
from orders.tracked import Source
from tests.listed import record_failure
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages, who_may, words
from tests.stories import START, event, life, named, order, portfolio_order
from tests.test_pasted import decorated
from tests.upstream import running
from webhooks.models import Delivery, Subscription, Verdict

FIND = "/admin/find/"
NOW = START + timedelta(minutes=5)
LISTS = ["/admin/orders/placement/", "/admin/orders/cancellation/", "/admin/webhooks/delivery/"]
UNKNOWN = "7e3c4a6a-9d55-4c2f-8a54-0b7b0a1b8d11"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


@pytest.fixture
def story():
    journal.record_events(life(), delivery_id=1, now=NOW)
    projection.drain(now=NOW)


def led_to(client, text):
    response = client.get(FIND, {"q": text})
    assert response.status_code == 302, words(response)
    return response["Location"]


@pytest.mark.parametrize("path", ["/admin/", LIST, ORDERS, JOURNAL, f"{FIND}?q={UNKNOWN}"])
def test_every_page_has_the_box(client, path):
    assert f'<form id="find" method="get" action="{FIND}" role="search"' in html(client.get(path))


def test_the_page_of_an_order_has_the_box_too(client, story):
    assert 'id="find-field"' in html(client.get(f"{LIST}{named('P')}/change/"))


def test_an_id_leads_to_the_page_of_what_has_it(client, story):
    settled = life()[-1]["id"]
    entry = JournalEntry.objects.get(event_id=settled)

    assert led_to(client, named("P")) == f"{LIST}{named('P')}/change/"
    assert led_to(client, named("A")) == f"{ORDERS}{named('A')}/change/"
    assert led_to(client, named("X")) == f"{ORDERS}{named('A')}/change/"
    assert led_to(client, settled) == f"{JOURNAL}{entry.pk}/change/"


def test_an_id_is_found_however_it_was_pasted(client, story):
    for text in (f"  {named('P')}\n", named("P").upper(), named("P").replace("-", "")):
        assert led_to(client, text) == f"{LIST}{named('P')}/change/"


def test_the_title_of_a_page_is_found(client, story):
    title = client.get(f"{LIST}{named('P')}/change/").context["title"]

    assert led_to(client, title) == f"{LIST}{named('P')}/change/"


def test_the_first_characters_are_enough_where_one_thing_alone_begins_with_them(client, story):
    assert led_to(client, named("P")[:8]) == f"{LIST}{named('P')}/change/"
    assert led_to(client, named("B")[:8]) == f"{ORDERS}{named('B')}/change/"


def found(client, text):
    """Return what a search says it found, by list."""
    response = client.get(FIND, {"q": text})
    html(response)
    return {it.name: it.count for it in response.context["places"] if it.count != "0"}


def test_an_id_of_two_things_shows_both(client):
    both = portfolio_order(name="same"), order("same", parent="same")
    journal.record_events(
        [event("PORTFOLIO_ORDER.NEW", both[0]), event("ORDER.NEW", both[1])], delivery_id=1, now=NOW
    )
    projection.drain(now=NOW)

    assert found(client, named("same")) == {
        "Portfolio orders": "1",
        "Orders": "1",
        "Journal entries": "2",
    }


@pytest.mark.parametrize("text", ["IE00B3XXRP17", "savings plan 7", "abcdef01", "9" * 30])
def test_what_is_not_here_is_said_with_what_was_looked_for_and_where(client, story, text):
    response = client.get(FIND, {"q": text})

    said = words(response)
    assert found(client, text) == {}
    assert f"Searched for {text} as " in said
    assert "Nothing was found in the lists below." in said
    assert "Portfolio orders 0 ID (whole or its first characters) of the portfolio order" in said
    assert "Fetch it from the broker?" not in said


def test_nothing_leads_to_the_list(client):
    assert led_to(client, "") == LIST


@pytest.mark.parametrize(("text", "sentence"), [
    (named("P")[:5], "is too short for an ID: at least 6 characters are needed."),
    ("IE00B3XX", "“IE00B3XX” is too short for an ISIN: all 12 characters are needed."),
])  # fmt: skip
def test_what_is_too_short_says_how_much_is_needed_on_the_page_and_in_each_list(
    client, story, text, sentence
):
    assert sentence in words(client.get(FIND, {"q": text}))
    for path in (LIST, ORDERS, JOURNAL, *LISTS):
        assert sentence in words(client.get(path, {"q": text})), path
    assert sentence not in words(client.get("/admin/auth/user/", {"q": text}))


def test_an_account_shows_all_that_it_has_and_each_count_is_that_of_its_list(client, story):
    response = client.get(FIND, {"q": named("account")})

    assert found(client, named("account")) == {"Portfolio orders": "1", "Orders": "2"}
    for each in response.context["places"]:
        shown = client.get(each.url).context["cl"]
        assert each.count == str(shown.result_count) == str(len(shown.result_list)), each.name


def test_the_number_of_a_delivery_leads_to_it(client):
    delivery = Delivery.objects.create(received_at=NOW, verdict=Verdict.ACCEPTED, body=b"{}")

    assert led_to(client, str(delivery.pk)) == f"/admin/webhooks/delivery/{delivery.pk}/change/"
    assert found(client, str(delivery.pk + 1)) == {}
    assert found(client, "9" * 18) == {}


def test_a_number_that_is_a_reference_too_shows_both(client):
    Delivery.objects.create(pk=1042, received_at=NOW, verdict=Verdict.ACCEPTED, body=b"{}")
    placed = portfolio_order(client_reference="1042")
    journal.record_events([event("PORTFOLIO_ORDER.NEW", placed)], delivery_id=1, now=NOW)
    projection.drain(now=NOW)

    assert found(client, "1042") == {
        "Portfolio orders": "1",
        "Journal entries": "1",
        "Deliveries": "1",
    }
    assert led_to(client, "Delivery 1042") == "/admin/webhooks/delivery/1042/change/"
    assert "Received Number Verdict Events" in words(client.get(FIND, {"q": "1042"}))


@pytest.mark.parametrize("reference", ["SP2026112201", "1042", "abcdef", named("client")])
def test_a_reference_that_looks_like_something_else_is_found(client, reference):
    alone = order("A", parent="", client_reference=reference)
    journal.record_events([event("ORDER.NEW", alone)], delivery_id=1, now=NOW)
    projection.drain(now=NOW)

    assert led_to(client, reference) == f"{ORDERS}{named('A')}/change/"


def test_several_ids_give_one_list(client, story):
    text = f"{named('P')},\n{named('A')}\t“{named('B')}”"

    assert found(client, text) == {"Portfolio orders": "1", "Orders": "2", "Journal entries": "12"}
    listed = client.get(ORDERS, {"q": f"{named('A')} {named('B')}"})
    assert len(listed.context["cl"].result_list) == 2


def test_more_than_the_most_are_told(client, story):
    text = " ".join([*(named(f"other {n}") for n in range(51)), named("P")])

    assert "Only the first 50 of 52 were searched for." in words(client.get(FIND, {"q": text}))
    assert "Only the first 50 of 52 were searched for." in words(client.get(LIST, {"q": text}))


def one_of_each():
    """Make a row of each kind that has an id; return (an id as a page shows it, the page it leads to)."""
    journal.record_events(life(), delivery_id=1, now=NOW)
    projection.drain(now=NOW)
    entry = journal.record_answer(
        Kind.ORDER, order("A", "FILLED", 20), about=UUID(named("A")), source=Source.REFETCH,
        actor="mira", now=NOW, request_id=named("request"),
    )  # fmt: skip
    error = NotFoundError("GET /orders: the request was refused", request_id=named("refused"))
    failed = record_failure(
        Kind.ORDER, UUID(named("A")), str(error), source=Source.POLL, actor="", now=NOW
    )
    wish = read_wish({
        "user_id": named("user"), "account_id": named("its account"), "cash_amount": "1.00",
        "currency": "EUR", "side": "BUY", "post_tax": "false",
    })  # fmt: skip
    place(wish, actor="mira", key=UUID(named("placement")))
    Subscription.objects.create(id=named("ours"), seen_at=NOW)
    told = JournalEntry.objects.get(event_id=life()[-1]["id"])
    return {
        named("P"): f"{LIST}{named('P')}",
        named("allocation"): f"{LIST}{named('P')}",
        named("A"): f"{ORDERS}{named('A')}",
        named("X"): f"{ORDERS}{named('A')}",
        life()[-1]["id"]: f"{JOURNAL}{told.pk}",
        named("request"): f"{JOURNAL}{entry.pk}",
        named("refused"): f"{JOURNAL}{failed.pk}",
        named("placement"): f"/admin/orders/placement/{named('placement')}",
        named("ours"): f"/admin/webhooks/subscription/{named('ours')}",
    }


def test_any_id_leads_to_its_page_whole_or_by_its_first_characters(client):
    for pk, path in one_of_each().items():
        for text in (pk, pk[:8], f"“{pk.upper()}”,", pk.replace("-", "")[:13]):
            assert led_to(client, text) == f"{path}/change/", text


def test_the_request_that_failed_last_leads_to_the_page_that_shows_it(client, settings):
    """Not each call is of an order: one about the subscription is in no entry of the journal."""
    with running(settings) as upstream:
        upstream.expect(Trouble("problem", 503, path="/webhooks"))
        with pytest.raises(UnavailableError) as caught:
            next(iter(api().subscriptions()))
        panels.forget(RECENT)
        request_id = caught.value.request_id
        assert request_id in words(client.get("/admin/broker-api/"))

        for text in (request_id, request_id[:8]):
            assert led_to(client, text) == "/admin/broker-api/"
        assert client.get(FIND, {"q": UNKNOWN}).status_code == 200


def test_what_has_no_page_of_its_own_is_found_in_the_lists(client):
    one_of_each()

    for pk in (named("user"), named("its account")):
        for text in (pk, pk[:8]):
            assert found(client, text) == {"Placements": "1"}


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_decoration_of_any_id_finds_its_row(ids, data):
    pk, text = data.draw(decorated(st.sampled_from(ids)))
    (term,) = read(text).terms
    ways: list[Any] = [(search.portfolio_orders, PortfolioOrder), (search.orders, Order)]
    ways += [(search.entries, JournalEntry), (search.placements, Placement)]
    ways += [(search.by_own_id, Subscription)]

    assert any(way(model.objects.all(), text).exists() for way, model in ways), (pk, term)


@pytest.fixture
def ids():
    return [UUID(pk) for pk in one_of_each()]


def test_nobody_finds_what_they_may_not_view(ids):
    client = who_may("view_portfolioorder")

    response = client.get(FIND, {"q": named("placement")})

    assert [it.name for it in response.context["places"]] == ["Portfolio orders"]
    assert "Nothing was found" in words(response)
    assert "Fetch it from the broker?" not in words(response)


@pytest.mark.parametrize("name", ["its account", "user"])
def test_what_is_known_as_something_else_is_not_asked_of_the_broker(client, ids, name):
    assert "Fetch" not in words(client.get(FIND, {"q": named(name)}))


def test_the_first_characters_of_an_unknown_id_are_not_asked_of_the_broker(client):
    assert "Fetch" not in words(client.get(FIND, {"q": UNKNOWN[:13]}))


def test_a_search_costs_as_many_questions_for_fifty_ids_as_for_two(client, ids):
    asked = []
    for count in (2, 49):
        text = " ".join([named("P"), *(named(f"other {n}") for n in range(count))])
        with CaptureQueriesContext(connection) as queries:
            client.get(FIND, {"q": text})
        asked.append(len(queries))

    assert asked[0] == asked[1] < 12


def test_an_event_that_waits_to_be_applied_is_known(client):
    journal.record_events([event("ORDER.NEW", order("A"))], delivery_id=1, now=NOW)

    assert found(client, named("A")) == {"Journal entries": "1"}


def test_an_unknown_id_can_be_fetched_from_the_broker(client):
    response = client.get(FIND, {"q": UNKNOWN})

    assert "Not known here. Fetch it from the broker?" in words(response)
    assert f'<form method="post" action="{FIND}{UNKNOWN}/fetch/">' in html(response)


def test_who_may_not_refetch_is_told_so(db):
    viewer = browser("Viewer")

    assert "Not known here. Fetching it from the broker needs the permission" in words(
        viewer.get(FIND, {"q": UNKNOWN})
    )
    assert viewer.post(f"{FIND}{UNKNOWN}/fetch/").status_code == 403


def test_a_fetch_is_a_press_never_a_link(client):
    assert client.get(f"{FIND}{UNKNOWN}/fetch/").url == f"{FIND}?q={UNKNOWN}"
    assert not JournalEntry.objects.exists()


def test_a_fetch_from_elsewhere_is_refused():
    strict = browser(checks_csrf=True)

    assert strict.post(f"{FIND}{UNKNOWN}/fetch/").status_code == 403


def test_strangers_are_sent_to_the_log_in(client):
    client.logout()

    assert client.get(FIND, {"q": UNKNOWN})["Location"].startswith("/admin/login/")
    assert client.post(f"{FIND}{UNKNOWN}/fetch/")["Location"].startswith("/admin/login/")


def test_who_may_see_no_orders_may_not_search(db):
    client = browser("Viewer")
    client.get("/admin/").context["user"].groups.clear()

    assert client.get(FIND, {"q": UNKNOWN}).status_code == 403
    assert 'id="find"' not in html(client.get("/admin/"))


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def fetch(client, pk):
    return client.post(f"{FIND}{pk}/fetch/", follow=True)


def test_a_fetched_portfolio_order_is_shown_with_what_was_learned(client, upstream):
    pk = upstream.place()

    response = fetch(client, pk)

    assert response.redirect_chain[-1][0].startswith(f"{LIST}{pk}/change/#entry-")
    assert messages(response)[0].endswith(": 1 change (portfolio order New).")
    assert PortfolioOrder.objects.filter(pk=pk).exists()
    assert JournalEntry.objects.get(source="REFETCH").actor == "mira"


def test_a_fetched_order_is_shown_too(client, upstream):
    pk = upstream.place_order()

    response = fetch(client, pk)

    assert response.redirect_chain[-1][0].startswith(f"{ORDERS}{pk}/change/#entry-")
    assert Order.objects.filter(pk=pk).exists()


def test_what_the_broker_does_not_know_stays_unknown_and_can_be_tried_again(client, upstream):
    nobody = uuid4()

    for _ in range(2):
        response = fetch(client, nobody)

        assert messages(response) == ["Not found at the broker, nothing changed."]
        assert "Not known here. Fetch it from the broker?" in words(response)
    assert not PortfolioOrder.objects.exists()
    assert not Order.objects.exists()


def test_a_broker_in_trouble_is_not_asked_twice(client, upstream):
    pk = upstream.place()
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    response = fetch(client, pk)

    assert messages(response) == ["Broker answered 503, nothing changed."]
    assert JournalEntry.objects.count() == 1
