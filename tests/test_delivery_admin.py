"""Deliveries on the screens of staff, and how old ones go."""

import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice.client_address import TrustedProxies
from orders import projection
from orders.models import JournalEntry
from tests import staff
from tests.signed import KEY_ID, PATH, envelope, headers_for, post, publish, sample, take_in
from webhooks.models import Delivery, Verdict

LIST = "/admin/webhooks/delivery/"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
EVENT = sample("webhook.single_event")["payload"][0]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keys():
    publish()


@pytest.fixture
def viewer(client):
    """Return a client of somebody who may view deliveries and their events, and nothing else."""
    user = User.objects.create_user("mira", password="x", is_staff=True)
    codenames = ["view_delivery", "view_journalentry"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def taken(client):
    """One accepted delivery with an event, applied."""
    take_in(client, envelope(EVENT))
    projection.drain(now=timezone.now())
    return Delivery.objects.get()


def page(delivery):
    return f"{LIST}{delivery.pk}/change/"


def rows(answer):
    return [row.pk for row in answer.context["cl"].result_list]


def test_the_list_shows_verdict_events_key_and_age(admin_client):
    with time_machine.travel(NOW, tick=False):
        take_in(admin_client, envelope(EVENT, EVENT), created=int(NOW.timestamp()) - 2)
        take_in(admin_client, b"nonsense")
        admin_client.post(PATH, b"", "application/json", headers={"signature": "sig1=:AA==:"})

        answer = admin_client.get(LIST)

    for words in ("Accepted", "Unreadable", "Refused", KEY_ID[:8], ">2 s<", "just now"):
        assert words in answer.text
    assert len(rows(answer)) == 3


@pytest.mark.parametrize(
    ("age", "words"),
    [(timedelta(hours=2), "late"), (-timedelta(hours=2), "in the future")],
)
def test_an_old_or_future_signature_is_marked(admin_client, age, words):
    with time_machine.travel(NOW, tick=False):
        take_in(admin_client, envelope(EVENT), created=int((NOW - age).timestamp()))

        answer = admin_client.get(LIST)

    assert '<span class="late">' in answer.text
    assert words in answer.text


@pytest.mark.parametrize("verdict", Verdict.values)
def test_the_list_is_filtered_by_verdict(admin_client, verdict):
    take_in(admin_client, envelope(EVENT))
    take_in(admin_client, b"nonsense")
    admin_client.post(PATH, b"", "application/json", headers={"signature": "sig1=:AA==:"})

    answer = admin_client.get(LIST, {"verdict": verdict})

    assert [row.verdict for row in answer.context["cl"].result_list] == [verdict]


def test_a_delivery_is_found_by_its_number_its_events_their_objects_and_its_key(
    admin_client, taken
):
    take_in(admin_client, envelope(EVENT | {"id": str(uuid4()), "object": {"id": str(uuid4())}}))
    again = take_in(admin_client, envelope(EVENT)) and Delivery.objects.latest("pk")

    def found(term):
        return rows(admin_client.get(LIST, {"q": term}))

    assert found(str(taken.pk)) == [taken.pk]
    assert found(EVENT["id"]) == found(EVENT["object"]["id"]) == [again.pk, taken.pk]
    assert len(found(KEY_ID)) == 3
    assert found(str(uuid4())) == found("nothing like it") == found("9" * 30) == []


def test_the_list_asks_the_same_number_of_questions_for_one_row_and_for_fifty(admin_client):
    def questions():
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(LIST)
        assert not any('"body"' in query["sql"] for query in queries)
        return len(queries)

    take_in(admin_client, envelope(EVENT))
    one = questions()
    for _ in range(49):
        take_in(admin_client, envelope(EVENT))

    assert questions() == one <= 5


def test_the_page_shows_each_event_with_its_outcome_and_its_entry(admin_client, taken):
    bad = {"id": str(uuid4()), "type": "ORDER.NEW"}
    take_in(admin_client, envelope(EVENT, bad, bad))
    projection.drain(now=NOW)

    answer = admin_client.get(page(Delivery.objects.latest("pk")))

    text = answer.text
    assert [(c.is_repeat, c.entry.outcome) for c in answer.context["contents"]] == [
        (True, "APPLIED"), (False, "QUARANTINED"), (True, "QUARANTINED"),
    ]  # fmt: skip
    assert "The ORDER.NEW event has no object" in text
    for entry in JournalEntry.objects.filter(repeat_of=None, delivery_id__isnull=False):
        assert f"/admin/orders/journalentry/{entry.pk}/change/" in text


def test_the_page_shows_the_kept_headers(admin_client, taken):
    text = admin_client.get(page(taken)).text

    assert "signature-input" in text
    assert "keyid=&quot;" in text


def test_the_body_is_shown_to_those_who_may_view_payloads_only(viewer, admin_user, taken):
    account = EVENT["object"]["account_id"]

    answer = viewer.get(page(taken))
    assert answer.status_code == 200
    assert account not in answer.text
    assert "you need the permission to view raw payloads" in answer.text

    viewer.force_login(admin_user, backend="django.contrib.auth.backends.ModelBackend")
    assert account in viewer.get(page(taken)).text


@pytest.mark.parametrize("body", [b"\xff\x00<script>", b"[" * 100_000, b"\xed\xa0\x80"])
def test_a_body_that_is_no_text_is_shown_all_the_same(admin_client, body):
    take_in(admin_client, body)

    answer = admin_client.get(page(Delivery.objects.get()))

    assert answer.status_code == 200
    assert "<script>" not in answer.text.split("Body as received")[-1].split("</section>")[0]


def test_the_page_of_a_refused_delivery_says_why(admin_client):
    headers = headers_for(envelope(EVENT)) | {"digest": "SHA-256=AAAA"}
    take_in(admin_client, envelope(EVENT), headers=headers)

    text = admin_client.get(page(Delivery.objects.get())).text

    assert "the body does not match its digest" in text
    assert "The body of a refused delivery is not kept" in text


def test_nobody_adds_changes_or_deletes_a_delivery(admin_client, taken):
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page(taken), {"reason": "x"}).status_code == 405
    assert admin_client.post(f"{LIST}{taken.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Delivery.objects.get().reason == ""


def test_staff_without_the_permission_see_no_deliveries(client, taken):
    user = User.objects.create_user("otto", password="x", is_staff=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    assert client.get(LIST).status_code == 403
    assert client.get(page(taken)).status_code == 403


# Purge


def purge(*options):
    out = io.StringIO()
    call_command("purge", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def aged(client, taken):
    """Deliveries that are 100, 91, 89 and 0 days old."""
    for days in (100, 91, 89):
        with time_machine.travel(timezone.now() - timedelta(days=days), tick=False):
            take_in(client, envelope(EVENT))
    return taken


def test_purge_deletes_old_deliveries_and_leaves_the_journal_alone(aged):
    entries = JournalEntry.objects.count()

    assert purge("--no-input").startswith("Deleted 2 deliveries received before")
    assert Delivery.objects.count() == 2
    assert JournalEntry.objects.exclude(type="PURGE").count() == entries
    assert purge("--no-input").startswith("There are no deliveries")


def test_the_journal_names_who_purged_and_how_much(aged, monkeypatch):
    monkeypatch.setenv("LOGNAME", "mira")

    said = purge("--no-input")

    note = JournalEntry.objects.get(source="STAFF")
    assert (note.actor, f"{note.message}\n") == ("mira (command line)", said)


def test_a_purge_that_is_ended_half_way_is_noted_with_what_it_deleted(aged, monkeypatch):
    monkeypatch.setattr("webhooks.management.commands.purge.BATCH", 1)
    delete, ends = QuerySet.delete, iter([False, True])

    def ended(rows):
        if next(ends):
            raise KeyboardInterrupt
        return delete(rows)

    monkeypatch.setattr(QuerySet, "delete", ended)
    with pytest.raises(KeyboardInterrupt):
        purge("--no-input")

    assert JournalEntry.objects.get(source="STAFF").message.startswith("Deleted 1 deliveries")


def test_purge_takes_another_age(aged):
    assert purge("--no-input", "--days", "95").startswith("Deleted 1 ")

    for days in ("0", "36501"):
        with pytest.raises(CommandError, match="at least 1 and at most 36,500"):
            purge("--no-input", "--days", days)


def test_purge_deletes_in_batches(aged, monkeypatch):
    monkeypatch.setattr("webhooks.management.commands.purge.BATCH", 1)

    assert purge("--no-input").startswith("Deleted 2 ")


@pytest.mark.parametrize(("answer", "left"), [("yes\n", 2), ("no\n", 4), ("\n", 4), ("", 4)])
def test_purge_asks_before_it_destroys(aged, monkeypatch, answer, left):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    if left == 4:
        with pytest.raises(CommandError):
            purge()
    else:
        purge()
    assert Delivery.objects.count() == left


def test_the_permission_to_process_again_exists():
    permission = Permission.objects.get(codename="replay_delivery")

    assert permission.name == "Can process deliveries and quarantined events again"


def test_a_delivery_that_waits_says_so_and_since_when(admin_client):
    post(admin_client, envelope(EVENT))
    waiting = Delivery.objects.get()

    shown = admin_client.get(page(waiting)).text

    assert "Waiting" in shown
    assert "Its events are not read yet" in shown
    assert "Waiting" in admin_client.get(LIST).text
    assert admin_client.get(LIST, {"verdict": "WAITING"}).context["cl"].result_count == 1
    projection.drain(now=timezone.now())
    assert admin_client.get(LIST, {"verdict": "WAITING"}).context["cl"].result_count == 0


def test_a_delivery_whose_body_is_kept_with_another_shows_it_and_where_it_is(admin_client):
    take_in(admin_client, envelope(EVENT))
    take_in(admin_client, envelope(EVENT))
    first, second = Delivery.objects.order_by("pk")

    shown = admin_client.get(page(second)).text

    assert f'stored once, with <a href="{page(first)}">delivery {first.pk}</a>' in shown
    assert str(EVENT["id"]) in shown


@pytest.mark.parametrize("refused", [False, True])
def test_a_delivery_keeps_the_address_it_came_from_refused_or_not(
    admin_client, client, settings, refused
):
    settings.TRUSTED_PROXIES = TrustedProxies.parse("1")
    headers = headers_for(b"{}") | {"x-forwarded-for": "198.51.100.66, 203.0.113.9"}
    if refused:
        headers["signature-input"] = headers["signature-input"].replace("created=", "created=1")

    post(client, b"{}", headers=headers)

    row = Delivery.objects.get()
    assert row.verdict == (Verdict.REFUSED if refused else Verdict.ACCEPTED)
    assert row.sender == "203.0.113.9"
    assert "203.0.113.9" in staff.words(admin_client.get(page(row)))
