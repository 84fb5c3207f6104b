from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.lifecycle import DOUBT, MOST_OWED, Kind, expected, is_final, next_check, rank
from tests.stories import START, named

FIRST, LONGEST, DAY = timedelta(minutes=15), timedelta(hours=6), timedelta(hours=24)
PK = UUID(named("P"))


def wait(
    status="PROCESSING",
    checks=0,
    *,
    kind=Kind.PORTFOLIO_ORDER,
    doubtful=False,
    resting=False,
    owed=False,
    pk=PK,
):
    moment = next_check(
        kind=kind,
        pk=pk,
        status=status,
        now=START,
        checks=checks,
        doubtful=doubtful,
        resting=resting,
        owed=owed,
        first=FIRST,
        longest=LONGEST,
    )
    return moment and moment - START


@pytest.mark.parametrize("checks", range(12))
@pytest.mark.parametrize("status", ["NEW", "PROCESSING", "REOPENED"])
def test_the_wait_doubles_from_the_first_to_the_longest(status, checks):
    plain = min(FIRST * 2**checks, LONGEST)

    assert 0.8 * plain <= wait(status, checks) <= 1.2 * plain


@given(st.uuids())
def test_waits_are_spread_by_id_and_the_same_each_time(pk):
    assert 0.8 * FIRST <= wait(pk=pk) <= 1.2 * FIRST
    assert wait(pk=pk) == wait(pk=pk)


@pytest.mark.parametrize("status", ["SETTLED", "CANCELLED"])
def test_nothing_is_asked_about_a_final_portfolio_order(status):
    assert wait(status) is None


@pytest.mark.parametrize("status", ["NEW", "SETTLED", "CANCELLED", "FILLED"])
def test_what_is_doubtful_is_asked_within_a_minute_even_if_final_and_then_less_often(status):
    assert 0.8 * DOUBT <= wait(status, doubtful=True) <= 1.2 * DOUBT
    assert wait(status, 4, doubtful=True) > 10 * DOUBT


@pytest.mark.parametrize("status", ["SETTLED", "CANCELLED", "FILLED"])
def test_what_is_doubtful_at_its_end_is_asked_less_and_less_often_down_to_once_a_day(status):
    waits = [wait(status, checks, doubtful=True) for checks in range(14)]

    assert [round(later / earlier, 3) for earlier, later in pairwise(waits[:11])] == [2] * 10
    assert 0.8 * DAY <= waits[-1] <= 1.2 * DAY
    assert wait("PROCESSING", 13, doubtful=True) <= 1.2 * LONGEST


def test_what_settles_or_rests_is_asked_once_a_day():
    assert 0.8 * DAY <= wait("FILLED") <= 1.2 * DAY
    assert 0.8 * DAY <= wait(resting=True, checks=3) <= 1.2 * DAY


def test_what_has_ended_is_asked_for_its_settlement_once_a_day_and_not_for_ever():
    for status, kind in [("FILLED", Kind.ORDER), ("CANCELLED", Kind.ORDER)]:
        assert 0.8 * DAY <= wait(status, kind=kind, owed=True) <= 1.2 * DAY
    assert 0.8 * DAY <= wait("CANCELLED", owed=True) <= 1.2 * DAY
    assert wait("CANCELLED", MOST_OWED, owed=True) is None


def test_where_the_portfolio_order_has_settled_its_executions_are_asked_for_like_what_is_open():
    assert wait("SETTLED", owed=True) == wait("PROCESSING")
    assert wait("SETTLED", MOST_OWED, owed=True) is None


def test_a_filled_order_is_final_and_a_filled_portfolio_order_settles():
    assert is_final(Kind.ORDER, "FILLED")
    assert not is_final(Kind.PORTFOLIO_ORDER, "FILLED")
    assert not is_final(Kind.ORDER, "REOPENED")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("NEW", {"NEW"}),
        ("PROCESSING", {"NEW", "PROCESSING"}),
        ("FILLED", {"NEW", "PROCESSING", "FILLED"}),
        ("SETTLED", {"NEW", "PROCESSING", "FILLED", "SETTLED"}),
        ("CANCELLED", {"NEW", "CANCELLED"}),
        ("REOPENED", set()),
        ("", set()),
    ],
)
def test_what_is_expected_follows_from_the_status(status, words):
    assert expected(Kind.PORTFOLIO_ORDER, status, was_processing=False) == words


def test_a_cancelled_object_that_was_processing_must_have_told_so():
    assert "PROCESSING" in expected(Kind.ORDER, "CANCELLED", was_processing=True)


def test_a_mistrade_is_the_last_word_about_an_execution():
    assert rank(Kind.EXECUTION, "CANCELLED") > rank(Kind.EXECUTION, "SETTLED") > 0
    assert rank(Kind.EXECUTION, "PENDING") == 0
