from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.lifecycle import Kind
from orders.timeline.items import Filter, ItemKind, Remark, Timeline
from tests.journal_entries import (
    RULES,
    A,
    B,
    P,
    again,
    at,
    entry,
    items,
    kinds,
    poll,
    refetch,
    steps,
    subject,
    webhook,
)  # fmt: skip

LIFE = webhook("NEW", 0), webhook("PROCESSING", 10), webhook("FILLED", 20)


def test_a_step_says_when_it_happened_when_we_learned_it_and_from_where():
    (new,) = items(webhook("NEW", 5, learned=7))

    assert (new.kind, new.occurred_at, new.recorded_at) == (ItemKind.TRANSITION, at(5), at(7))
    assert (new.source, new.delay, new.level) == ("WEBHOOK", timedelta(seconds=2), "order")


def test_steps_stand_in_the_order_in_which_they_happened_whatever_the_order_of_receipt():
    expected = [("", "NEW"), ("NEW", "PROCESSING"), ("PROCESSING", "FILLED")]

    for arrival in permutations(range(3)):
        entries = [
            event._replace(recorded_at=at(30 + i)) for i, event in zip(arrival, LIFE, strict=True)
        ]
        assert steps(items(*entries)) == expected


def test_of_things_at_the_same_moment_the_portfolio_order_stands_first():
    found = items(webhook("NEW", 0, pk=A), webhook("NEW", 0, pk=P), of=[subject(A), subject(P)])

    assert [item.subject.id for item in found] == [P, A]


def test_of_steps_of_one_order_at_the_same_moment_the_lower_status_stands_first():
    assert steps(items(webhook("FILLED", 0), webhook("PROCESSING", 0), webhook("NEW", 0))) == [
        ("", "NEW"),
        ("NEW", "PROCESSING"),
        ("PROCESSING", "FILLED"),
    ]


def test_ids_that_are_equal_for_a_portfolio_order_and_an_order_are_kept_apart():
    order = subject(P, "FILLED")
    twin = replace(order, kind=Kind.ORDER)
    about_order = webhook("FILLED", 9)._replace(order_id=P)

    found = items(webhook("NEW", 0, pk=P), about_order, of=[order, twin])

    assert [(item.level, item.to_status) for item in found] == [
        ("portfolio_order", "NEW"),
        ("order", "FILLED"),
    ]


def test_there_is_at_most_one_step_for_each_status_and_none_that_nobody_reported():
    found = items(
        webhook("NEW", 0), poll("NEW", 0, 4), webhook("FILLED", 20), poll("FILLED", 20, 30)
    )

    assert steps(found) == [("", "NEW"), ("NEW", "FILLED")]


def test_an_event_stands_for_a_status_before_an_answer_of_the_same_version():
    found = items(poll("FILLED", 20, 22), webhook("FILLED", 20, learned=25))

    assert [(item.kind, item.source) for item in found] == [
        (ItemKind.TRANSITION, "WEBHOOK"),
        (ItemKind.CHECK, "POLL"),
    ]
    assert found[0].learned.source == "POLL"


def test_a_repeated_event_is_one_item_with_its_number_of_deliveries():
    event = webhook("FILLED", 20)

    (item,) = items(event, again(event, 40), again(event, 60))

    assert item.deliveries == 3
    assert item.is_problem


def test_a_repeat_with_other_content_is_remarked():
    event = webhook("FILLED", 20)

    (item,) = items(event, again(event, 40, message="The content differs."))

    assert Remark.CONTENT_DIFFERS in item.remarks


def test_a_repeat_whose_first_copy_is_about_another_object_is_an_anomaly():
    elsewhere = webhook("FILLED", 20, pk=B)

    (item,) = items(again(elsewhere, 40)._replace(order_id=A))

    assert (item.kind, item.remarks) == (ItemKind.ANOMALY, (Remark.FIRST_COPY_ELSEWHERE,))


@pytest.mark.parametrize(("seconds", "is_late"), [(60, False), (61, True)])
def test_a_webhook_is_late_when_it_comes_more_than_the_limit_after_the_fact(seconds, is_late):
    (item,) = items(webhook("NEW", 0, learned=seconds))

    assert item.late == (timedelta(seconds=seconds) if is_late else None)
    assert item.is_problem is is_late


