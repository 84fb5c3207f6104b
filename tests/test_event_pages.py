"""Webhook events on the screens of staff: the list, the page of one, and applying them again."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import attributes, facts, journal, projection
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome
from orders.tracked import Source
from tests.signed import envelope, headers_for, publish, take_in
from tests.staff import JOURNAL, ORDERS, browser, html, messages, page, words
from tests.stories import START, event, execution, named, order, portfolio_order
from webhooks.models import Delivery, Event

EVENTS = "/admin/webhooks/event/"
DELIVERIES = "/admin/webhooks/delivery/"
AGAIN = f"{EVENTS}apply_again/"
NOW = START + timedelta(minutes=5)
P, A = UUID(named("P")), UUID(named("A"))
PLACED = event("PORTFOLIO_ORDER.NEW", portfolio_order())
ODD_STATUS = "status: a list instead of a text"
BAD = event("ORDER.NEW", order("B") | {"status": ["NEW"]})

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


@pytest.fixture
def operator():
    return browser("Operator", name="otto")


@pytest.fixture
def viewer():
    return browser("Viewer", name="vera")


@pytest.fixture
def reads_words(monkeypatch):
    """A release whose words may be lists of them."""
    read_lists(monkeypatch)


def read_lists(release):
    release.setattr(facts, "word", lambda upstream, name: "".join(upstream.get(name) or ""))


def receive(*events, now=NOW, delivery=1):
    journal.record_events(events, delivery_id=delivery, now=now)
    projection.drain(now=now)


def shown(response):
    return [str(row.event_id or row.repeat_of) for row in response.context["cl"].result_list]


def entry_of(one):
    return JournalEntry.objects.get(event_id=one["id"])


def path_of(one, button=""):
    home = EVENTS if button else JOURNAL
    return f"{home}{entry_of(one).pk}/{button or 'change'}/"


# The list


def test_the_sidebar_has_events_under_webhooks_and_the_journal_under_orders(viewer):
    text = html(viewer.get(DELIVERIES))

    assert f'href="{EVENTS}"' in text
    assert f'href="{JOURNAL}"' in text


def test_a_row_tells_outcome_type_object_receipt_lag_and_deliveries(client):
    receive(PLACED, now=START + timedelta(seconds=2))
    receive(PLACED, delivery=2)

    text = words(client.get(EVENTS))

    about = f"PORTFOLIO_ORDER.NEW Portfolio order {named('P')[:8]}"
    assert f"{PLACED['id'][:8]} Applied {about} 4 min ago 2 s 2" in text
    assert f"{PLACED['id'][:8]} No change {about} just now 5 min repeat" in text


def test_only_what_webhooks_brought_is_listed_and_the_journal_has_all(client):
    receive(PLACED)
    journal.record_step("Exported", actor="mira", now=NOW)
    journal.record_answer(Kind.ORDER, order("A"), about=A, source=Source.POLL, actor="", now=NOW)

    assert shown(client.get(EVENTS)) == [PLACED["id"]]
    assert len(shown(client.get(JOURNAL))) == 3


def test_the_list_asks_the_same_few_questions_for_1_event_and_for_50(client):
    def questions(query):
        with CaptureQueriesContext(connection) as queries:
            html(client.get(EVENTS, query))
        assert not any('"payload"' in query["sql"] for query in queries)
        return len(queries)

    both = [{}, {"outcome": "QUARANTINED"}]
    receive(PLACED, BAD)
    few = [questions(query) for query in both]
    for number in range(49):
        bad = event("ORDER.NEW", order(f"B{number}") | {"status": ["NEW"] * number})
        receive(event("ORDER.NEW", order(f"O{number}")), bad)
        receive(PLACED)

    assert [questions(query) for query in both] == few
    assert max(few) <= 5


def test_the_list_is_filtered_by_outcome_topic_and_time(client, clock):
    receive(PLACED, now=NOW - timedelta(days=10))
    trade = event("EXECUTION.FILLED", execution())
    receive(event("ORDER.NEW", order()), trade, BAD, {"type": "TAX.NEW", "id": named("tax")})

    def found(**query):
        return set(shown(client.get(EVENTS, query)))

    assert found(outcome="QUARANTINED") == {BAD["id"]}
    assert found(outcome="IGNORED") == {named("tax")}
    assert found(topic="PORTFOLIO_ORDER") == {PLACED["id"]}
    assert found(topic="ORDER") == {event("ORDER.NEW", order())["id"], BAD["id"]}
    assert found(topic="EXECUTION") == {trade["id"]}
    assert found(topic="OTHER") == {named("tax")}
    assert set(shown(client.get(JOURNAL, {"topic": "EXECUTION"}))) == {trade["id"]}
    assert PLACED["id"] not in found(received="7d")
    assert len(found()) == 5
    assert found(outcome="FAILED") == set()  # no outcome of an event


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
@pytest.mark.parametrize(
    ("path", "query", "index"),
    [
        (EVENTS, {"topic": "OTHER"}, "journalentry_rare_topic"),
        (EVENTS, {"topic": "EXECUTION"}, "journalentry_other_topic"),
        (EVENTS, {"outcome": "IGNORED"}, "journalentry_outcome_rare"),
        (EVENTS, {"outcome": "QUARANTINED"}, "journalentry_quarantined"),
        (EVENTS, {"outcome": "PENDING"}, "journalentry_pending"),
        (JOURNAL, {"outcome": "FAILED"}, "journalentry_outcome_rare"),
        (JOURNAL, {"source": "STAFF"}, "journalentry_source"),
    ],
)
def test_what_is_rare_is_found_from_an_index(client, path, query, index):
    many = [event("ORDER.NEW", order("A", seconds=n)) for n in range(2000)]
    receive(*many, delivery=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_journalentry")

    rows = client.get(path, query).context["cl"].queryset

    assert index in rows[:51].explain()


@pytest.mark.parametrize(
    "term", [PLACED["id"], PLACED["id"][:8], named("P"), named("P")[:10], named("P").upper()]
)
def test_an_event_is_found_by_its_id_or_its_objects(client, term):
    receive(PLACED, BAD)

    assert shown(client.get(EVENTS, {"q": term})) == [PLACED["id"]]


def test_where_no_webhook_ever_came_the_list_says_what_to_check(client):
    for path in (EVENTS, DELIVERIES):
        assert (
            "No webhook received yet. Check the subscription for ORDER and PORTFOLIO_ORDER "
            "and the endpoint URL." in words(client.get(path))
        )
        assert "Clear filters" in words(client.get(path, {"q": str(uuid4())}))


def test_an_empty_quarantine_is_good_news(client):
    receive(PLACED)

    text = words(client.get(EVENTS, {"outcome": "QUARANTINED"}))

    assert "No events are quarantined: all could be applied." in text


def test_staff_who_may_not_view_the_journal_see_no_event():
    Group.objects.create(name="Newcomers")
    receive(PLACED)
    newcomer = browser("Newcomers", name="new")

    assert newcomer.get(EVENTS).status_code == 403
    assert newcomer.get(path_of(PLACED)).status_code == 403


def test_an_event_has_one_address_and_each_list_links_to_it(client):
    receive(PLACED)
    pk = entry_of(PLACED).pk

    answer = client.get(f"{EVENTS}{pk}/change/", {"_changelist_filters": "topic=ORDER"})
    kept = "_changelist_filters=topic%3DORDER%26source%3DWEBHOOK"  # events alone stand around it
    assert answer.url == f"{JOURNAL}{pk}/change/?{kept}"
    for path in (EVENTS, JOURNAL):
        text = html(client.get(path))
        assert f'href="{JOURNAL}{pk}/change/' in text
        assert f'href="{EVENTS}{pk}/' not in text


def test_nobody_adds_changes_or_deletes_an_event(client):
    receive(PLACED)

    assert client.get(f"{EVENTS}add/").status_code == 403
    assert client.post(path_of(PLACED), {"outcome": "PENDING"}).status_code == 405
    assert client.post(path_of(PLACED, "delete"), {"post": "yes"}).status_code == 403


# The page


def test_the_page_says_who_had_told_it_before(client):
    receive(PLACED, event("ORDER.NEW", order("A")))
    filled = order("A", "FILLED", 20)
    journal.record_answer(
        Kind.ORDER, filled, about=A, source=Source.POLL, actor="", now=START + timedelta(minutes=2)
    )
    projection.drain(now=START + timedelta(minutes=2))
    late = event("ORDER.FILLED", filled)
    receive(late)

    assert "No change: we already knew Filled from the check of 10:02:00." in words(
        client.get(path_of(late))
    )


def test_the_page_has_each_receipt_with_its_delivery_and_says_where_content_differs(client):
    other = PLACED | {"webhook_id": named("another")}
    receive(PLACED, now=START + timedelta(seconds=2))
    receive(PLACED, delivery=2, now=START + timedelta(seconds=9))
    receive(other, delivery=3)

    response = client.get(path_of(PLACED))
    text = words(response)

    assert "Received 3 times, applied at most once" in text
    assert "2 s Delivery 1 this one original (used)" in text
    assert "9 s Delivery 2 Entry" in text
    assert "different content" in text
    assert f'href="{DELIVERIES}2/change/"' in html(response)


def test_the_page_links_its_place_in_the_history_and_a_repeat_that_of_the_first_copy(client):
    receive(PLACED)
    receive(PLACED)
    first, repeat = JournalEntry.objects.order_by("pk")
    anchor = f"entry-{first.pk}"

    for entry in (first, repeat):
        assert f'href="{page(P)}?entry={first.pk}#{anchor}"' in html(
            client.get(f"{JOURNAL}{entry.pk}/change/")
        )
    assert f'id="{anchor}"' in html(client.get(page(P)))


def test_an_event_of_an_order_leads_to_its_place_in_the_history_of_that(client):
    new = event("ORDER.NEW", order("A"))
    receive(PLACED, new)

    pk = entry_of(new).pk
    assert f'href="{ORDERS}{A}/change/?entry={pk}#entry-{pk}"' in html(client.get(path_of(new)))


def test_the_payload_is_for_those_who_may_view_it(viewer):
    receive(PLACED)

    assert named("subscription") not in html(viewer.get(path_of(PLACED)))
    text = html(browser("Auditor", name="aud").get(path_of(PLACED)))
    assert named("subscription") in text
    assert '<pre class="payload" tabindex="0"' in text


def test_the_page_asks_the_same_questions_for_1_entry_about_its_object_and_for_50(client):
    def questions():
        with CaptureQueriesContext(connection) as queries:
            html(client.get(path_of(PLACED)))
        return len(queries)

    receive(PLACED)
    questions()  # the first look at the payload is recorded, those within a minute are not
    one = questions()
    for second in range(1, 50):
        receive(event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", second)), PLACED)

    assert questions() == one


@pytest.mark.parametrize("key", ["999999", "no-number"])
def test_an_event_that_is_not_known_leads_to_the_list_and_says_so(client, key):
    response = client.get(f"{EVENTS}{key}/change/", follow=True)

    assert response.redirect_chain[-1][0] == EVENTS
    assert messages(response) == [f"Event {key}: not found."]


def test_an_entry_that_is_no_event_is_not_among_them(client):
    step = journal.record_step("Exported", actor="mira", now=NOW)

    assert client.get(f"{EVENTS}{step.pk}/change/").status_code == 302
    assert client.post(f"{EVENTS}{step.pk}/apply_again/").status_code == 404


def test_the_payload_of_an_event_that_is_no_object_is_shown(client):
    receive("just a text", ["a list"], 7)

    for entry in JournalEntry.objects.all():
        assert "Quarantined" in words(client.get(f"{JOURNAL}{entry.pk}/change/"))


# Applying again


def buttons():
    return [(path_of(BAD, "apply_again"), {}), (AGAIN, {"reason": "whatever"})]


def test_the_address_of_a_button_leads_to_its_page_and_changes_nothing(operator):
    receive(BAD)

    for path, _ in buttons():
        assert operator.get(path).url in {EVENTS, path_of(BAD)}
    assert entry_of(BAD).outcome == Outcome.QUARANTINED


def test_staff_without_the_permission_see_no_button_and_are_refused(viewer, operator, reads_words):
    with pytest.MonkeyPatch.context() as older:
        older.setattr(facts, "word", attributes.word)
        receive(BAD)

    for path in (
        path_of(BAD),
        f"{EVENTS}?outcome=QUARANTINED",
        f"{JOURNAL}{entry_of(BAD).pk}/change/",
    ):
        assert '<button class="press' in html(operator.get(path))
        assert '<button class="press' not in html(viewer.get(path))
    for path, data in buttons():
        assert viewer.post(path, data).status_code == 403
    chosen = {"action": "apply_selected_again", "_selected_action": [entry_of(BAD).pk]}
    viewer.post(EVENTS, chosen)
    assert entry_of(BAD).outcome == Outcome.QUARANTINED
    assert "Apply again" not in html(viewer.get(EVENTS))


def test_no_button_can_be_pressed_from_another_site():
    receive(BAD)
    visitor = browser("Operator", name="lured", checks_csrf=True)

    for path, data in buttons():
        assert visitor.post(path, data).status_code == 403


def test_apply_again_applies_the_event_says_so_and_leads_back_to_it(operator, monkeypatch):
    receive(BAD)
    read_lists(monkeypatch)

    response = operator.post(path_of(BAD, "apply_again"), follow=True)

    assert response.redirect_chain[-1][0] == path_of(BAD)
    assert messages(response) == ["Applied again: 1 applied."]
    assert "Applied: our first report of this order. It says New." in words(response)
    assert JournalEntry.objects.get(type="REPLAY").actor == "otto"


def test_apply_again_of_what_still_cannot_be_read_is_honest(operator):
    receive(BAD)

    response = operator.post(path_of(BAD, "apply_again"), follow=True)

    assert messages(response) == ["Applied again: 1 quarantined again."]
    assert ODD_STATUS in words(response)


def test_an_event_that_was_applied_meanwhile_is_not_applied_again(operator):
    receive(PLACED)

    response = operator.post(path_of(PLACED, "apply_again"), follow=True)

    assert messages(response) == ["The event is not in quarantine. Nothing was done."]


def test_the_selected_events_are_applied_again_and_the_others_left_alone(operator, monkeypatch):
    other = event("ORDER.NEW", order("C") | {"status": ["NEW", "ER"]})
    receive(PLACED, BAD, other)
    read_lists(monkeypatch)

    chosen = [entry_of(PLACED).pk, entry_of(BAD).pk]
    data = {"action": "apply_selected_again", "_selected_action": chosen}
    response = operator.post(EVENTS, data, follow=True)

    assert messages(response) == ["Applied again: 1 applied."]
    assert entry_of(other).outcome == Outcome.QUARANTINED


def test_a_selection_without_an_event_in_quarantine_is_said(operator):
    receive(PLACED)

    data = {"action": "apply_selected_again", "_selected_action": [entry_of(PLACED).pk]}
    response = operator.post(EVENTS, data, follow=True)

    assert messages(response) == ["None of these events is in quarantine. Nothing was done."]


def test_all_events_of_one_reason_are_applied_again_with_one_button(operator, monkeypatch):
    other = event("ORDER.NEW", order("C") | {"status": ["NEW", "ER"]})
    nothing = {"id": named("nothing"), "type": "ORDER.NEW"}
    receive(BAD, other, nothing)
    path = f"{EVENTS}?outcome=QUARANTINED"
    listed = operator.get(path)
    assert f"{ODD_STATUS} 2 Apply all 2 again" in words(listed)
    read_lists(monkeypatch)

    reason = listed.context["reasons"][0].text
    response = operator.post(AGAIN, {"reason": reason}, follow=True)

    assert response.redirect_chain[-1][0] == path
    assert messages(response) == ["Applied again: 2 applied."]
    assert entry_of(nothing).outcome == Outcome.QUARANTINED


# Deliveries


def test_process_again_on_the_page_of_a_delivery_says_what_came_of_it(operator, viewer):
    publish()
    take_in(operator, envelope(BAD), created=int(NOW.timestamp()))
    projection.drain(now=NOW)
    path = f"{DELIVERIES}{Delivery.objects.get().pk}/"

    assert operator.get(f"{path}process_again/").url == f"{path}change/"
    assert viewer.post(f"{path}process_again/").status_code == 403
    assert "Process again" not in html(viewer.get(f"{path}change/"))
    response = operator.post(f"{path}process_again/", follow=True)

    assert messages(response) == [
        "Processed again. Events: of those in quarantine 1 quarantined again."
    ]
    assert response.redirect_chain[-1][0] == f"{path}change/"
    assert operator.post(f"{DELIVERIES}999/process_again/").status_code == 404


def test_a_refused_delivery_has_no_button_and_says_that_nothing_is_proven(operator):
    publish()
    body = envelope(PLACED)
    forged = headers_for(body, created=int(NOW.timestamp())) | {"digest": "SHA-256=AAAA"}
    take_in(operator, body, headers=forged)

    text = words(operator.get(f"{DELIVERIES}{Delivery.objects.get().pk}/change/"))

    assert "Refused, answered 401: the body does not match its digest." in text
    assert "The details below are not verified." in text
    assert "Process again" not in text


def test_the_page_of_a_delivery_shows_what_its_signature_says(operator):
    publish()
    take_in(operator, envelope(PLACED), created=int((NOW - timedelta(hours=2)).timestamp()))

    text = words(operator.get(f"{DELIVERIES}{Delivery.objects.get().pk}/change/"))

    assert "Correctly signed, stored and answered 200: 1 event, 1 of them new." in text
    assert "Algorithm ECDSA P-521 with SHA-512 Version 6 Covers" in text
    assert "@method, @path" in text
    assert "Age on receipt 2 h older than the longest pause between two attempts" in text
    assert "had expired on receipt" in text


def test_events_are_entries_of_the_journal_and_have_no_permissions_of_their_own():
    assert Event._meta.default_permissions == []
    assert Event._meta.concrete_model is JournalEntry
