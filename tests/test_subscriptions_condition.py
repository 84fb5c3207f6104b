"""The condition of the feed: a state, a sentence, and whether it is an alarm."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from webhooks.subscriptions.condition import Learned, State, condition

URL = "https://desk.example.com/webhooks/investment-api"
NOW = datetime(2026, 3, 2, 13, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def utc():
    with timezone.override("UTC"):
        yield


def told(url=URL, now=NOW, **learned):
    fresh = {
        "found": "OK",
        "listed_at": NOW - MINUTE,
        "tried_at": NOW - MINUTE,
        "since": NOW - 60 * MINUTE,
    }
    return condition(Learned(**{**fresh, **learned}), url=url, now=now)


def test_all_is_well():
    it = told()

    assert (it.state, it.is_alarm) == (State.OK, False)
    assert (
        it.sentence
        == f"The subscription to {URL} is registered and enabled, with the right topics."
    )


@pytest.mark.parametrize(
    ("found", "differs", "sentence"),
    [
        ("MISSING", "", f"No updates arrive at {URL}. Set up the subscription. (Detected 12:00.)"),
        (
            "DISABLED",
            "",
            "No updates arrive until it is enabled. Press Set up. (Detected 12:00.)",
        ),
        (
            "DRIFTED",
            "topics, batching interval",
            "Different: topics, batching interval. Press Set up to correct it. (Detected 12:00.)",
        ),
    ],
)
def test_what_is_wrong_with_the_subscription_is_an_alarm(found, differs, sentence):
    it = told(found=found, differs=differs)

    assert (it.state, it.is_alarm, it.sentence) == (State(found), True, sentence)


def test_silence_is_an_alarm_with_its_length():
    it = told(silent_since=NOW - 72 * MINUTE)

    assert (it.state, it.is_alarm) == (State.SILENT, True)
    assert it.sentence.startswith(
        "No webhook has arrived since 11:48, for 1 h 12 min, although orders are open."
    )


def test_a_subscription_that_is_missing_says_more_than_the_silence_that_follows():
    assert told(found="MISSING", silent_since=NOW - 72 * MINUTE).state is State.MISSING


def test_a_failed_check_is_no_alarm_before_a_quarter_of_an_hour_without_any():
    failing = {"failing_since": NOW - 10 * MINUTE, "error": "GET /webhooks: 503"}

    assert told(listed_at=NOW - 14 * MINUTE, **failing).state is State.OK
    it = told(listed_at=NOW - 16 * MINUTE, **failing)
    assert (it.state, it.is_alarm) == (State.UNCHECKED, True)
    assert it.sentence == (
        "The subscription could not be checked since 12:44: the broker's API has not answered "
        "since 12:50 (GET /webhooks: 503)."
    )


def test_a_watch_that_does_not_run_is_an_alarm_of_its_own():
    old = NOW - 40 * MINUTE

    it = told(listed_at=old, tried_at=old)

    assert (it.state, it.is_alarm) == (State.UNCHECKED, True)
    assert it.sentence == (
        "The subscription has not been checked since 12:20: are a worker and a beat running?"
    )


def test_before_the_first_check_nothing_is_known():
    it = condition(Learned(), url=URL, now=NOW)

    assert (it.state, it.is_alarm) == (State.UNCHECKED, True)
    assert (
        it.sentence == "The subscription has not been checked yet: are a worker and a beat running?"
    )


def test_what_was_wrong_when_the_api_fell_silent_stays_the_alarm():
    assert (
        told(found="MISSING", listed_at=NOW - 60 * MINUTE, failing_since=NOW).state is State.MISSING
    )


def test_without_an_address_nothing_is_watched_and_nothing_is_an_alarm_but_silence():
    it = told(url="", found="MISSING")

    assert (it.state, it.is_alarm) == (State.UNCHECKED, False)
    assert it.sentence.startswith("WEBHOOK_PUBLIC_URL is not set")
    assert told(url="", silent_since=NOW - 72 * MINUTE).state is State.SILENT


def test_an_address_that_was_set_just_now_is_not_taken_for_checked():
    assert told(found="UNCHECKED").state is State.UNCHECKED


def test_a_moment_of_another_day_is_told_with_its_day():
    assert told(found="MISSING", since=NOW - timedelta(days=2)).sentence.endswith(
        "(Detected 28 Feb 13:00.)"
    )
