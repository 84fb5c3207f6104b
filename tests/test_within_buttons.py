"""Whatever button is pressed on a page, the way back leads to the list that the page was opened from."""

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine

from orders.models import JournalEntry, Outcome, Placement, Reconciliation
from orders.tracked import Source
from tests import scenes, troubles
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages
from tests.stories import START, named
from tests.upstream import PEM
from webhooks.models import Delivery, Subscription

PLACEMENTS = "/admin/orders/placement/"
SUBSCRIPTIONS = "/admin/webhooks/subscription/"
RECONCILIATIONS = "/admin/orders/reconciliation/"
DELIVERIES = "/admin/webhooks/delivery/"
EVENTS = "/admin/webhooks/event/"
FORM = re.compile(r"<form\s([^>]*)>(.*?)</form>", re.DOTALL)
FIELD = re.compile(r"<(?:input|textarea)\s[^>]*>")
KEPT = "status=OPEN&type=BUY"
FIELDS = {"text": "Called.", "reason": "Called.", "amount": "2500.00"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings):
    """Return a browser at a desk with a row of everything, at whose broker nobody answers."""
    settings.INVESTMENT_API_URL = "http://127.0.0.1:9"
    settings.INVESTMENT_API_CLIENT_ID = settings.INVESTMENT_API_CLIENT_SECRET = "made up"
    settings.INVESTMENT_API_KEY_ID, settings.INVESTMENT_API_PRIVATE_KEY = "made up", PEM
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk, count=1)
        troubles.of_orders(desk)
        troubles.waiting(desk)
        scenes.add_the_rest()
        yield browser(name="ops")


def attribute(tag, name):
    found = re.search(rf'\s{name}="([^"]*)"', f" {tag}")
    return unescape(found[1]) if found else ""


def forms(response):
    """Yield the forms of a page's content: method, address and fields."""
    content = html(response).partition('id="content-main"')[2]
    for tag, inside in FORM.findall(content):
        fields = {
            name: attribute(field, "value") or FIELDS.get(name, "")
            for field in FIELD.findall(inside)
            if (name := attribute(field, "name"))
        }
        action = attribute(tag, "action")
        yield attribute(tag, "method"), action, fields
        for other in re.findall(r'formaction="([^"]*)"', inside):
            yield "post", unescape(other), fields


def press(client, method, action, fields):
    """Press a button as a browser does: a form that is sent by GET has its fields for a query."""
    if method == "get":
        return client.get(action.partition("?")[0], fields, follow=True)
    return client.post(action, fields, follow=True)


def pages():
    quarantined = JournalEntry.objects.filter(
        source=Source.WEBHOOK, outcome=Outcome.QUARANTINED
    ).earliest("pk")
    return {
        f"{LIST}{named('gone')}/change/": {"refetch", "note", "confirm_cancel"},
        f"{ORDERS}{named('alone')}/change/": {"refetch", "note", "confirm_cancel"},
        f"{LIST}{named('gone')}/confirm_cancel/": {"cancel", "change"},
        f"{JOURNAL}{quarantined.pk}/change/": {"apply_again", "dismiss"},
        f"{DELIVERIES}{Delivery.objects.earliest('pk').pk}/change/": {"process_again"},
        f"{RECONCILIATIONS}{Reconciliation.objects.get(state='RUNNING').pk}/change/": {"stop"},
        f"{SUBSCRIPTIONS}{Subscription.objects.get().pk}/change/": {"test", "confirm_delete"},
        f"{SUBSCRIPTIONS}{Subscription.objects.get().pk}/confirm_delete/": {"change"},
        **{
            f"{PLACEMENTS}{placement.pk}/change/": buttons
            for placement, buttons in [
                (Placement.objects.filter(state="PROPOSED").earliest("pk"), {"approve", "decline"}),
                (Placement.objects.get(state="UNKNOWN", sending_until=None), {"look_up"}),
                (Placement.objects.filter(state="READY").earliest("pk"), {"send"}),
            ]
        },
    }


def test_whichever_button_is_pressed_the_way_back_leads_to_the_list_as_it_was(client):
    for path, buttons in pages().items():
        shown = client.get(path, {"_changelist_filters": KEPT})
        found = {urlsplit(it[1]).path.split("/")[-2]: it for it in forms(shown)}
        assert buttons <= set(found), (path, set(found))

        for name in buttons:
            response = press(client, *found[name])

            assert response.status_code in {200, 422}, (path, name)
            assert response.context["back_url"].endswith(f"/?{KEPT}"), (path, name)


def test_every_link_within_a_page_keeps_the_list(client):
    run = Reconciliation.objects.get(state="DONE")
    tried = 0
    for path in (*pages(), f"{RECONCILIATIONS}{run.pk}/change/?verdict=DIFFERING"):
        url = f"{path}{'&' if '?' in path else '?'}{urlencode({'_changelist_filters': KEPT})}"
        for link in re.findall(r'href="(\?[^"]*)"', html(client.get(url))):
            tried += 1
            assert parse_qs(unescape(link)[1:].partition("#")[0])["_changelist_filters"] == [
                KEPT
            ], link

    assert tried > 10


def test_the_address_of_a_button_leads_to_its_page_within_the_list(client):
    page = f"{LIST}{named('gone')}/change/"
    for method, action, _ in forms(client.get(page, {"_changelist_filters": KEPT})):
        if method == "post":
            response = client.get(action, follow=True)
            assert response.context["back_url"] == f"{LIST}?{KEPT}", action


def test_a_note_leads_to_its_entry_with_previous_and_next_as_before(client):
    page = f"{LIST}{named('gone')}/change/"
    before = client.get(page, {"_changelist_filters": "type=BUY"}).context["within"]

    response = press(
        client, "post", f"{LIST}{named('gone')}/note/?_changelist_filters=type%3DBUY", FIELDS
    )

    assert messages(response) == ["Note added."]
    assert response.redirect_chain[0][0].startswith(f"{page}?_changelist_filters=type%3DBUY#entry-")
    assert response.context["within"] == before is not None


def test_a_page_that_was_opened_from_no_filtered_list_has_plain_addresses(client):
    shown = client.get(f"{LIST}{named('gone')}/change/")

    assert "_changelist_filters" not in html(shown)
    assert press(client, "post", f"{LIST}{named('gone')}/note/", FIELDS).context["back_url"] == LIST


def test_an_event_that_was_opened_from_its_list_stands_among_events_alone(client):
    opened = client.get(
        f"{EVENTS}{JournalEntry.objects.filter(source=Source.WEBHOOK).earliest('pk').pk}/change/",
        {"_changelist_filters": "topic=ORDER"},
        follow=True,
    )

    query = parse_qs(urlsplit(opened.context["back_url"]).query)
    rows = client.get(EVENTS, {"topic": "ORDER"}).context["cl"]
    listed = client.get(opened.context["back_url"]).context["cl"]
    assert query == {"topic": ["ORDER"], "source": ["WEBHOOK"]}
    assert [it.pk for it in listed.result_list] == [it.pk for it in rows.result_list]
