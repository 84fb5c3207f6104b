from dataclasses import replace
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from orders.timeline.durations import duration
from orders.timeline.items import ItemKind
from orders.timeline.runs import Run, runs
from orders.timeline.sentences import arrival, copies, message, sentence, title
from tests.journal_entries import (
    RULES,
    A,
    B,
    P,
    again,
    at,
    entry,
    items,
    listed,
    poll,
    refetch,
    subject,
    webhook,
)

BERLIN = ZoneInfo("Europe/Berlin")
FILLED = [subject(status="FILLED", announced="NEW PROCESSING", processing_at=at(10))]


def said(*entries, of=None, zone=UTC, **more):
    """Return the sentences of a history, of those items that have one."""
    found = items(*entries, of=of, **more)
    return [text for item in found if (text := sentence(item, zone))]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (0.85, "850 ms"),
        (2, "2 s"),
        (2.149, "2.1 s"),
        (9.99, "9.9 s"),
        (42.9, "42 s"),
        (185, "3 min 05 s"),
        (300, "5 min"),
        (567, "9 min 27 s"),
        (1049, "17 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (50520, "14 h 02 min"),
        (86400, "1 d"),
        (367200, "4 d 6 h"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds, words):
    assert duration(timedelta(seconds=seconds)) == words


def test_a_clean_step_needs_no_words():
    assert said(webhook("NEW", 0)) == []


def test_a_webhook_that_a_poll_replaced_says_when_and_how_long_after_the_fact():
    (text,) = said(poll("FILLED", 20, 920), of=FILLED)

    assert text == (
        "Expected webhook ORDER.FILLED never arrived."
        " Recovered by check at 06:15:20, 15 min after the fact."
    )


def test_times_of_day_are_those_of_the_zone():
    assert "at 07:15:20," in said(poll("FILLED", 20, 920), of=FILLED, zone=BERLIN)[0]


def test_a_time_of_day_of_another_day_has_its_date():
    day = replace(RULES, now=at(200_000))

    assert (
        "at 06:00:20 on 23 Nov 2026, 1 d"
        in said(poll("FILLED", 20, 86420), of=FILLED, rules=day)[0]
    )


def test_a_webhook_that_a_refetch_replaced_names_who_asked():
    assert (
        "Recovered by refetch by mira at 06:15:20" in said(refetch("FILLED", 20, 920), of=FILLED)[0]
    )


def test_a_webhook_within_the_grace_time_is_not_here_yet():
    soon = replace(RULES, now=at(100))

    assert said(poll("FILLED", 20, 60), of=FILLED, rules=soon) == [
        "Webhook ORDER.FILLED has not arrived yet. Known from the check at 06:01:00."
    ]


def test_a_webhook_that_only_a_later_one_betrays_names_it():
    of = [subject(status="FILLED", announced="NEW FILLED")]

    (text,) = said(webhook("NEW", 0), webhook("FILLED", 20), of=of)

    assert text == (
        "Expected webhook ORDER.PROCESSING never arrived."
        " Known from the webhook ORDER.FILLED at 06:00:21."
    )


def test_a_webhook_that_the_portfolio_orders_list_betrays_says_so():
    parent = webhook("PROCESSING", 15, pk=P)
    of = [subject(A, "PROCESSING", announced="NEW")]

    (text,) = said(webhook("NEW", 1), of=of, listings=[listed("PROCESSING", parent)])

    assert (
        "Known from the portfolio order's list, by the webhook PORTFOLIO_ORDER.PROCESSING at"
        in text
    )


def test_a_late_webhook_after_a_poll_says_both():
    late = webhook("FILLED", 20, learned=20 + 22 * 60)

    assert said(poll("FILLED", 20, 920), late, of=[subject(status="FILLED")]) == [
        "Recovered by check at 06:15:20, 15 min after the fact; the webhook arrived 22 min late."
    ]


def test_an_event_out_of_order_says_what_was_known_from_where():
    found = said(webhook("FILLED", 20), webhook("PROCESSING", 10, learned=30))

    assert found == [
        "Out of order: Filled was already known from the webhook ORDER.FILLED at 06:00:21."
    ]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([webhook("PROCESSING", 0, word="NEW")], "The event's type says New, its object Processing"),
        ([webhook("NEW", 5, learned=2)], "The broker's clock is 3 s ahead of ours."),
        ([webhook("NEW", 0), webhook("PAUSED", 9)], "Unknown status PAUSED: kept New."),
        ([webhook("PAUSED", 9)], "Unknown status PAUSED: shown as the broker wrote it."),
        ([webhook("FILLED", 5), webhook("PROCESSING", 9)], "Processing cannot follow Filled: kept Filled."),
        ([webhook("FILLED", 5), webhook("CANCELLED", 9)], "Filled and Cancelled were both reported"),
        ([webhook("NEW", 0, outcome="PENDING")], "Recorded, not applied yet."),
        ([webhook("NEW", 0, outcome="QUARANTINED", message="It has no status.")], "It has no status."),
        ([webhook("NEW", 0, outcome="QUARANTINED")], "No other event was delayed."),
        ([entry(A, 1, 1, type="EXECUTION.CANCELLED", status="CANCELLED")], "The broker cancelled this execution."),
    ],
)  # fmt: skip
def test_what_is_odd_is_said_in_plain_words(entries, words):
    assert words in " ".join(said(*entries))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (poll("NEW", 0, 9, outcome="NO_CHANGE"), "Checked, no change"),
        (poll("NEW", 0, 9), "Checked: new details"),
        (poll("FILLED", 5, 9), "Checked: New → Filled"),
        (poll("", 0, 9, outcome="FAILED"), "Check failed"),
        (poll("", 0, 9, outcome="QUARANTINED"), "Check failed"),
        (refetch("NEW", 0, 9, outcome="NO_CHANGE"), "Refetched by mira, no change"),
        (refetch("", 0, 9, outcome="FAILED"), "Refetch by mira failed"),
    ],
)
def test_an_ask_says_what_it_brought(ask, words):
    asked = items(webhook("NEW", 0), ask)[-1]

    assert title(asked) == words


