from datetime import UTC, datetime, timedelta

import pytest

from orders.asking.feedback import Change, Result, Verdict, sentence

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)  # 07:00 in Berlin
TOOK = timedelta(milliseconds=240)
FILLED = Change("IE00B3XXRP09", "PROCESSING", "FILLED")
NEW = Change("DE0007164600", "", "NEW")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            Result(Verdict.ANSWERED, TOOK, updated=True, changes=(FILLED, NEW)),
            "Refetched in 240 ms: 2 changes (IE00B3XXRP09 Processing -> Filled, DE0007164600 New)",
        ),
        (
            Result(Verdict.ANSWERED, TOOK, updated=True, changes=(FILLED,)),
            "Refetched in 240 ms: 1 change (IE00B3XXRP09 Processing -> Filled)",
        ),
        (
            Result(Verdict.ANSWERED, TOOK, updated=True),
            "Refetched in 240 ms: details updated, no status changed",
        ),
        (Result(Verdict.ANSWERED, TOOK), "Refetched in 240 ms: no change"),
        (
            Result(
                Verdict.ANSWERED,
                TOOK,
                reason="broker answered 503",
                unasked=2,
                next_try=NOW + timedelta(minutes=23),
            ),
            (
                "Refetched in 240 ms: no change; 2 orders not refetched: broker answered 503, "
                "next try 07:23"
            ),
        ),
        (
            Result(
                Verdict.FAILED,
                reason="broker answered 503",
                next_try=NOW + timedelta(minutes=23),
            ),
            "Broker answered 503, nothing changed, next try 07:23",
        ),
        (
            Result(Verdict.FAILED, reason="broker answered 503"),
            "Broker answered 503, nothing changed",
        ),
        (
            Result(Verdict.LIMITED, wait_until=NOW + timedelta(minutes=21, seconds=10)),
            "Rate limited until 07:21:10, nothing changed",
        ),
        (
            Result(Verdict.BUSY, asking_since=NOW - timedelta(seconds=4)),
            "Already being checked, since 4 s",
        ),
        (Result(Verdict.NOT_FOUND), "Not found at the broker, nothing changed"),
        (Result(Verdict.SKIPPED), "No check is due now"),
    ],
)
def test_people_are_told_in_a_sentence_what_their_refetch_came_to(result, said):
    assert sentence(result, now=NOW) == said


def test_of_many_changes_the_first_five_are_named():
    result = Result(Verdict.ANSWERED, TOOK, updated=True, changes=(FILLED,) * 7)

    said = sentence(result, now=NOW)

    assert "7 changes" in said
    assert said.count("->") == 5
    assert said.endswith(", ...)")


def test_a_status_that_we_do_not_know_is_told_as_upstream_wrote_it():
    assert str(Change("portfolio order", "NEW", "ON_HOLD_x")) == "portfolio order New -> ON_HOLD_x"
