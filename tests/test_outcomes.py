"""The sentence that says why an entry had its outcome: from plain entries, no database."""

from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from orders.timeline.outcomes import Dealt, why
from tests.journal_entries import P, again, at, entry, poll, refetch, webhook

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 24 * 3600


def dealt(seen, *, after=1):
    """Return an entry that was applied ``after`` seconds after it was recorded."""
    return Dealt(seen, seen.recorded_at + timedelta(seconds=after))


def told(this, *before, after=1):
    others = [dealt(seen) for seen in before]
    return why(dealt(this, after=after), others, BERLIN)


NEW = webhook("NEW", 1, 2)
PROCESSING = webhook("PROCESSING", 70, 71)
FILLED = webhook("FILLED", 100, 101)


def test_the_first_report_of_an_object_says_so():
    assert told(NEW) == "Applied: our first report of this order. It says New."
    assert "of this portfolio order. It says New." in told(webhook("NEW", 0, 1, pk=P))


def test_a_step_names_where_it_led_from_and_to():
    assert told(PROCESSING, NEW) == "Applied: it moved the order from New to Processing."


def test_no_change_names_who_told_it_before_and_when():
    late = FILLED._replace(recorded_at=at(300), outcome="NO_CHANGE")

    assert told(late, NEW, poll("FILLED", 100, 200)) == (
        "No change: we already knew Filled from the check of 07:03:20."
    )
    assert told(late, NEW, refetch("FILLED", 100, 200)) == (
        "No change: we already knew Filled from the refetch by mira of 07:03:20."
    )


def test_the_first_of_several_that_told_it_is_named():
    late = FILLED._replace(recorded_at=at(300), outcome="NO_CHANGE")

    text = told(late, poll("FILLED", 100, 250), poll("FILLED", 100, 200))

    assert text.endswith("from the check of 07:03:20.")


def test_a_teller_of_another_day_is_named_with_its_day():
    late = FILLED._replace(recorded_at=at(2 * DAY), outcome="NO_CHANGE")

    assert told(late, poll("FILLED", 100, 200)).endswith(
        "from the check of 07:03:20 on 22 Nov 2026."
    )


def test_an_older_status_is_told_from_what_we_knew():
    late = PROCESSING._replace(recorded_at=at(300), outcome="NO_CHANGE")

    assert told(late, NEW, FILLED) == (
        "No change: it says Processing, but we already knew Filled from the webhook ORDER.FILLED of 07:01:41."
    )
    assert told(late, NEW, poll("PROCESSING", 70, 80), FILLED) == (
        "No change: we already knew Processing from the check of 07:01:20."
    )


def test_an_older_status_may_still_add_what_was_not_known_of_it():
    late = PROCESSING._replace(recorded_at=at(300))

    assert told(late, NEW, FILLED) == (
        "Applied: it added details of Processing; "
        "we already knew Filled from the webhook ORDER.FILLED of 07:01:41."
    )


def test_newer_details_of_the_same_status_are_no_step():
    newer = webhook("FILLED", 150, 151)

    assert told(newer, NEW, FILLED) == (
        "Applied: it brought newer details; "
        "we already knew Filled from the webhook ORDER.FILLED of 07:01:41."
    )


def test_filled_and_cancelled_say_which_was_kept_and_that_the_broker_is_asked():
    after = webhook("CANCELLED", 120, 121)
    before = webhook("CANCELLED", 90, 130)

    assert told(after, FILLED) == (
        "Applied: it moved the order from Filled to Cancelled. "
        "Both were reported; we ask the broker which is right."
    )
    assert told(before, FILLED) == (
        "Applied: it says Cancelled; we kept Filled from the webhook ORDER.FILLED of 07:01:41. "
        "Both were reported; we ask the broker which is right."
    )


def test_a_status_that_nobody_knows_is_said_as_the_broker_wrote_it():
    assert told(webhook("PENDING_APPROVAL", 50, 51), NEW) == (
        "Applied: PENDING_APPROVAL is an unknown status; "
        "the last known one was New from the webhook ORDER.NEW of 07:00:02."
    )


def test_what_was_applied_later_explains_nothing():
    assert told(NEW, FILLED) == "Applied: our first report of this order. It says New."
    # An event that lay in quarantine is judged by when it was applied, not by when it came.
    assert "from Filled" not in told(NEW, FILLED, after=500)
    assert "we already knew Filled" in told(NEW, FILLED, after=500)


def test_entries_of_one_batch_are_taken_in_the_order_in_which_things_happened():
    moment = at(300)

    assert why(Dealt(PROCESSING, moment), [Dealt(FILLED, moment), Dealt(NEW, moment)], BERLIN) == (
        "Applied: it moved the order from New to Processing."
    )


def test_a_repeat_says_that_it_is_applied_once():
    assert told(again(NEW, 60), NEW) == (
        "No change: a duplicate of an event that was received before."
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("PENDING", "Stored"), ("IGNORED", "Ignored"), ("QUARANTINED", "Quarantined"),
        ("FAILED", "Failed"), ("NOTED", "Noted"),
    ],
)  # fmt: skip
def test_every_outcome_has_a_sentence(outcome, words):
    assert told(NEW._replace(outcome=outcome), FILLED).startswith(words)


def test_what_reports_no_status_of_the_object_has_the_plain_sentence():
    execution = entry(P, 5, 6, type="EXECUTION.FILLED", status="FILLED", event_id=uuid4())

    assert told(execution) == "Applied: it updated an order."
    assert told(execution._replace(outcome="NO_CHANGE")) == (
        "No change: we already knew all of it."
    )
