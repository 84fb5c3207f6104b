"""A session that ended: what was typed is kept for the same person, and nothing is done by itself."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import Client
from django.utils import timezone

from backoffice.access import kept
from orders.models import JournalEntry, Placement, PortfolioOrder
from tests.staff import browser, html, messages, words

LIST = "/admin/orders/portfolioorder/"
LOGIN = "/admin/login/"
SAID = "Your session had ended. Nothing was sent. Please press “Add note” again."
TEXT = 'Called them\n<b>"at noon"</b>'

pytestmark = pytest.mark.django_db


@pytest.fixture
def order():
    return PortfolioOrder.objects.create(
        pk="840def04-f711-4274-b381-f20c93f39362", status="NEW", created_at=timezone.now()
    )


def end(client):
    Session.objects.filter(pk=client.session.session_key).delete()


def press(client, path, data=None, page=None, **more):
    headers = {"Referer": f"http://testserver{page}"} if page else {}
    return client.post(path, data or {}, headers=headers, **more)


def log_in(client, response, name="mira"):
    return client.post(response.url, {"username": name, "password": "x"}, follow=True)


@pytest.fixture
def page(order):
    return f"{LIST}{order.pk}/change/?show=all"


@pytest.fixture
def ended(order, page):
    """A browser whose session ended while a note was typed, and the answer to its button."""
    client = browser("Operator")
    client.get(page)
    end(client)
    note = f"{LIST}{order.pk}/note/"
    return client, press(client, note, {"text": TEXT, "password": "hush"}, page)


def test_after_the_log_in_the_page_is_there_with_the_text_and_nothing_was_added(ended, page):
    client, response = ended
    assert "Your session has ended. Nothing was sent." in words(client.get(response.url))

    back = log_in(client, response)

    assert back.redirect_chain == [(page, 302)]
    assert SAID in words(back)
    assert "\nCalled them\n&lt;b&gt;&quot;at noon&quot;&lt;/b&gt;</textarea>" in html(back)
    assert not JournalEntry.objects.exists()
    assert SAID not in words(client.get(page))
    assert "Called them" not in html(client.get(page))


def test_whoever_else_logs_in_sees_nothing_of_it(ended, page):
    client, response = ended
    browser("Operator", name="ben")

    back = log_in(client, response, "ben")

    assert "Called them" not in html(back)
    assert "Your session had ended" not in words(back)
    assert client.session.get(kept.KEPT) == []


def test_no_password_is_kept(ended):
    client, _ = ended
    (entry,) = client.session[kept.KEPT]

    assert entry["sent"] == {"text": [TEXT]}


def test_in_a_browser_where_nobody_was_logged_in_nothing_is_kept(order, page):
    client = Client()

    response = press(client, f"{LIST}{order.pk}/note/", {"text": TEXT}, page)

    assert response.url == f"{LOGIN}?next={page.replace('?', '%3F').replace('=', '%3D')}"
    assert kept.KEPT not in client.session


def test_a_cookie_of_somebody_elses_making_counts_for_nothing(order, page):
    client = Client()
    for made in ("1", signing.dumps(1, salt="another"), ""):
        client.cookies[kept.PERSON] = made
        press(client, f"{LIST}{order.pk}/note/", {"text": TEXT}, page)
        assert kept.KEPT not in client.session


def test_what_is_too_long_is_not_kept_but_the_page_still_says_that_nothing_was_sent(order, page):
    client = browser("Operator")
    client.get(page)
    end(client)
    response = press(client, f"{LIST}{order.pk}/note/", {"text": "x" * 70_000}, page)

    assert client.session[kept.KEPT][0]["sent"] == {}
    assert SAID in words(log_in(client, response))


def test_after_an_hour_it_is_forgotten(ended, page):
    client, response = ended
    with time_machine.travel(timezone.now() + kept.FOR * 1.1):
        assert "Called them" not in html(log_in(client, response))


@pytest.mark.parametrize(
    "referer",
    [
        None, "https://evil.example/admin/", "http://testserver.evil.example/admin/",
        "http://testserver//evil.example/admin/", "http://testserver/admin/login/?next=//evil.example",
        "http://testserver/admin/\\evil.example", "http://testserver/admin/no/such/page/",
        "javascript:alert(1)", "http://testserver/webhooks/investment-api",
    ],
)  # fmt: skip
def test_another_address_than_a_page_of_the_desk_is_never_led_to(order, page, referer):
    client = browser("Operator")
    client.get(page)
    end(client)
    headers = {"Referer": referer} if referer else {}

    response = client.post(f"{LIST}{order.pk}/note/", {"text": TEXT}, headers=headers)
    back = log_in(client, response)

    # Its own address, which leads to the page that has the button.
    assert [url for url, _ in back.redirect_chain] == [
        f"{LIST}{order.pk}/note/", f"{LIST}{order.pk}/change/"
    ]  # fmt: skip
    assert SAID in words(back)
    assert "Called them" in html(back)


def test_a_field_that_the_page_has_no_more_is_shown_as_text(order, page):
    client = browser("Viewer")  # who has no button
    client.get(page)
    end(client)

    back = log_in(client, press(client, f"{LIST}{order.pk}/note/", {"text": TEXT}, page))

    said = "Nothing was sent. Please press the button again. You had typed: Text Called them"
    assert said in words(back)


def test_a_selection_in_a_list_and_its_action_come_back(order):
    client = browser("Operator")
    client.get(LIST)
    end(client)
    data = {"action": "refetch_selected", "_selected_action": str(order.pk), "index": "0"}

    shown = html(log_in(client, press(client, LIST, data, LIST)))

    assert f'value="{order.pk}" class="action-select"' in shown
    assert shown.count(" checked") == 1
    assert '<option value="refetch_selected" selected>' in shown


# Idle sessions


def later(minutes):
    return time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False)


def test_an_idle_session_ends_and_says_why(settings):
    settings.SESSION_IDLE_MINUTES = 30
    client = browser("Operator")
    assert client.get(LIST).status_code == 200

    with later(31):
        response = client.get(LIST, follow=True)

    assert response.redirect_chain[-1][0].startswith(LOGIN)
    assert messages(response) == ["You were logged out after 30 minutes without activity."]


def test_whoever_works_stays_in_and_what_a_page_asks_for_by_itself_is_no_work(settings, order):
    settings.SESSION_IDLE_MINUTES = 30
    version = f"/admin/version/portfolio-order/{order.pk}/"
    working, idle = browser("Operator"), browser("Operator", name="ben")

    for minutes in (20, 40, 60):
        with later(minutes):
            assert working.get(LIST).status_code == 200
            idle.get(version)
            idle.get(LIST, headers={"Sec-Fetch-Dest": "empty"})
    with later(61):
        assert idle.get(LIST).status_code == 302


def test_without_the_setting_a_session_may_be_idle(settings):
    settings.SESSION_IDLE_MINUTES = 0
    client = browser("Operator")

    with later(600):
        assert client.get(LIST).status_code == 200


def test_a_button_pressed_too_late_keeps_what_was_typed(settings, order, page):
    settings.SESSION_IDLE_MINUTES = 30
    client = browser("Operator")
    client.get(page)

    with later(31):
        back = log_in(client, press(client, f"{LIST}{order.pk}/note/", {"text": TEXT}, page))

        assert SAID in words(back)
        assert "Called them" in html(back)


def test_a_list_writes_to_the_session_no_more_than_once_a_minute(
    settings, django_assert_max_num_queries
):
    client = browser("Operator")
    client.get(LIST)
    with later(0.5), django_assert_max_num_queries(8) as asked:
        client.get(LIST)

    assert not [it for it in asked.captured_queries if it["sql"].startswith("UPDATE")]


def test_the_order_that_was_confirmed_is_there_again_with_all_that_was_typed():
    place = "/admin/orders/placement/"
    account = "840def04-f711-4274-b381-f20c93f39362"
    client = browser("Trader")
    fields = {
        "user_id": account, "account_id": account, "cash_amount": "2500.00", "currency": "EUR", "side": "BUY",
    }  # fmt: skip
    shown = client.post(f"{place}place/", fields, follow=True)
    ((confirm, _),) = shown.redirect_chain
    key = html(shown).partition('name="key" value="')[2].partition('"')[0]
    end(client)
    sends = {**fields, "key": key, "newest": "", "amount": "2500.00", "tail": account[-8:]}

    back = log_in(client, press(client, f"{place}submit/", sends, confirm))

    assert back.redirect_chain == [(confirm, 302)]
    assert "Nothing was sent. Please press “Place order” again." in words(back)
    assert f"BUY 2,500.00 EUR for account {account}" in words(back)
    assert f'id="id_tail" value="{account[-8:]}"' in html(back)
    assert not Placement.objects.exists()
