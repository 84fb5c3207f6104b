import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome
from orders.tracked import Source
from tests.listed import record_failure
from tests.stories import START, event, execution, named, order, portfolio_order

pytestmark = pytest.mark.django_db

NOW = START + timedelta(minutes=5)
NEW = event("PORTFOLIO_ORDER.NEW", portfolio_order())
CHILD = event("ORDER.NEW", order("A"))
P, A = UUID(named("P")), UUID(named("A"))


def record(*events, delivery=1, now=NOW):
    return journal.record_events(events, delivery_id=delivery, now=now)


def test_an_event_is_recorded_once_with_what_it_is_about_and_both_clocks():
    receipt = record(NEW)

    entry = JournalEntry.objects.get()
    assert (receipt.new, receipt.repeats) == (1, 0)
    assert (entry.source, entry.outcome, entry.type, entry.status) == (
        Source.WEBHOOK,
        Outcome.PENDING,
        "PORTFOLIO_ORDER.NEW",
        "NEW",
    )
    assert (entry.portfolio_order_id, entry.order_id) == (P, None)
    assert (entry.occurred_at, entry.recorded_at, entry.delivery_id) == (START, NOW, 1)
    assert json.loads(bytes(entry.payload)) == NEW


def test_an_event_that_comes_again_becomes_a_repeat_of_the_first():
    record(NEW)

    receipt = record(NEW, CHILD, delivery=2)

    assert (receipt.new, receipt.repeats) == (1, 1)
    repeat = JournalEntry.objects.get(repeat_of=NEW["id"])
    assert (repeat.outcome, bytes(repeat.payload), repeat.delivery_id) == (
        Outcome.NO_CHANGE,
        b"",
        2,
    )
    assert (repeat.portfolio_order_id, repeat.type, repeat.message) == (P, NEW["type"], "")


def test_an_event_twice_in_one_delivery_is_recorded_once_and_repeated_once():
    receipt = record(NEW, NEW)

    assert (receipt.new, receipt.repeats) == (1, 1)


def test_a_repeat_with_other_content_keeps_it_and_says_so():
    record(NEW)

    record(NEW | {"object": portfolio_order("FILLED", 9)}, delivery=2)

    repeat = JournalEntry.objects.get(repeat_of=NEW["id"])
    assert "differs from the original" in repeat.message
    assert json.loads(bytes(repeat.payload))["object"]["status"] == "FILLED"


def test_an_event_without_a_usable_id_is_recognised_when_it_comes_again():
    nameless = {key: value for key, value in NEW.items() if key != "id"}
    record(nameless)

    assert record(nameless, delivery=2).repeats == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (7, "the event is not a JSON object"),
        ({"id": named("x")}, "the event has no type"),
        ({"type": ["ORDER.NEW"]}, "instead of a text"),
        (
            {"type": "ORDER.NEW", "created_at": "2026-03-02T09:00:00Z"},
            "ORDER.NEW event has no object",
        ),
        ({"type": "ORDER.NEW", "object": {"status": "NEW"}}, "id is missing"),
        ({"type": "ORDER.NEW", "object": {"id": 7}}, "id '7' is not a valid ID"),
        ({"type": "ORDER.NEW", "object": {"id": False}}, "id false is not a valid ID"),
        (
            {"type": "EXECUTION.FILLED", "object": {"id": named("X")}},
            "order_id is missing",
        ),
    ],
)
def test_an_unreadable_event_is_quarantined_with_its_reason_and_keeps_its_content(bad, reason):
    record(bad, CHILD)

    done = projection.drain(now=NOW)

    entry = JournalEntry.objects.get(outcome=Outcome.QUARANTINED)
    assert (done.applied, done.quarantined) == (1, 1)
    assert reason in entry.message
    assert json.loads(bytes(entry.payload)) == bad


@pytest.mark.parametrize(("said", "moment"), [(START.isoformat(), START), ("soon", NOW)])
def test_an_unreadable_event_happened_when_it_was_created_or_else_when_it_came(said, moment):
    record({"id": named("x"), "type": "ORDER.NEW", "created_at": said})

    assert JournalEntry.objects.get().occurred_at == moment


