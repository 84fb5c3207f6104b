"""The pages of subscriptions: what they show, who may press what, and that each step is told."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.sandbox import Trouble
from orders.models import JournalEntry
from tests.staff import browser, html, messages, words
from tests.upstream import START, running
from webhooks.models import Delivery, Subscription, Verdict
from webhooks.subscriptions import setup, trial, wanted, watch

pytestmark = pytest.mark.django_db
URL = "https://desk.example.com/webhooks/investment-api"
LIST = "/admin/webhooks/subscription/"


@pytest.fixture
def upstream(settings, monkeypatch):
    settings.WEBHOOK_PUBLIC_URL = URL
    monkeypatch.setattr(trial, "sleep", lambda _: None)
    with running(settings) as upstream:
        yield upstream


def made(upstream, url=URL, **changes):
    it = upstream.subscriptions.create(wanted.document(url), now=START)
    upstream.subscriptions.update(it.id, {"enabled": True, **changes}, now=START)
    return UUID(it.id)


def check():
    watch.check(now=START)


def page(pk, step="change"):
    return f"{LIST}{pk}/{step}/"


def test_the_head_says_in_one_sentence_how_the_feed_is_and_when_that_was_checked(upstream):
    made(upstream)
    check()
    Delivery.objects.create(received_at=START, verdict=Verdict.ACCEPTED)
    upstream.deliver(seconds=120)

    said = words(browser().get(LIST))

    assert "OK" in said
    assert f"The subscription to {URL} is registered and enabled, with the right topics." in said
    assert "Last checked 2 min ago" in said
    assert "Last webhook 2 min ago" in said


def test_an_alarm_is_told_with_what_to_do(upstream):
    check()

    said = words(browser().get(LIST))

    assert f"We are not subscribed at the broker. No updates arrive at {URL}" in said
    assert "The broker has no subscription. Press Set up to create one." in said
    assert "Last webhook never" in said


def test_before_the_first_check_the_page_says_how_it_is_done(db):
    said = words(browser().get(LIST))

    assert "Subscriptions have not been loaded yet" in said
    assert "WEBHOOK_PUBLIC_URL is not set" in said


def test_the_list_marks_what_there_is_to_say_of_each(upstream):
    made(upstream, title="Kept")
    made(upstream, title="Second", enabled=False)
    made(upstream, "https://other.example.com/", title="Another")
    gone = made(upstream, "https://old.example.com/", title="Old")
    check()
    upstream.subscriptions.delete(str(gone))
    check()

    response = browser().get(LIST)

    rows = {
        row.title: words_of(response.context["cl"].model_admin.marked(row))
        for row in response.context["cl"].result_list
    }
    assert rows == {
        "Kept": ["This desk", "Wrong settings"],
        "Second": ["Duplicate", "Disabled"],
        "Another": ["Other system"],
        "Old": ["Deleted"],
    }
    assert html(response).index("Kept") < html(response).index("Old")


def words_of(badges):
    return [part.rpartition("</svg>")[2] for part in badges.split("</span>") if part.strip()]


def test_the_list_costs_the_same_for_one_and_for_many(upstream):
    made(upstream)
    check()
    client = browser()
    client.get(LIST)
    counts = []
    for more in (0, 40):
        for number in range(more):
            made(upstream, f"https://{number}.example.com/")
        check()
        with CaptureQueriesContext(connection) as statements:
            client.get(LIST)
        counts.append(
            [
                it["sql"]
                for it in statements
                if "auth_" not in it["sql"] and "session" not in it["sql"]
            ]
        )

    assert len(counts[0]) == len(counts[1]) <= 5, counts[1]


def test_the_page_shows_one_and_what_set_up_would_change(upstream):
    pk = made(upstream, type=["ALL"], exclude_type=["USER"])
    check()

    said = words(browser().get(page(pk)))

    assert "ALL but USER" in said
    assert "Set up will change: topics from ALL but USER to PORTFOLIO_ORDER" in said
    assert "256.0" in said


def test_one_that_is_gone_has_no_buttons(upstream):
    pk = made(upstream)
    check()
    upstream.subscriptions.delete(str(pk))
    check()

    shown = html(browser().get(page(pk)))

    assert "The broker no longer lists it" in shown
    assert "Delete</button>" not in shown


def test_set_up_tells_what_was_changed_and_leaves_a_line_with_the_actor(upstream):
    response = browser("Operator").post(f"{LIST}set_up/", follow=True)

    pk = Subscription.objects.get().pk
    said = f"Subscription {pk}: created for {URL}; enabled it. A test event was requested."
    assert messages(response) == [said]
    entry = JournalEntry.objects.get(type=setup.STEP)
    assert (entry.source, entry.outcome, entry.actor) == ("STAFF", "NOTED", "mira")
    assert entry.message == f"Set up the subscription to {URL}. {said}"


def test_a_failure_is_told_with_what_the_broker_said(upstream):
    upstream.expect(Trouble("problem", 403, path="/webhooks"), times=1)

    response = browser().post(f"{LIST}set_up/", follow=True)

    (said,) = messages(response)
    assert said.startswith("Failed: 403 Forbidden")
    assert "needs the scope webhooks:read" in said


def test_test_says_that_nothing_came_and_leads_back(upstream):
    pk = made(upstream)
    check()

    response = browser().post(page(pk, "test"), follow=True)

    assert response.redirect_chain == [(page(pk), 302)]
    (said,) = messages(response)
    assert said.startswith("No test event arrived within 5 s.")
    assert JournalEntry.objects.get(type=setup.STEP).actor == "mira"


def test_delete_asks_with_what_is_lost_and_then_deletes(upstream):
    pk = made(upstream)
    check()
    client = browser("Operator")

    asked = words(client.get(page(pk, "confirm_delete")))
    assert "Delete this subscription?" in asked
    assert setup.LOSS in asked
    assert upstream.subscriptions.all()

    response = client.post(page(pk, "delete"), {"address": URL}, follow=True)
    assert messages(response) == [
        f"Deleted subscription {pk} to {URL}. Its queued events are lost."
    ]
    assert upstream.subscriptions.all() == []
    assert JournalEntry.objects.get(type=setup.STEP).actor == "mira"


@pytest.mark.parametrize("typed", ["", "yes", "https://elsewhere.example/webhooks/investment-api"])
def test_the_live_subscription_is_deleted_only_if_its_url_was_typed(upstream, typed):
    pk = made(upstream)
    check()
    client = browser("Operator")
    assert "Type its URL to delete it" in words(client.get(page(pk, "confirm_delete")))

    response = client.post(page(pk, "delete"), {"address": typed})

    assert response.status_code == 422
    assert b"This is not the URL above. Nothing was deleted." in response.content
    assert [it.id for it in upstream.subscriptions.all()] == [str(pk)]


def test_one_of_another_system_is_deleted_after_a_simple_question(upstream):
    made(upstream)
    other = upstream.subscribe("https://elsewhere.example/hooks")
    check()
    client = browser("Operator")

    assert "Type its URL" not in words(client.get(page(other, "confirm_delete")))
    (said,) = messages(client.post(page(other, "delete"), follow=True))

    assert said.startswith(f"Deleted subscription {other}")


STEPS = ["set_up", "test", "delete"]


def path(pk, step):
    return f"{LIST}set_up/" if step == "set_up" else page(pk, step)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_post(upstream, step):
    pk = made(upstream)
    check()
    upstream.asked()

    home = LIST if step == "set_up" else page(pk)
    assert browser().get(path(pk, step)).url == home
    assert upstream.asked() == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("group", ["Viewer", "Auditor", "Trader"])
def test_without_the_permission_a_step_is_refused_and_not_shown(upstream, step, group):
    pk = made(upstream)
    check()
    upstream.asked()
    client = browser(group)

    assert client.post(path(pk, step)).status_code == 403
    assert client.get(page(pk, "confirm_delete")).status_code == 403
    assert upstream.asked() == []
    for shown in (client.get(LIST), client.get(page(pk))):
        assert "<button" not in html(shown).partition('id="content-main"')[2].partition("footer")[0]


def test_steps_are_checked_against_forgery(upstream):
    assert browser(checks_csrf=True).post(f"{LIST}set_up/").status_code == 403


@pytest.mark.parametrize("step", ["test", "delete", "confirm_delete"])
def test_what_is_not_known_here_is_404(upstream, step):
    client = browser()
    send = client.get if step == "confirm_delete" else client.post

    assert send(page(uuid4(), step)).status_code == 404


def test_somebody_without_any_group_sees_nothing_of_it(upstream):
    client = browser("Viewer")
    User.objects.get().groups.clear()

    assert client.get(LIST).status_code == 403
    assert client.post(f"{LIST}set_up/").status_code == 403
