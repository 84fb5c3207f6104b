"""How statuses, moments, money and progress are written."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from orders.models import Outcome
from orders.progress import Progress
from orders.templatetags import desk
from orders.timeline.sentences import opening

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("2500.00", "EUR", "2,500.00 EUR"),
        ("1000", "EUR", "1,000.00 EUR"),
        ("-0.5", "GBP", "-0.50 GBP"),
        ("10.12345", "EUR", "10.12345 EUR"),
        ("1000", "JPY", "1,000 JPY"),
        ("1000.5", "KWD", "1,000.500 KWD"),
        ("12345678901234567890123456789012345678901234567890.10", "EUR",
         "12,345,678,901,234,567,890,123,456,789,012,345,678,901,234,567,890.10 EUR"),
        ("", "EUR", "—"),
        ("a lot", "EUR", "a lot EUR"),
        ("NaN", "EUR", "NaN EUR"),
        ("12", "", "12.00"),
    ],
)  # fmt: skip
def test_money_is_grouped_and_loses_no_digit(amount, currency, text):
    assert desk.money(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "text"), [("2.5000", "2.5000"), ("1234", "1,234"), ("0", "0"), ("", "—")]
)
def test_quantities_and_prices_keep_the_brokers_decimals(amount, text):
    assert desk.number(amount) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=4), "just now"),
        (timedelta(), "just now"),
        (timedelta(seconds=-4), "in 4 s"),
        (timedelta(milliseconds=-1), "in 1 s"),
        (timedelta(seconds=-3, milliseconds=-200), "in 4 s"),
        (timedelta(seconds=-59, milliseconds=-500), "in 1 min"),
        (timedelta(seconds=5, milliseconds=300), "5 s ago"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=9, seconds=59), "9 min ago"),
        (timedelta(hours=1, minutes=14), "1 h 14 min ago"),
        (timedelta(minutes=-6, seconds=-30), "in 6 min"),
    ],
)
def test_a_moment_is_told_relative_to_now(past, text):
    assert desk.relative(NOW - past, NOW) == text


def test_a_moment_has_its_exact_local_time_as_title():
    with time_machine.travel(NOW, tick=False):
        text = desk.ago(NOW - timedelta(minutes=4))

    assert 'datetime="2026-11-22T09:56:00.000+01:00"' in text
    assert 'title="22 Nov 2026, 09:56:00">4 min ago<' in text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "Times in Europe/Berlin (UTC+1)"),
        ("Asia/Kolkata", "Times in Asia/Kolkata (UTC+5:30)"),
        ("America/New_York", "Times in America/New_York (UTC-5)"),
        ("UTC", "Times in UTC"),
    ],
)
def test_the_display_zone_is_named_with_its_offset(zone, text):
    with time_machine.travel(NOW, tick=False), timezone.override(zone):
        assert desk.zone() == text


def test_the_offset_is_that_of_the_time_that_is_shown():
    with time_machine.travel(NOW, tick=False), timezone.override("Europe/Berlin"):
        assert desk.zone(NOW - timedelta(days=120)) == "Times in Europe/Berlin (UTC+2)"


def test_a_badge_has_icon_word_and_colour():
    text = desk.badge("PROCESSING")

    assert 'class="badge tone-processing"' in text
    assert 'href="#i-processing"' in text
    assert text.endswith("Processing</span>")


@pytest.mark.parametrize(
    ("status", "word"), [("<HALTED>", "&lt;HALTED&gt;"), ("", "not known yet")]
)
def test_a_badge_of_a_status_that_nobody_knows_shows_its_raw_word(status, word):
    assert desk.badge(status).endswith(f'<use href="#i-unknown"/></svg>{word}</span>')


@pytest.mark.parametrize("outcome", Outcome.values)
def test_every_outcome_has_a_badge(outcome):
    assert Outcome(outcome).label in desk.outcome_badge(outcome)


def test_progress_is_told_in_words_done_first():
    progress = Progress({"NEW": 3, "FILLED": 7, "PROCESSING": 1, "ODD": 1})

    assert progress.sentence == "7 of 12 filled, 1 processing, 3 new, 1 odd"


@pytest.mark.parametrize(
    "counts", [{"FILLED": 1}, {"FILLED": 7, "NEW": 17}, {"NEW": 900, "FILLED": 100}]
)
def test_the_bar_fills_its_whole_width_and_no_more(counts):
    segments = Progress(counts).segments(gap=0.5)

    assert segments[0].x == 0
    assert segments[-1].x + segments[-1].width == pytest.approx(100, abs=0.05)
    assert all(segment.width > 0 for segment in segments)


def test_up_to_24_orders_have_a_segment_each_and_more_are_shown_in_proportion():
    assert len(Progress({"FILLED": 24}).segments(gap=0)) == 24
    widths = [segment.width for segment in Progress({"FILLED": 25, "NEW": 75}).segments(gap=0)]
    assert widths == [25, 75]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("the event has no type", "The event has no type"),
        ("cash_amount 'a lot' is not a number", "cash_amount 'a lot' is not a number"),
        ("id … is not a valid ID", "id … is not a valid ID"),
        ("", ""),
    ],
)
def test_a_reason_opens_its_sentence_with_a_capital_unless_a_field_name_does(reason, shown):
    assert opening(reason) == shown
