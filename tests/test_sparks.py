from datetime import UTC, datetime, timedelta

from orders.timeline.sparks import spark

START = datetime(2026, 11, 22, 6, tzinfo=UTC)


def moments(*seconds):
    return [START + timedelta(seconds=second) for second in seconds]


def test_bars_stand_where_events_arrived_and_are_higher_where_more_came():
    assert spark(moments(0, 0, 0, 0, 12, 12, 24)) == "M0 16v-16h2v16zM44 16v-8h2v8zM92 16v-8h2v8z"


def test_events_that_came_at_one_moment_need_no_bars():
    assert spark(moments(5, 5, 5)) == ""


def test_a_single_arrival_beside_many_can_still_be_seen():
    assert spark(moments(*[0] * 100, 9)).endswith("M92 16v-8h2v8z")
