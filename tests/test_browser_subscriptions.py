"""What staff do with subscriptions in a browser; the sandbox delivers to the same live server."""

import re
from datetime import timedelta

import pytest

from orders.models import JournalEntry, PortfolioOrder
from tests.browser import flaws
from tests.staff import browser, who_may
from tests.upstream import START, running
from webhooks.authentication import key_set
from webhooks.models import Delivery, Subscription
from webhooks.subscriptions import setup, trial, watch

LIST = "/admin/webhooks/subscription/"


@pytest.fixture
def upstream(look, live_server, settings, monkeypatch):
    settings.WEBHOOK_PUBLIC_URL = f"{live_server.url}/webhooks/investment-api"
    key_set.forget()
    with running(settings) as upstream:
        monkeypatch.setattr(trial, "sleep", upstream.deliver)
        yield upstream
    key_set.forget()


def said(shown):
    return shown.locator(".messagelist").inner_text()


def set_up():
    return setup.ensure(actor="ada").subscription_id


def test_the_alarm_on_today_leads_to_the_button_that_ends_it(look, upstream):
    watch.check(now=START)
    window = look(browser())

    shown = window.open("/admin/")
    assert "We are not subscribed at the broker." in shown.locator("#feed-alarm").inner_text()
    shown.locator("#feed-alarm a").click()
    assert window.path() == LIST
    shown.get_by_role("button", name="Set up").click()

    assert re.match(r"Subscription [\w-]{36}: created for .+; enabled it\.", said(shown))
    assert shown.locator("#condition .badge").inner_text() == "OK"
    assert shown.locator("#result_list .field-marked").all_inner_texts() == ["This desk"]
    assert [it.enabled for it in upstream.subscriptions.all()] == [True]
    assert JournalEntry.objects.get(type="SUBSCRIPTION").actor == "mira"
    window.open("/admin/")
    assert shown.locator("#feed-alarm").count() == 0
    assert window.complaints == []


def test_test_waits_for_the_event_and_says_that_it_came(look, upstream):
    pk = set_up()
    upstream.deliver(seconds=2)
    window = look(browser())

    shown = window.open(LIST)
    shown.locator("#result_list a", has_text=str(pk)[:8]).click()
    shown.get_by_role("button", name="Test").click()

    last = Delivery.objects.latest("pk")
    assert said(shown) == f"The test event WEBHOOK.TEST arrived after 1 s, in delivery {last.pk}."
    assert window.path() == f"{LIST}{pk}/change/"
    assert window.complaints == []


def test_delete_asks_says_what_is_lost_and_can_be_left(look, upstream):
    pk = set_up()
    window = look(browser())
    shown = window.open(f"{LIST}{pk}/change/")

    shown.get_by_role("button", name="Delete…").click()
    assert "Events waiting for delivery are lost" in shown.locator("#loss").inner_text()
    shown.get_by_role("button", name="Don't delete").click()
    assert window.path().startswith(f"{LIST}{pk}/change/")
    assert Subscription.objects.get().gone_at is None

    shown.get_by_role("button", name="Delete…").click()
    shown.get_by_label("Type its URL to delete it").fill(upstream_url())
    shown.get_by_role("button", name="Delete subscription").click()

    assert (
        said(shown) == f"Deleted subscription {pk} to {upstream_url()}. Its queued events are lost."
    )
    assert shown.locator("#result_list .field-marked").all_inner_texts() == ["Deleted"]
    assert shown.locator("#condition .badge").inner_text() == "Missing"
    assert upstream.subscriptions.all() == []
    assert window.complaints == []


def upstream_url():
    return Subscription.objects.get().url


def test_who_may_only_view_sees_the_pages_and_no_button(look, upstream):
    pk = set_up()
    client = who_may("view_subscription")
    window = look(client)

    for path in (LIST, f"{LIST}{pk}/change/"):
        shown = window.open(path)
        assert shown.locator("#content form button").count() == 0
        assert str(pk)[:8] in shown.locator("#content").inner_text()
    assert client.post(f"{LIST}set_up/").status_code == 403
    assert client.post(f"{LIST}{pk}/delete/").status_code == 403


def test_a_silent_feed_is_told_on_today(look, upstream):
    set_up()
    PortfolioOrder.objects.create(pk=upstream.place(), status="NEW", created_at=START)
    later = START + timedelta(hours=2)
    upstream.deliver(seconds=7200)
    Delivery.objects.update(received_at=START)
    watch.check(now=later)

    shown = look(browser()).open("/admin/")

    assert "No webhooks are arriving. No webhook has arrived since 10:00, for 2 h, although" in (
        shown.locator("#feed-alarm").inner_text()
    )


@pytest.mark.parametrize("is_well", [True, False])
def test_no_barrier_stands_in_its_pages_and_nothing_is_cut_off(look, upstream, is_well):
    pk = set_up()
    if not is_well:
        upstream.subscriptions.update(str(pk), {"enabled": False, "title": "x"}, now=START)
        watch.check(now=START)
    window = look(browser())

    assert (
        flaws(window, LIST, f"{LIST}{pk}/change/", f"{LIST}{pk}/confirm_delete/", "/admin/") == []
    )