def test_a_webhook_from_a_clock_ahead_of_ours_has_no_delay_and_a_remark():
    (item,) = items(webhook("NEW", 5, learned=2))

    assert item.delay == timedelta()
    assert item.remarks == (Remark.CLOCKS_DIFFER,)


def test_an_event_overtaken_by_a_later_one_keeps_its_place_and_says_what_was_known():
    found = items(webhook("NEW", 0), webhook("FILLED", 20), webhook("PROCESSING", 10, learned=30))

    assert steps(found) == [("", "NEW"), ("NEW", "PROCESSING"), ("PROCESSING", "FILLED")]
    assert found[1].told.status == "FILLED"
    assert [item.told for item in (found[0], found[2])] == [None, None]


def test_events_of_one_delivery_do_not_overtake_each_other():
    found = items(webhook("FILLED", 20, learned=30), webhook("PROCESSING", 10, learned=30))

    assert [item.told for item in found] == [None, None]


def test_an_unknown_status_is_an_anomaly_that_moves_nothing():
    _, weird, filled = items(webhook("NEW", 0), webhook("PAUSED", 10), webhook("FILLED", 20))

    assert (weird.kind, weird.to_status) == (ItemKind.ANOMALY, "PAUSED")
    assert weird.remarks == (Remark.UNKNOWN_STATUS,)
    assert (filled.from_status, filled.to_status) == ("NEW", "FILLED")


def test_a_status_that_follows_a_higher_one_is_an_anomaly():
    found = items(webhook("FILLED", 20), webhook("PROCESSING", 30))

    assert kinds(found) == ["transition", "anomaly"]
    assert found[1].remarks == (Remark.BACKWARDS,)


@pytest.mark.parametrize("ends", [("FILLED", "CANCELLED"), ("CANCELLED", "FILLED")])
def test_filled_and_cancelled_together_are_an_anomaly(ends):
    found = items(webhook(ends[0], 20), webhook(ends[1], 30))

    assert kinds(found) == ["transition", "anomaly"]
    assert found[1].remarks == (Remark.CONFLICT,)


def test_where_type_and_status_disagree_the_status_counts_as_in_the_guides_sample():
    (item,) = items(webhook("PROCESSING", 0, pk=P, word="NEW"), of=[subject(P, "PROCESSING")])

    assert (item.kind, item.to_status) == (ItemKind.TRANSITION, "PROCESSING")
    assert item.remarks == (Remark.TYPE_DISAGREES,)
    assert not item.is_problem


def test_a_second_event_with_the_same_status_is_a_note():
    found = items(webhook("PROCESSING", 0, word="NEW"), webhook("PROCESSING", 5))

    assert kinds(found) == ["transition", "note"]
    assert found[1].remarks == (Remark.SAID_AGAIN,)


def test_an_event_in_quarantine_is_an_anomaly_and_no_step():
    (item,) = items(webhook("FILLED", 20, outcome="QUARANTINED", message="cash_amount is bad"))

    assert (item.kind, item.remarks) == (ItemKind.ANOMALY, (Remark.QUARANTINED,))
    assert not item.is_step


def test_an_event_that_is_not_applied_yet_is_shown_with_a_remark():
    (item,) = items(webhook("NEW", 0, outcome="PENDING"))

    assert (item.is_step, item.remarks) == (True, (Remark.PENDING,))


def test_every_ask_is_an_item_at_the_time_of_the_ask_beside_the_step_it_told():
    found = items(webhook("NEW", 0), poll("FILLED", 20, 900))

    assert [(item.kind, item.occurred_at) for item in found] == [
        (ItemKind.TRANSITION, at(0)),
        (ItemKind.TRANSITION, at(20)),
        (ItemKind.CHECK, at(900)),
    ]
    assert (found[2].from_status, found[2].to_status) == ("NEW", "FILLED")
    assert found[1].anchor != found[2].anchor


