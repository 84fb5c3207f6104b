"""The search box of every page: anything by a pasted id."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from backoffice.sandbox import Trouble
from orders import journal, projection
from orders.models import JournalEntry, Order, PortfolioOrder
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages, words
from tests.stories import START, event, life, named, order, portfolio_order
from tests.upstream import running
from webhooks.models import Delivery, Verdict

FIND = "/admin/find/"
NOW = START + timedelta(minutes=5)
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


def test_the_first_characters_are_enough_where_one_thing_alone_begins_with_them(client, story):
    assert led_to(client, named("P")[:8]) == f"{LIST}{named('P')}/change/"
    assert led_to(client, named("B")[:8]) == f"{ORDERS}{named('B')}/change/"


def test_an_id_of_two_things_leads_to_the_list(client):
    both = portfolio_order(name="same"), order("same", parent="same")
    journal.record_events(
        [event("PORTFOLIO_ORDER.NEW", both[0]), event("ORDER.NEW", both[1])], delivery_id=1, now=NOW
    )
    projection.drain(now=NOW)

    assert led_to(client, named("same")) == f"{LIST}?q={named('same')}"


@pytest.mark.parametrize("text", ["IE00B3XXRP09", "savings plan 7", "abc", ""])
def test_anything_else_is_searched_for_in_the_list(client, story, text):
    url = led_to(client, text)

    assert url.startswith(LIST)
    assert client.get(url).status_code == 200


def test_an_account_leads_to_the_list_of_its_portfolio_orders(client, story):
    assert led_to(client, named("account")) == f"{LIST}?q={named('account')}"


def test_an_account_with_single_orders_alone_leads_to_their_list(client):
    journal.record_events([event("ORDER.NEW", order("A", parent=""))], delivery_id=1, now=NOW)
    projection.drain(now=NOW)

    assert led_to(client, named("account")) == f"{ORDERS}?q={named('account')}"


def test_the_number_of_a_delivery_leads_to_it(client):
    delivery = Delivery.objects.create(received_at=NOW, verdict=Verdict.ACCEPTED, body=b"{}")

    assert led_to(client, str(delivery.pk)) == f"/admin/webhooks/delivery/{delivery.pk}/change/"
    assert led_to(client, str(delivery.pk + 1)) == f"{LIST}?q={delivery.pk + 1}"
    assert led_to(client, "9" * 30) == f"{LIST}?q={'9' * 30}"


def test_an_event_that_waits_to_be_applied_is_known(client):
    journal.record_events([event("ORDER.NEW", order("A"))], delivery_id=1, now=NOW)

    assert led_to(client, named("A")) == f"{JOURNAL}?q={named('A')}"


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
    assert client.get(f"{FIND}{UNKNOWN}/fetch/").status_code == 405
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
