"""What a list cannot understand of its address: it says so and shows nothing, never everything."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.utils import timezone

from orders import journal, projection
from orders.models import JournalEntry, Reconciliation
from tests.staff import LIST, ORDERS, browser, html, messages, words
from tests.stories import START, event, named, order, portfolio_order
from webhooks.models import Delivery, Verdict

pytestmark = pytest.mark.django_db

USERS = "/admin/auth/user/"
LISTS = {
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model_admin
    for model, model_admin in admin.site._registry.items()
}


@pytest.fixture(autouse=True)
def desk():
    """A row in each list that has actions, and one event in quarantine."""
    with time_machine.travel(START, tick=False):
        journal.record_events(
            [
                event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED")),
                event("ORDER.FILLED", order("A", "FILLED")),
                {"id": named("bad"), "type": "ORDER.NEW"},
            ],
            delivery_id=1,
            now=START,
        )
        projection.drain(now=START)
        Delivery.objects.create(received_at=START, verdict=Verdict.ACCEPTED, body=b"{}")
        yield


@pytest.fixture
def client():
    return browser()


def said(client, path, query):
    """Return what a list says that shows nothing."""
    response = client.get(f"{path}?{query if isinstance(query, str) else urlencode(query)}")
    assert not list(response.context["cl"].result_list), query
    assert response.context["cl"].queryset.query.is_empty()
    return words(response)


@pytest.mark.parametrize(("path", "asked", "sentence"), [
    (LIST, "status=FOO", "Status “FOO” is not understood."),
    (LIST, "status=NEW&type=HOLD", "Type “HOLD” is not understood."),
    (LIST, "freshness=STALE", "Update status “STALE” is not understood."),
    (LIST, "problem=anything", "Problems “anything” is not understood."),
    (LIST, "placed=8d", "Placed “8d” is not understood."),
    (LIST, "placed_from=garbage", "Placed from “garbage” is not a date."),
    (LIST, "placed_to=2026-02-30", "Placed to “2026-02-30” is not a date."),
    (LIST, "placed_from=0001-01-01", "Placed from “0001-01-01” is not a date."),
    (LIST, "placed_from=2026-03-02&placed_to=2026-03-01",
     "Placed from 2 Mar 2026 to 1 Mar 2026: the first day is after the last."),
    (LIST, "placed=7d&placed_from=2026-03-01", "Placed is given more than once."),
    (LIST, "foo=1", "“foo” is not a filter of this list."),
    (LIST, "e=1", "“e” is not a filter of this list."),
    (LIST, "id__exact=1", "“id__exact” is not a filter of this list."),
    (LIST, "status=NEW&status=FILLED", "Status is given more than once."),
    (LIST, "q=a&q=b", "The search term is given more than once."),
    (LIST, f"q={'x' * 3001}", "At most 3,000 characters can be searched for."),
    (LIST, "p=abc", "Page “abc” is not a page number."),
    (LIST, "p=0", "Page “0” is not a page number."),
    (LIST, f"p={'9' * 5000}", "is not a page number."),
    (ORDERS, "side=LONG", "Side “LONG” is not understood."),
    (USERS, "is_staff__exact=7", "Can log in to the desk “7” is not understood."),
    (USERS, "groups__id__exact=999", "Groups “999” is not understood."),
    (USERS, "groups__id__exact=x", "Groups “x” is not understood."),
    (USERS, "foo=1", "“foo” is not a filter of this list."),
    (USERS, "password__startswith=a", "“password__startswith” is not a filter of this list."),
])  # fmt: skip
def test_what_is_not_understood_is_said_and_nothing_is_shown(client, path, asked, sentence):
    text = said(client, path, asked)

    assert sentence in text
    assert "Nothing is shown. Clear filters" in text


@pytest.mark.parametrize("asked", [
    "", "status=", "placed_from=&placed_to=", "status=FILLED&placed=30d", "status=DONE&status=DONE",
    "q=", "p=1", "placed_from=2026-03-01&placed_to=2026-03-01", "o=", "all=",
])  # fmt: skip
def test_what_is_understood_is_shown(client, asked):
    response = client.get(f"{LIST}?{asked}")

    assert "Nothing is shown" not in words(response)
    assert response.context["cl"].misread == []


@pytest.mark.parametrize(
    "asked", ["is_staff__exact=1", "is_staff__exact=0", "groups__id__exact={}"]
)
def test_filters_of_django_s_own_are_understood(client, asked):
    viewer = Group.objects.get(name="Viewer")
    User.objects.create_user("ada", is_staff=False).groups.add(viewer)

    response = client.get(f"{USERS}?{asked.format(viewer.pk)}")

    assert len(response.context["cl"].result_list) == 1
    assert response.context["cl"].misread == []


def filters_of(model_admin):
    for it in model_admin.list_filter:
        if isinstance(it, str):
            yield f"{it}__exact"
        else:
            yield from it.names() if hasattr(it, "names") else [it.parameter_name]


@pytest.mark.parametrize("path", LISTS)
def test_no_list_shows_a_row_for_a_filter_that_nobody_understands(client, path):
    asked = {*filters_of(LISTS[path]), "foo", "e", "id__gte", "page"}
    for name in asked - {"person"}:  # any name may be asked for, also of a user who is gone
        text = said(client, path, {name: "\ufffegarbage"})

        assert "Nothing is shown. Clear filters" in text, name


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("asked", ["foo=1", "e=1"])
def test_no_action_does_anything_to_a_list_that_is_not_understood(client, path, asked):
    rows = LISTS[path].model.objects
    keys = [str(pk) for pk in rows.values_list("pk", flat=True)]
    entries = JournalEntry.objects.count()
    actions = [getattr(it, "__name__", it) for it in LISTS[path].actions or ()]

    for action in [*actions, "delete_selected"]:
        chosen = {"action": action, "index": 0, "select_across": 1, "_selected_action": keys}
        response = client.post(f"{path}?{asked}", chosen, follow=True)

        assert "Nothing is shown." in words(response)
    assert rows.count() == len(keys)
    assert JournalEntry.objects.count() == entries


def test_an_export_of_a_misspelt_filter_is_no_file_and_says_so(client):
    keys = {"action": "export_orders", "index": 0, "select_across": 1}
    keys["_selected_action"] = [named("P")]

    response = client.post(f"{LIST}?status=FOO", keys, follow=True)

    assert messages(response) == ["This list shows nothing. Nothing was done."]
    assert not JournalEntry.objects.filter(message__contains="Exported").exists()


def test_the_filter_that_is_not_understood_is_marked_and_the_links_of_the_others_drop_what_is_none(
    client,
):
    text = html(client.get(f"{LIST}?status=FOO&foo=1&type=BUY"))

    assert "<summary>Status: <strong>not understood</strong>" in text
    assert "<summary>Type: <strong>Buy</strong>" in text
    filters = text.partition('id="changelist-filter"')[2].partition("</nav>")[0]
    assert "type=BUY" in filters
    assert "foo=1" not in filters
    assert 'href="?status=NEW&amp;type=BUY"' in text


def test_a_page_behind_the_last_is_none(client):
    text = said(client, LIST, "status=FILLED&p=7")

    assert "This list has no page 7. Nothing is shown. Show the first page" in text
    assert 'href="?status=FILLED">Show the first page' in html(
        client.get(f"{LIST}?status=FILLED&p=7")
    )


def test_days_of_the_clock_are_days(client):
    day = (timezone.localdate() - timedelta(days=1)).isoformat()

    assert client.get(f"{LIST}?placed_from= {day} ").context["cl"].misread == []


# Pages of one object


@pytest.mark.parametrize("path", [f"{LIST}{named('P')}/change/", f"{ORDERS}{named('A')}/change/"])
@pytest.mark.parametrize("asked", ["FOO", "ALL", "problem"])
def test_a_history_under_a_filter_that_is_not_understood_is_empty_and_says_so(client, path, asked):
    response = client.get(path, {"show": asked})

    shown = response.context["history"]
    assert shown.days == []
    assert not any(chip.is_chosen for chip in shown.chips)
    assert shown.chips[0].count > 0
    said = f"Filter “{asked}” is not understood. Nothing is shown. Show all"
    assert said in words(response)


@pytest.mark.parametrize("asked", ["", "problems", "checks", "orders"])
def test_a_history_under_a_filter_of_its_own_says_nothing_of_that(client, asked):
    text = words(client.get(f"{LIST}{named('P')}/change/", {"show": asked}))

    assert "Nothing is shown" not in text


@pytest.fixture
def compared():
    """A reconciliation with two findings."""
    run = Reconciliation.objects.create(scope="OPEN", state="DONE", started_at=START, compared=2)
    for name, verdict in (("P", "DIFFERING"), ("Q", "REPAIRED")):
        run.findings.create(portfolio_order_id=named(name), verdict=verdict, found_at=START)
    return f"/admin/orders/reconciliation/{run.pk}/change/"


@pytest.mark.parametrize(("asked", "sentence"), [
    ("verdict=FOO", "Result “FOO” is not understood."),
    ("verdict=differing", "Result “differing” is not understood."),
    ("p=7", "Page “7” does not exist."), ("p=abc", "Page “abc” does not exist."),
    ("verdict=DIFFERING&p=2", "Page “2” does not exist."),
])  # fmt: skip
def test_findings_that_are_asked_for_in_words_that_nobody_knows_are_none(
    client, compared, asked, sentence
):
    response = client.get(f"{compared}?{asked}")

    assert list(response.context["findings"]) == []
    assert f"{sentence} Nothing is shown." in words(response)
    assert 'href="?#findings">All findings' in html(response)


@pytest.mark.parametrize(
    ("asked", "count"), [("", 2), ("verdict=DIFFERING", 1), ("verdict=", 2), ("p=1", 2)]
)
def test_findings_that_are_asked_for_are_shown(client, compared, asked, count):
    assert len(client.get(f"{compared}?{asked}").context["findings"]) == count
