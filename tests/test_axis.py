"""The time axis of a lifecycle chart: folded silences, ticks, day labels."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.lanes.axis import BAND, LEAST_STRETCH, MOST_FOLDS, scale_of
from orders.lanes.ticks import (
    APART,
    APART_NARROW,
    APART_PHONE,
    day_labels,
    fold_labels,
    ticks,
    zone_in_words,
)

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)  # 07:00 in Berlin
MINUTE, HOUR, DAY = 60, 3600, 86_400


def at(seconds):
    return START + timedelta(seconds=seconds)


def scale(*seconds):
    return scale_of(map(at, seconds))


def spread(length, count=10):
    """Return moments with equal silences between them, so that none is folded."""
    return [at(length * n / count) for n in range(count + 1)]


def shown(moments, *, zone=BERLIN, now=None):
    return ticks(scale_of(moments), moments, zone=zone, now=now)


def labels(found):
    return [tick.label for tick in found]


def days(moments, *, zone=BERLIN, now=None):
    return [
        (day.label, day.screens)
        for day in day_labels(
            shown(moments, zone=zone, now=now), scale_of(moments), zone=zone, now=now
        )
    ]


def test_moments_stand_to_scale():
    whole = scale(0, 25, 60, 100)

    assert [whole.x(at(seconds)) for seconds in (0, 25, 50, 100)] == [0, 25, 50, 100]
    assert whole.folds == ()


def test_a_moment_beyond_an_edge_stands_on_it():
    assert [scale(0, 50, 100).x(at(seconds)) for seconds in (-9, 109)] == [0, 100]


def test_an_axis_of_one_moment_is_a_second_long():
    assert scale(5).x(at(5.25)) == 25


def test_an_axis_without_a_moment_is_refused():
    with pytest.raises(ValueError, match="needs a moment"):
        scale_of([])


@pytest.mark.parametrize(
    ("seconds", "folded"),
    [
        ((0, 80, 200), 1),  # 2 min of 3 min 20 s: 60 %
        ((0, 81, 200), 0),  # under 2 min
        ((0, 90, 210), 0),  # 2 min, but 57 %
        ((0, 4 * HOUR, 10 * HOUR), 1),
        ((0, 4.1 * HOUR, 10 * HOUR), 0),
    ],
)
def test_a_silence_of_two_minutes_and_sixty_percent_is_folded(seconds, folded):
    assert len(scale(*seconds).folds) == folded


def test_a_fold_is_seven_percent_wide_and_keeps_twenty_seconds_clear_of_the_events():
    (fold,) = scale(0, 60, 10 * HOUR, 10 * HOUR + 60).folds

    assert (fold.start, fold.end, fold.width) == (at(80), at(10 * HOUR - 20), BAND)


def test_a_fold_keeps_four_percent_of_the_rest_clear_where_that_is_more():
    (fold,) = scale(0, HOUR, 50 * HOUR, 51 * HOUR).folds

    clear = 0.04 * 2 * HOUR
    assert (fold.start, fold.end) == (at(HOUR + clear), at(50 * HOUR - clear))


def test_a_silence_is_measured_against_what_is_not_folded_yet():
    folds = scale(0, 60, 2 * HOUR, 2 * HOUR + 60, 80 * HOUR, 80 * HOUR + 60).folds

    assert [fold.length > timedelta(hours=70) for fold in folds] == [False, True]


def test_a_silence_that_is_all_there_is_stays_to_scale():
    assert scale(0, 10 * HOUR).folds == ()


def test_at_most_four_silences_are_folded():
    seconds = [n for night in range(7) for n in (10**night * HOUR, 10**night * HOUR + 30)]

    assert len(scale(*seconds).folds) == MOST_FOLDS


def test_what_lies_beside_folds_is_at_least_nine_percent_wide():
    parts = scale(0, 1, *(10 * HOUR + n for n in range(0, 601, 100))).unfolded

    assert [round(part.width, 6) for part in parts] == [LEAST_STRETCH, 100 - BAND - LEAST_STRETCH]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=12))
def test_moments_keep_their_order_and_no_fold_hides_one(seconds):
    whole = scale(*seconds)

    places = [whole.x(at(second)) for second in sorted(seconds)]
    assert places == sorted(places)
    assert places[0] == 0
    assert sum(part.width for part in whole.stretches) == pytest.approx(100)
    assert len(whole.folds) <= MOST_FOLDS
    assert all(part.width >= LEAST_STRETCH - 1e-9 for part in whole.unfolded)
    assert not [
        second for second in seconds for fold in whole.folds if fold.start <= at(second) <= fold.end
    ]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (5, ["07:00:00", "07:00:01", "07:00:02", "07:00:03", "07:00:04", "07:00:05"]),
        (60, ["07:00:00", "07:00:10", "07:00:20", "07:00:30", "07:00:40", "07:00:50", "07:01:00"]),
        (10 * MINUTE, ["07:00", "07:02", "07:04", "07:06", "07:08", "07:10"]),
        (HOUR, ["07:00", "07:10", "07:20", "07:30", "07:40", "07:50", "08:00"]),
        (10 * HOUR, ["08:00", "10:00", "12:00", "14:00", "16:00"]),
        (3 * DAY, ["12:00", "00:00", "12:00", "00:00", "12:00", "00:00"]),
        (6 * DAY, ["00:00"] * 6),
    ],
)
def test_ticks_stand_at_nice_times_with_seconds_where_the_step_needs_them(length, expected):
    assert labels(shown(spread(length))) == expected


@pytest.mark.parametrize("length", [7, 99, 1234, 54_321, 10**6, 10**7, 10**8, 10**9])
def test_ticks_are_84_pixels_apart_on_a_wide_track_and_on_a_narrow_one(length):
    found = shown(spread(length))

    narrow = [tick.x for tick in found if not tick.is_wide]
    phone = [tick.x for tick in found if not tick.is_roomy]
    assert narrow
    assert phone
    assert set(phone) <= set(narrow)
    assert all(after - before >= APART_PHONE for before, after in pairwise(phone))
    assert all(after.x - before.x >= APART for before, after in pairwise(found))
    assert all(after - before >= APART_NARROW for before, after in pairwise(narrow))


def test_a_narrow_track_has_fewer_ticks():
    assert [tick.label for tick in shown(spread(HOUR)) if not tick.is_wide] == [
        "07:00", "07:20", "07:40", "08:00",
    ]  # fmt: skip


def test_no_tick_stands_close_to_now():
    moments = spread(10 * MINUTE)

    assert labels(shown(moments, now=at(10 * MINUTE))) == [
        "07:00",
        "07:02",
        "07:04",
        "07:06",
        "07:08",
    ]
    assert labels(shown([*moments, at(645)], now=at(645)))[-1] == "07:08"


def test_a_stretch_without_a_nice_time_has_its_first_event_to_the_second():
    moments = [at(13), at(14), *(at(10 * HOUR + n * MINUTE) for n in range(6))]

    assert labels(shown(moments))[:2] == ["07:00:13", "17:00"]


def test_one_day_has_its_weekday():
    assert days(spread(HOUR)) == [("Sun 22 Nov", "")]


def test_several_days_stand_above_the_first_tick_of_each():
    assert days(spread(2 * DAY)) == [
        ("22 Nov", ""), ("23 Nov", "wide narrow"), ("24 Nov", "wide narrow"), ("23 Nov", "phone"),
    ]  # fmt: skip


def test_a_day_whose_first_tick_is_hidden_on_narrow_screens_has_another_place_there():
    assert days(spread(3 * DAY)) == [
        ("22 Nov", ""), ("23 Nov", "wide"), ("24 Nov", "wide"), ("25 Nov", "wide"),
        ("23 Nov", "narrow"), ("24 Nov", "narrow phone"),
    ]  # fmt: skip


def test_a_day_that_has_no_tick_but_now_stands_above_that():
    moments = [*spread(10 * MINUTE), at(DAY)]

    assert days(moments, now=at(DAY)) == [("22 Nov", ""), ("23 Nov", "")]


def test_the_day_is_that_of_the_display_zone():
    night = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)

    moments = [night + timedelta(minutes=n) for n in range(10)]
    assert days(moments) == [("Mon 23 Nov", "")]
    assert days(moments, zone=UTC) == [("Sun 22 Nov", "")]


def test_ticks_of_the_night_in_which_clocks_go_back_show_the_hour_twice():
    midnight = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    moments = [midnight + timedelta(hours=n) for n in range(6)]

    assert labels(shown(moments)) == ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"]
    assert zone_in_words(BERLIN, scale_of(moments)) == "Times in Europe/Berlin (UTC+2, then UTC+1)"


def test_ticks_of_the_night_in_which_clocks_go_forward_leave_the_hour_out():
    midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    moments = [midnight + timedelta(hours=n) for n in range(6)]

    assert labels(shown(moments)) == ["00:00", "01:00", "03:00", "04:00", "05:00", "06:00"]


def test_ticks_within_the_hour_that_comes_twice_are_all_there():
    before = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50, ten minutes before 02:00 again
    moments = [before + timedelta(minutes=2 * n) for n in range(11)]

    assert labels(shown(moments)) == ["02:50", "02:55", "02:00", "02:05", "02:10"]


def test_a_tick_after_the_change_still_stands_at_the_zones_own_midnight():
    moments = [datetime(2026, 10, 24, 0, tzinfo=UTC) + timedelta(hours=12 * n) for n in range(10)]

    found = shown(moments)
    assert set(labels(found)) == {"00:00"}
    assert [tick.moment.hour for tick in found] == [22, 23, 23, 23]


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Berlin", "Times in Europe/Berlin (UTC+1)"),
        ("UTC", "Times in UTC"),
        ("Asia/Kolkata", "Times in Asia/Kolkata (UTC+5:30)"),
        ("America/St_Johns", "Times in America/St_Johns (UTC-3:30)"),
    ],
)
def test_the_zone_is_printed_with_its_offset_at_that_time(zone, words):
    assert zone_in_words(ZoneInfo(zone), scale(0, 60)) == words


def test_a_fold_is_labelled_with_the_time_that_it_hides():
    (label,) = fold_labels(scale(0, 60, 10 * HOUR, 10 * HOUR + 60))

    assert label.silence == timedelta(hours=10, seconds=-100)


def test_labels_of_folds_close_to_each_other_stand_one_above_the_other():
    seconds = [n for night in range(7) for n in (10**night * HOUR, 10**night * HOUR + 30)]

    found = fold_labels(scale(*seconds))
    assert [label.is_raised for label in found] == [False, True, False, True]
