"""Events in quarantine that never need to be applied are dismissed with a reason, by those who may apply them again."""

import pytest
import time_machine

from orders import journal, projection, quarantine
from orders.models import JournalEntry, Outcome
from orders.tracked import Source
from tests.staff import JOURNAL, browser, html, messages, words
from tests.stories import START, at, named
from tests.test_dashboard import TODAY, tiles

EVENTS = "/admin/webhooks/event/"
WAITING = f"{EVENTS}?outcome=QUARANTINED"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(clocked_cache):
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def garbage(*names):
    events = [
        {"id": named(name), "type": "ORDER.NEW", "created_at": at(1), "object": {}}
        for name in names
    ]
    journal.record_events(events, delivery_id=1, now=START)
    projection.drain(now=START)
    return list(JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).order_by("pk"))


def test_who_may_replay_dismisses_an_event_with_a_reason_and_the_number_comes_back_to_0():
    (entry,) = garbage("A")
    client = browser("Operator")
    assert "Reason for dismissing it" in words(client.get(f"{JOURNAL}{entry.pk}/change/"))

    response = client.post(
        f"{EVENTS}{entry.pk}/dismiss/", {"reason": "a test of the broker's"}, follow=True
    )

    assert messages(response) == ["Dismissed 1 event from quarantine."]
    text = words(response)
    assert "staff decided to leave it out" in text
    assert "Dismissed by mira: a test of the broker's" in text
    assert "Reason for dismissing it" not in text
    assert tiles(client.get(TODAY))["Webhook problems"][:2] == ("0 none", False)
    assert client.get(f"{EVENTS}?outcome=DISMISSED").context["cl"].result_count == 1


def test_the_step_is_in_the_journal_with_who_took_it_and_the_event_keeps_all_it_held():
    (entry,) = garbage("A")

    quarantine.dismiss([entry.pk], reason="a robot", actor="mira", now=START)

    step = JournalEntry.objects.get(source=Source.STAFF)
    assert (step.actor, step.type, step.outcome) == ("mira", quarantine.DISMISS, Outcome.NOTED)
    assert step.message == f"Dismissed 1 event from quarantine: a robot (No. {entry.pk})"
    kept = JournalEntry.objects.get(pk=entry.pk)
    assert bytes(kept.payload) == bytes(entry.payload)
    assert kept.message == f"{entry.message}. Dismissed by mira: a robot"


def test_all_events_of_one_reason_are_dismissed_together():
    garbage("A", "B")
    client = browser()
    (reason,) = quarantine.reasons()
    assert "Dismiss all 2" in words(client.get(WAITING))

    response = client.post(
        f"{EVENTS}dismiss/", {"of": reason.text, "reason": "a robot"}, follow=True
    )

    assert messages(response) == ["Dismissed 2 events from quarantine."]
    assert "No events are quarantined: all could be applied." in html(response)


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_is_dismissed(reason):
    (entry,) = garbage("A")

    response = browser().post(f"{EVENTS}{entry.pk}/dismiss/", {"reason": reason}, follow=True)

    assert messages(response) == ["Please give a reason. Nothing was dismissed."]
    assert JournalEntry.objects.get(pk=entry.pk).outcome == Outcome.QUARANTINED


@pytest.mark.parametrize("group", ["Viewer", "Auditor", "Trader"])
def test_who_may_not_replay_cannot_dismiss(group):
    (entry,) = garbage("A")
    client = browser(group)

    assert client.post(f"{EVENTS}{entry.pk}/dismiss/", {"reason": "x"}).status_code == 403
    assert client.post(f"{EVENTS}dismiss/", {"of": "", "reason": "x"}).status_code == 403
    assert "Dismiss" not in words(client.get(f"{JOURNAL}{entry.pk}/change/"))
    assert JournalEntry.objects.get(pk=entry.pk).outcome == Outcome.QUARANTINED


def test_what_was_dismissed_is_not_dismissed_again():
    (entry,) = garbage("A")
    quarantine.dismiss([entry.pk], reason="a robot", actor="mira", now=START)

    assert quarantine.dismiss([entry.pk], reason="again", actor="mira", now=START) == 0
    assert JournalEntry.objects.filter(source=Source.STAFF).count() == 1
