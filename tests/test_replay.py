"""Events applied again and deliveries processed again: what they do, and what they must not do."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError

from backoffice.together import ask
from orders import attributes, facts, intake, journal, projection, quarantine
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source
from tests.bells import listen
from tests.signed import envelope, post, publish
from tests.stories import START, at, event, named, order, portfolio_order
from webhooks import reading, replay
from webhooks.models import Delivery, Verdict

NOW = START + timedelta(minutes=5)
LATER = NOW + timedelta(hours=1)
A = UUID(named("A"))
GOOD = event("ORDER.NEW", order("A"))
ODD_STATUS = "status: a list instead of a text"
BAD = event("ORDER.NEW", order("B") | {"status": ["NEW"]})
NO_OBJECT = {"id": named("no object"), "type": "ORDER.NEW", "created_at": at(1)}
OLD_SHAPE = json.dumps({"events": [GOOD, event("PORTFOLIO_ORDER.NEW", portfolio_order())]}).encode()

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now():
    publish()
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def deliver(client):
    """Post a body, apply what it brings, and return the delivery."""

    def send(body):
        post(client, body, created=int(NOW.timestamp()))
        projection.drain(now=NOW)
        return Delivery.objects.latest("pk")

    return send


@pytest.fixture
def reads_words(monkeypatch):
    """A release whose words may be lists of them."""

    def release():
        monkeypatch.setattr(facts, "word", lambda upstream, name: "".join(upstream.get(name) or ""))

    return release


@pytest.fixture
def reads_old_shape(monkeypatch):
    """A release that reads bodies of another shape."""

    def release():
        monkeypatch.setattr(reading, "events_in", lambda body: json.loads(body)["events"])

    return release


def entry_of(one):
    return JournalEntry.objects.get(event_id=one["id"])


def process(delivery):
    done = replay.process_again(delivery.pk, actor="mira", now=LATER)
    delivery.refresh_from_db()
    return done


def steps():
    rows = JournalEntry.objects.filter(type=quarantine.REPLAY).order_by("pk")
    return list(rows.values_list("source", "outcome", "actor", "message"))


# Events in quarantine


def test_an_event_that_still_cannot_be_applied_goes_back_with_its_reason(deliver):
    deliver(envelope(BAD))
    before = entry_of(BAD)

    result = quarantine.apply_again([before.pk], actor="mira", now=LATER)

    after = entry_of(BAD)
    assert result.sentence == "1 quarantined again"
    assert (after.outcome, after.message) == (Outcome.QUARANTINED, before.message)
    assert ODD_STATUS in after.message


def test_an_event_that_a_release_can_read_is_applied_at_once(deliver, reads_words):
    deliver(envelope(BAD))
    reads_words()

    result = quarantine.apply_again([entry_of(BAD).pk], actor="mira", now=LATER)

    entry = entry_of(BAD)
    assert result.sentence == "1 applied"
    assert (entry.outcome, entry.message, entry.applied_at) == ("APPLIED", "", LATER)
    assert Order.objects.get(pk=named("B")).status == "NEW"


def test_an_event_without_an_object_keeps_its_own_reason(deliver):
    deliver(envelope(NO_OBJECT))

    result = quarantine.apply_again([entry_of(NO_OBJECT).pk], actor="mira", now=LATER)

    assert result.quarantined == 1
    assert entry_of(NO_OBJECT).message == "the ORDER.NEW event has no object"


def test_what_could_not_be_read_when_it_came_gets_subject_status_and_time(deliver, monkeypatch):
    def refuse(*_, **__):
        raise attributes.UnreadableError("too new for this release")

    with monkeypatch.context() as old_release:
        old_release.setattr(facts, "describe_event", refuse)
        deliver(envelope(GOOD))
    assert (entry_of(GOOD).outcome, entry_of(GOOD).order_id) == ("QUARANTINED", None)

    quarantine.apply_again([entry_of(GOOD).pk], actor="mira", now=LATER)

    entry = entry_of(GOOD)
    assert (entry.outcome, entry.order_id, entry.status) == ("APPLIED", A, "NEW")
    assert entry.occurred_at == START + timedelta(seconds=1)
    assert Order.objects.get(pk=A).updated_at == entry.occurred_at


def test_a_refused_answer_of_the_api_is_never_applied_again():
    entry = journal.record_answer(
        Kind.ORDER, order("B"), about=A, source=Source.REFETCH, actor="mira", now=NOW
    )
    assert entry.outcome == Outcome.QUARANTINED

    assert quarantine.apply_again([entry.pk], actor="mira", now=LATER).total == 0
    assert not Order.objects.exists()
    assert steps() == []


def test_events_that_are_not_in_quarantine_are_left_alone(deliver):
    deliver(envelope(GOOD))
    before = entry_of(GOOD).applied_at

    assert quarantine.apply_again([entry_of(GOOD).pk], actor="mira", now=LATER).total == 0
    assert entry_of(GOOD).applied_at == before


def test_who_applied_events_again_is_noted_with_the_result(deliver, reads_words):
    deliver(envelope(BAD, NO_OBJECT))
    reads_words()

    ids = [entry_of(BAD).pk, entry_of(NO_OBJECT).pk]
    quarantine.apply_again(ids, actor="mira", now=LATER)

    said = "Applied events in quarantine again: 1 applied, 1 quarantined again"
    assert steps() == [("STAFF", "NOTED", "mira", said)]


def test_where_the_database_is_busy_events_wait_for_the_next_sweep(
    deliver, reads_words, monkeypatch
):
    deliver(envelope(BAD))
    reads_words()

    def busy(**_):
        raise OperationalError("the database is locked")

    with monkeypatch.context() as trouble:
        trouble.setattr(projection, "drain", busy)
        result = quarantine.apply_again([entry_of(BAD).pk], actor="mira", now=LATER)

    assert result.sentence.startswith("1 waiting: the database is busy")
    assert projection.drain(now=LATER).applied == 1


def test_reasons_are_grouped_without_what_is_particular_to_one_event(deliver):
    other = event("ORDER.NEW", order("C") | {"status": ["NEW", "ER"]})
    nameless = [
        {"id": named(f"nameless {n}"), "type": "ORDER.NEW", "object": {"id": named(str(n))}}
        for n in range(3)
    ]
    deliver(envelope(BAD, other, *nameless))

    found = quarantine.reasons()

    assert [(reason.text, reason.count) for reason in found] == [
        ("the order … has no status", 3),
        (ODD_STATUS, 2),
    ]
    assert found[1].entry_ids == sorted(found[1].entry_ids)


def test_no_more_than_a_batch_of_one_reason_is_applied_at_once(deliver, monkeypatch):
    bad = [event("ORDER.NEW", order(f"B{n}") | {"status": ["NEW"] * n}) for n in range(5)]
    deliver(envelope(*bad))
    monkeypatch.setattr(quarantine, "MOST", 3)
    [reason] = quarantine.reasons()

    assert reason.count == 5
    assert quarantine.of_reason(reason.text) == reason.entry_ids[:3]
    assert quarantine.apply_again(reason.entry_ids, actor="mira", now=LATER).total == 3
    assert quarantine.of_reason("another") == ()


# Deliveries


def test_a_delivery_processed_again_changes_nothing_and_counts_no_repeat(deliver):
    delivery = deliver(envelope(GOOD))
    before = JournalEntry.objects.values().order_by("pk")[0]

    done = process(delivery)

    assert done.sentence == "No change: each of its events was recorded before."
    assert JournalEntry.objects.exclude(type=quarantine.REPLAY).values().get() == before
    assert (delivery.events, delivery.repeats) == (1, 0)
    said = f"Processed delivery {delivery.pk} again. {done.sentence}"
    assert steps() == [("STAFF", "NOTED", "mira", said)]


def test_an_unreadable_delivery_that_stays_so_is_left_as_it_is(deliver):
    delivery = deliver(b"nonsense")
    reason = delivery.reason

    done = process(delivery)

    assert done.sentence.startswith("It cannot be read: the body is not JSON")
    assert (delivery.verdict, delivery.reason) == (Verdict.UNREADABLE, reason)


def test_an_unreadable_delivery_that_a_release_can_read_is_recorded_and_applied(
    deliver, reads_old_shape
):
    delivery = deliver(OLD_SHAPE)
    assert delivery.verdict == Verdict.UNREADABLE
    reads_old_shape()

    done = process(delivery)

    assert done.sentence == "Events: 2 recorded for the first time."
    assert (delivery.verdict, delivery.reason) == (Verdict.ACCEPTED, "")
    assert (delivery.events, delivery.repeats) == (2, 0)
    assert (entry_of(GOOD).outcome, entry_of(GOOD).delivery_id) == ("APPLIED", delivery.pk)
    assert entry_of(GOOD).recorded_at == LATER  # when we learned it
    assert PortfolioOrder.objects.get().status == "NEW"


def test_what_came_meanwhile_with_another_delivery_is_a_repeat(deliver, reads_old_shape):
    delivery = deliver(OLD_SHAPE)
    deliver(envelope(GOOD))
    reads_old_shape()

    done = process(delivery)

    assert (done.recorded, delivery.events, delivery.repeats) == (1, 2, 1)


def test_a_second_press_records_nothing_twice(deliver, reads_old_shape):
    delivery = deliver(OLD_SHAPE)
    reads_old_shape()
    process(delivery)

    assert process(delivery).recorded == 0
    assert JournalEntry.objects.exclude(type=quarantine.REPLAY).count() == 2


def test_the_events_of_a_delivery_in_quarantine_are_applied_again(deliver, reads_words):
    delivery = deliver(envelope(GOOD, BAD, NO_OBJECT))
    reads_words()

    done = process(delivery)

    assert done.sentence == "Events: of those in quarantine 1 applied, 1 quarantined again."
    assert Order.objects.filter(pk=named("B")).exists()


def test_an_event_that_the_journal_does_not_have_is_recorded_and_its_neighbours_are_not(deliver):
    delivery = deliver(envelope(GOOD, event("ORDER.NEW", order("C"))))
    entry_of(GOOD).delete()

    assert process(delivery).recorded == 1
    assert entry_of(GOOD).outcome in {"APPLIED", "NO_CHANGE"}
    assert not JournalEntry.objects.exclude(repeat_of=None).exists()


def test_a_refused_delivery_has_no_body_to_process(client):
    client.post(
        "/webhooks/investment-api", b"", "application/json", headers={"signature": "sig1=:AA==:"}
    )

    done = process(Delivery.objects.get())

    assert done.reason == "its body is not kept"


def test_events_that_the_database_refuses_leave_the_delivery_as_it_was(
    deliver, reads_old_shape, monkeypatch
):
    delivery = deliver(OLD_SHAPE)
    reads_old_shape()

    def refuse(*_, **__):
        raise ValueError("whatever it may be")

    monkeypatch.setattr(journal, "store", refuse)

    said = "its events cannot be recorded: ValueError: whatever it may be"
    assert process(delivery).reason == said
    assert delivery.verdict == Verdict.UNREADABLE


def test_a_delivery_that_is_gone_is_said(deliver):
    with pytest.raises(Delivery.DoesNotExist):
        replay.process_again(1, actor="mira", now=NOW)


# Any number of deliveries


def test_the_command_reads_kept_deliveries_again_and_says_how_many(
    deliver, reads_old_shape, capsys
):
    deliver(OLD_SHAPE)
    deliver(b"nonsense")
    reads_old_shape()

    with pytest.raises(SystemExit) as ended:
        call_command("replay", since=NOW - timedelta(hours=1), verdict="UNREADABLE")

    assert ended.value.code == 1
    said = "2 deliveries read again, 1 of them still cannot be read."
    assert said in capsys.readouterr().out
    assert entry_of(GOOD).outcome == Outcome.APPLIED
    assert PortfolioOrder.objects.get().status == "NEW"
    (step,) = steps()
    assert step[3].startswith("Had 2 deliveries read again, numbers ")


def test_the_command_leaves_what_came_before_or_has_another_verdict(deliver, capsys):
    deliver(envelope(GOOD))

    call_command("replay", since=NOW + timedelta(hours=1))
    call_command("replay", verdict="UNREADABLE")

    assert capsys.readouterr().out.count("There are no such deliveries.") == 2
    assert steps() == []


def test_an_accepted_delivery_that_is_read_again_counts_no_repeat(deliver, reads_words):
    delivery = deliver(envelope(GOOD, BAD))
    reads_words()

    call_command("replay")

    delivery.refresh_from_db()
    assert (delivery.events, delivery.repeats) == (2, 0)
    assert entry_of(BAD).outcome == Outcome.APPLIED
    assert not JournalEntry.objects.exclude(repeat_of=None).exists()


def test_selected_deliveries_are_processed_again_by_those_who_may(
    deliver, reads_old_shape, monkeypatch, admin_client
):
    bells = listen(monkeypatch)
    delivery = deliver(OLD_SHAPE)
    bells.clear()
    reads_old_shape()
    chosen = {"action": "process_selected_again", "_selected_action": [delivery.pk]}

    page = admin_client.post("/admin/webhooks/delivery/", chosen, follow=True)

    assert "1 delivery is being processed again" in page.text
    assert bells == [("orders.tasks.drain",)]
    assert "Waiting" in page.text
    projection.drain(now=LATER)
    assert entry_of(GOOD).outcome == Outcome.APPLIED


def test_a_delivery_that_waits_to_be_read_is_not_purged_however_old_it_is(client):
    post(client, envelope(GOOD), created=int(NOW.timestamp()))
    Delivery.objects.update(received_at=NOW - timedelta(days=400))

    call_command("purge", days=90, no_input=True)
    assert Delivery.objects.count() == 1

    projection.drain(now=NOW)
    call_command("purge", days=90, no_input=True)
    assert Delivery.objects.count() == 0
    assert entry_of(GOOD).outcome == Outcome.APPLIED


def test_a_purge_leaves_the_body_to_a_later_delivery_that_brought_the_same(deliver):
    first, second, third = (deliver(envelope(GOOD)) for _ in range(3))
    Delivery.objects.filter(pk=first.pk).update(received_at=NOW - timedelta(days=400))

    call_command("purge", days=90, no_input=True)

    kept = Delivery.objects.filter(body__isnull=False)
    assert list(kept.values_list("pk", flat=True)) == [second.pk]
    assert process(third).sentence == "No change: each of its events was recorded before."


def test_new_deliveries_go_before_those_that_are_read_again_and_only_they_are_late(
    deliver, client, monkeypatch
):
    monkeypatch.setattr(reading, "MOST", 1)
    old = deliver(envelope(GOOD))
    Delivery.objects.filter(pk=old.pk).update(received_at=NOW - timedelta(days=300))
    replay.request(Delivery.objects.all(), actor="mira", now=LATER)
    assert ask(**intake.questions()) == {"unread": 1, "unread_since": None}
    post(client, envelope(BAD), created=int(NOW.timestamp()))

    assert ask(**intake.questions()) == {"unread": 2, "unread_since": NOW}
    reading.read_next(now=LATER)

    assert list(Delivery.objects.unread()) == [old]