def test_an_event_of_a_topic_we_do_not_model_is_kept_and_ignored():
    record({"id": named("t"), "type": "TOPUP.CONFIRMED", "object": {"id": named("o")}})

    entry = JournalEntry.objects.get()
    assert (entry.outcome, entry.applied_at) == (Outcome.IGNORED, NOW)
    assert entry.payload


def test_texts_that_a_database_refuses_are_cleaned_and_kept_whole():
    record(event("ORDER.NEW\0" + "X" * 80, order("A", status="NE\ud800W\0" + "Y" * 40), name="odd"))

    entry = JournalEntry.objects.get()
    assert entry.type == "ORDER.NEW" + "X" * 80
    assert entry.status == "NEW" + "Y" * 40


@pytest.mark.parametrize(
    ("told", "about"),
    [
        (event("EXECUTION.FILLED", execution("X")), A),
        ({"type": "ORDER_CANCELLATION.REJECTED", "object": {"order_id": named("A")}}, A),
        ({"type": "ORDER_CANCELLATION.REJECTED", "object": {"id": named("A")}}, A),
    ],
)
def test_an_execution_and_a_refused_cancellation_are_about_their_order(told, about):
    record(told)

    assert JournalEntry.objects.get().order_id == about


def test_recording_takes_the_same_number_of_statements_for_1_and_for_500_events():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite splits inserts at 999 parameters; PostgreSQL is what is promised")
    counts = []
    for size in (1, 500):
        events = [event("ORDER.NEW", order(f"{size} {i}")) for i in range(size)]
        for delivery in (size, size + 1):  # the second time all are repeats
            with CaptureQueriesContext(connection) as queries:
                record(*events, delivery=delivery)
            counts.append(len(queries))
    assert len(set(counts)) == 1
    assert counts[0] <= 4  # a savepoint, which known events there are, all of them at once, its end


def test_an_answer_waits_to_be_applied_like_an_event():
    entry = journal.record_answer(
        Kind.PORTFOLIO_ORDER,
        portfolio_order("FILLED", 22),
        about=P,
        source=Source.REFETCH,
        actor="mira",
        now=NOW,
        request_id="0f3c",
    )

    assert entry.message == "request 0f3c"
    assert (entry.outcome, entry.status, entry.actor) == (Outcome.PENDING, "FILLED", "mira")
    assert entry.occurred_at == START + timedelta(seconds=22)


@pytest.mark.parametrize("answer", [[], {"id": named("Q"), "status": "NEW"}, {"status": "NEW"}])
def test_an_answer_that_is_not_about_what_was_asked_is_quarantined(answer):
    entry = journal.record_answer(
        Kind.PORTFOLIO_ORDER, answer, about=P, source=Source.POLL, actor="", now=NOW
    )

    assert (entry.outcome, entry.portfolio_order_id) == (Outcome.QUARANTINED, P)
    assert entry.message
    assert json.loads(bytes(entry.payload)) == answer


def test_a_failure_a_note_and_a_step_have_their_author_and_words():
    failed = record_failure(
        Kind.ORDER, A, "503 from upstream", source=Source.POLL, actor="", now=NOW
    )
    note = journal.record_note(Kind.PORTFOLIO_ORDER, P, "called the client", actor="mira", now=NOW)
    step = journal.record_step("exported 3 rows", actor="mira", now=NOW)

    assert (failed.outcome, failed.order_id, failed.message) == ("FAILED", A, "503 from upstream")
    assert (note.outcome, note.source, note.portfolio_order_id) == ("NOTED", Source.STAFF, P)
    assert (step.outcome, step.portfolio_order_id, step.order_id) == ("NOTED", None, None)


@pytest.mark.parametrize(
    "wrong",
    [{"portfolio_order_id": P, "order_id": A}, {"source": "RUMOUR"}, {"outcome": "LOST"}],
    ids=str,
)
def test_the_database_refuses_what_the_model_forbids(wrong):
    right = {"source": "POLL", "outcome": "NOTED", "occurred_at": NOW, "recorded_at": NOW}

    with pytest.raises(IntegrityError), transaction.atomic():
        JournalEntry.objects.create(**right | wrong)