def test_a_refetch_names_who_did_it_and_has_an_anchor_to_come_back_to():
    asked = refetch("NEW", 0, 50, outcome="NO_CHANGE")

    found = items(webhook("NEW", 0), asked)

    assert found[1].kind is ItemKind.REFETCH
    assert (found[1].entry.actor, found[1].anchor) == ("mira", f"entry-{asked.id}")


def test_a_failed_check_is_a_problem():
    (item,) = items(poll("", 0, 50, outcome="FAILED", message="503"))

    assert item.is_failed
    assert item.is_problem


def test_a_note_of_staff_is_an_item_of_its_own():
    (item,) = items(
        entry(A, 5, 5, source="STAFF", outcome="NOTED", actor="mira", message="Called.")
    )

    assert (item.kind, item.is_ours, item.delay) == (ItemKind.NOTE, True, None)


def test_executions_are_notes_but_a_cancelled_one_is_an_anomaly():
    found = items(
        entry(A, 20, 21, type="EXECUTION.FILLED", status="FILLED"),
        entry(A, 30, 31, type="EXECUTION.CANCELLED", status="CANCELLED"),
    )

    assert kinds(found) == ["note", "anomaly"]
    assert steps(found) == []


def test_a_cancellation_is_listed_under_problems():
    (item,) = items(webhook("CANCELLED", 20))

    assert item.is_problem


def test_the_chips_count_what_they_show():
    late = webhook("FILLED", 20, learned=600)
    found = items(
        webhook("NEW", 0, pk=P),
        webhook("NEW", 1),
        late,
        poll("NEW", 0, 700, pk=P, outcome="NO_CHANGE"),
        entry(P, 5, 5, source="STAFF", outcome="NOTED"),
        of=[subject(P), subject(A)],
    )
    timeline = Timeline(found, RULES.now)

    assert dict(timeline.counts) == {
        Filter.ALL: 5,
        Filter.PORTFOLIO_ORDER: 1,
        Filter.ORDERS: 2,
        Filter.PROBLEMS: 1,
        Filter.CHECKS: 2,
    }
    assert [item.entry for item in timeline.shown(Filter.PROBLEMS)] == [late]


def test_every_anchor_of_a_page_is_its_own():
    found = items(
        poll("PROCESSING", 10, 900),
        poll("FILLED", 20, 1900),
        poll("FILLED", 20, 2900, pk=B),
        of=[subject(A, "FILLED", announced=""), subject(B, "FILLED", announced="")],
    )

    assert len({item.anchor for item in found}) == len(found)


STATUSES = st.sampled_from(["NEW", "PROCESSING", "FILLED", "CANCELLED", "PAUSED"])
MOMENTS = st.integers(min_value=0, max_value=5)


@st.composite
def stories(draw):
    """Return entries of any kind about one order, some of them repeated."""
    made = []
    for _ in range(draw(st.integers(min_value=1, max_value=7))):
        make = draw(st.sampled_from([webhook, poll, refetch]))
        happened = draw(MOMENTS)
        one = make(draw(STATUSES), happened, happened + draw(MOMENTS))
        made.append(one._replace(event_id=draw(st.uuids()) if make is webhook else None))
    made += [again(one, 20) for one in made if one.event_id and draw(st.booleans())]
    return made


@settings(max_examples=60, deadline=None)
@given(entries=stories(), data=st.data())
def test_the_same_journal_gives_the_same_history_whatever_the_order_it_is_read_in(entries, data):
    of = [subject(status="FILLED", announced="")]

    shuffled = items(*data.draw(st.permutations(entries)), of=of)

    assert shuffled == items(*entries, of=of)


@settings(max_examples=60, deadline=None)
@given(entries=stories())
def test_no_entry_is_lost_and_none_is_shown_twice(entries):
    found = items(*entries)

    shown = [item.entry.id for item in found if item.entry and item.anchor.startswith("entry-")]
    steps_by_asks = [item for item in found if not item.anchor.startswith("entry-")]
    assert sorted(shown) == sorted(one.id for one in entries if not one.repeat_of)
    assert all(item.entry and item.entry.source != "WEBHOOK" for item in steps_by_asks)
    assert len({item.anchor for item in found}) == len(found)