def test_the_first_answer_about_an_order_says_its_status():
    assert title(items(poll("NEW", 0, 9))[-1]) == "Checked: New"


def test_a_failed_ask_gives_its_reason():
    asked = poll("", 0, 9, outcome="FAILED", message="503 Service Unavailable, request 7f")

    assert said(asked) == ["503 Service Unavailable, request 7f"]
    assert message(items(asked)[0], UTC) == "Check failed. 503 Service Unavailable, request 7f"


def test_folded_checks_say_how_often():
    checks = [poll("NEW", 0, 900 * n, outcome="NO_CHANGE") for n in range(1, 8)]
    (run,) = runs([item for item in items(*checks) if item.kind is ItemKind.CHECK])

    assert title(run.lead, times=run.times) == "Checked 7 times, no change"


def test_asks_about_several_orders_that_brought_the_same_say_about_how_many():
    asked = items(webhook("NEW", 0), poll("FILLED", 5, 9))[-1]

    assert title(asked, orders=2) == "Checked 2 orders: New → Filled"
    assert title(asked, orders=2, times=5) == "Checked 2 orders 5 times: New → Filled"


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        (1, "Checked 7 times, no change"),
        (2, "Checked 7 times with 1 order, no change"),
        (11, "Checked 7 times with 10 orders, no change"),
    ],
)
def test_folded_checks_of_a_portfolio_order_say_how_many_orders_were_checked_with_it(orders, words):
    checked = poll("NEW", 0, 900, pk=P, outcome="NO_CHANGE")
    (item,) = (it for it in items(checked, of=[subject(P)]) if it.kind is ItemKind.CHECK)

    assert title(item, orders=orders, times=7) == words


def test_a_note_names_its_author_and_its_text_alone_goes_into_the_file():
    (note,) = items(
        entry(A, 5, 5, source="STAFF", outcome="NOTED", actor="mira", message="Called.")
    )

    assert (title(note), sentence(note, UTC), message(note, UTC)) == (
        "Note by mira",
        "Called.",
        "Called.",
    )


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        ("EXECUTION.FILLED", "Execution filled"),
        ("REBALANCING_EXECUTION_ORDER.NEW", "Rebalancing execution order new"),
        ("ORDER_CANCELLATION.REJECTED", "The broker refused to cancel the order"),
    ],
)
def test_events_that_move_no_order_have_a_heading(type_, words):
    assert title(items(entry(A, 5, 5, type=type_))[0]) == words


def test_gaps_that_share_a_run_are_counted():
    of = [subject(pk, "FILLED", announced="NEW PROCESSING") for pk in (A, B)]
    found = runs(items(poll("FILLED", 20, 920, pk=A), poll("FILLED", 21, 921, pk=B), of=of))

    (gap,) = (run for run in found if run.item.kind is ItemKind.MISSED_WEBHOOK)
    assert sentence(gap.item, UTC, count=len(gap.items)) == (
        "Expected webhook ORDER.FILLED never arrived for 2 orders."
        " Recovered by check at 06:15:20, 15 min after the fact."
    )


def test_a_webhook_says_how_long_it_took():
    (run,) = runs(items(webhook("NEW", 0, learned=1.6)))

    assert arrival(run, UTC) == "arrived after 1.6 s"


def test_a_late_webhook_says_how_late_and_when():
    (run,) = runs(items(webhook("NEW", 0, learned=401)))

    assert arrival(run, BERLIN) == "arrived 6 min 41 s late, at 07:06:41"


def test_a_run_says_its_typical_and_its_worst_delay():
    events = [
        webhook("NEW", n, n + delay, pk=pk) for n, (pk, delay) in enumerate([(A, 1.3), (B, 2.4)])
    ]
    (run,) = runs(items(*events, of=[subject(A), subject(B)]))

    assert arrival(run, UTC) == "arrived after 1.8 s median, 2.4 s worst"


def test_nothing_arrived_where_we_asked():
    (run, _) = runs(items(poll("NEW", 0, 9)))

    assert arrival(run, UTC) == ""


def test_repeats_are_said():
    event = webhook("NEW", 0, pk=A)
    single = runs(items(event, again(event, 5), again(event, 9)))
    both = items(event, webhook("NEW", 1, pk=B), again(event, 5), of=[subject(A), subject(B)])

    assert copies(single[0]) == "delivered 3x, applied once"
    assert copies(runs(both)[0]) == "1 duplicate ignored"
    assert copies(Run(both[1:])) == ""


def test_the_file_says_of_a_late_webhook_what_the_page_says_beside_it():
    (item,) = items(webhook("NEW", 0, learned=401))

    assert message(item, UTC) == "Arrived 6 min 41 s late."
