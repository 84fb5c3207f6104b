"""The version that an open page asks for every 15 seconds."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import JournalEntry
from orders.version import version_of
from tests.staff import LIST, ORDERS, browser, html, page, who_may
from tests.stories import START, event, life, named, order, portfolio_order

NOW = START + timedelta(minutes=5)
PARENT = f"/admin/version/portfolio-order/{named('P')}/"
CHILD = f"/admin/version/order/{named('A')}/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser("Viewer")


def receive(*events):
    journal.record_events(events, delivery_id=1, now=NOW)
    projection.drain(now=NOW)


def versions(client):
    return [client.get(path).json()["version"] for path in (PARENT, CHILD)]


def test_it_grows_with_each_entry_about_the_order_and_its_orders(client):
    assert versions(client) == [0, 0]
    receive(life()[0])
    assert versions(client) == [1, 0]
    receive(life()[1])
    assert versions(client) == [2, 1]
    receive(life()[1])  # the same once more is an entry too
    assert versions(client) == [3, 2]
    journal.record_note(Kind.ORDER, UUID(named("A")), "called", actor="mira", now=NOW)
    assert versions(client) == [4, 3]


def test_it_does_not_change_with_what_happens_to_others(client):
    receive(*life()[:3])
    before = versions(client)

    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="other")),
        event("ORDER.NEW", order("C", parent="other")),
    )

    assert versions(client) == before


@pytest.mark.parametrize("count", [3, 40])
def test_it_costs_one_statement_for_any_number_of_orders(count):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        *(event("ORDER.NEW", order(f"O{number}")) for number in range(count)),
    )
    with CaptureQueriesContext(connection) as queries:
        assert version_of(Kind.PORTFOLIO_ORDER, UUID(named("P"))) == count + 1

    assert len(queries) == 1


@pytest.mark.parametrize("path", [PARENT, CHILD])
def test_it_is_for_staff_who_may_see_the_order(client, path):
    client.get("/admin/").context["user"].groups.clear()
    assert client.get(path).status_code == 403

    client.logout()

    assert client.get(path)["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", [PARENT, CHILD])
def test_it_is_never_kept_and_changes_nothing(client, path):
    assert "no-store" in client.get(path)["Cache-Control"]
    assert client.post(path).status_code == 405


def test_an_order_that_is_not_here_has_version_0(client):
    assert client.get(f"/admin/version/order/{uuid4()}/").json() == {"version": 0}


def test_the_page_of_an_open_order_says_what_to_ask_for(client):
    receive(*life()[:3])

    text = html(client.get(page(named("P")) + "?show=all"))

    assert f'data-url="{PARENT}" data-version="3" hidden>' in text
    assert f'<a href="{LIST}{named("P")}/change/?show=all">Show</a>' in text
    child = html(client.get(f"{ORDERS}{named('A')}/change/"))
    assert f'data-url="{CHILD}" data-version="1" hidden>' in child


def test_the_page_of_an_ended_order_asks_for_nothing(client):
    receive(*life())

    assert 'id="fresh"' not in html(client.get(page(named("P"))))
    assert 'id="fresh"' not in html(client.get(f"{ORDERS}{named('A')}/change/"))


def test_the_page_of_an_entry_asks_for_nothing(client):
    receive(life()[0])
    entry = JournalEntry.objects.get()

    assert 'id="fresh"' not in html(client.get(f"/admin/orders/journalentry/{entry.pk}/change/"))


@pytest.mark.parametrize("path", [
    LIST, ORDERS, "/admin/orders/journalentry/", "/admin/webhooks/event/", "/admin/webhooks/delivery/",
    "/admin/orders/placement/", "/admin/orders/cancellation/", "/admin/orders/reconciliation/",
    "/admin/webhooks/subscription/",
])  # fmt: skip
def test_a_list_has_the_version_that_it_is_asked_for_until_something_is_learned(path):
    client = browser()
    page = html(client.get(path))

    asked = client.get(f"{path}version/").json()["version"]
    assert f'data-url="{path}version/" data-version="{asked}"' in page


def test_the_version_of_lists_changes_with_what_is_recorded_and_again_when_it_is_applied():
    client = browser()
    seen: list[str] = []
    for step in (
        lambda: None,
        lambda: journal.record_events(life()[:1], delivery_id=1, now=NOW),
        lambda: projection.drain(now=NOW),
    ):
        step()
        answers = {
            client.get(it).json()["version"] for it in (f"{LIST}version/", "/admin/version/today/")
        }
        assert len(answers) == 1
        seen += answers

    assert len(set(seen)) == 3


def test_the_version_of_a_list_is_for_those_who_may_see_the_list():
    for path in (f"{LIST}version/", "/admin/version/today/"):
        assert browser("Viewer", name=f"viewer of {path}").get(path).status_code == 200
        assert who_may("view_order", name=path).get(path).status_code == 403
