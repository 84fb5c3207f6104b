"""The sentence that tells how far a placement is."""

from datetime import UTC, datetime, timedelta

from orders.models import Placement, PlacementState
from orders.placing.words import sentence

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_after_the_last_look_up_the_sentence_says_where_the_decision_is_made():
    looked_up = Placement(state=PlacementState.UNKNOWN, next_attempt_at=None, sending_until=None)

    assert sentence(looked_up, now=NOW) == (
        "Sent, no answer yet. It was looked up at the broker. Look it up again to link the order, or "
        "to resolve it as not placed."
    )


def test_a_reason_that_was_written_for_a_log_is_told_in_plain_words_and_the_zone_of_the_page():
    waits = Placement(
        state=PlacementState.READY, submitted_at=NOW, next_attempt_at=NOW + timedelta(seconds=90),
        reason="POST /portfolios/orders: not sent, rate limited by upstream until 09:01:00 UTC",
    )  # fmt: skip

    assert sentence(waits, now=NOW) == (
        "Not sent yet: rate limited by the broker until 10:01:00. Next attempt at 10:01:30."
    )


def test_a_reason_that_a_person_typed_stays_as_it_was_typed():
    typed = "Called at 09:01:00 UTC, GET /x: refused"
    declined = Placement(
        state=PlacementState.DECLINED, submitted_at=NOW, decided_by="maria", submitted_by="tina",
        reason=typed,
    )  # fmt: skip

    assert sentence(declined, now=NOW) == f"Declined by maria: {typed}. Nothing was sent."
