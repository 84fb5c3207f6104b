from datetime import timedelta
from uuid import UUID

from orders.timeline.items import ItemKind
from orders.timeline.runs import runs
from tests.journal_entries import (
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
)  # fmt: skip

ORDERS = [UUID(int=n) for n in range(1, 41)]
SUBJECTS = [subject(pk) for pk in ORDERS]
NEW = webhook("NEW", 0, pk=P)


def sizes(found, **how):
    return [len(run.items) for run in runs(found, **how)]


def no_change(learned, pk=A):
    return poll("NEW", 0, learned, pk=pk, outcome="NO_CHANGE")


def test_forty_orders_through_three_steps_read_as_three_runs():
    entries = [
        webhook(status, happened + n, pk=pk)
        for status, happened in (("NEW", 0), ("PROCESSING", 100), ("FILLED", 200))
        for n, pk in enumerate(ORDERS)
    ]

    assert sizes(items(*entries, of=SUBJECTS)) == [40, 40, 40]


def test_runs_may_interleave():
    entries = [webhook("NEW", 0, pk=A), webhook("PROCESSING", 3, pk=A)]
    entries += [webhook("NEW", 2, pk=B), webhook("PROCESSING", 5, pk=B)]

    assert sizes(items(*entries, of=[subject(A), subject(B)])) == [2, 2]


def test_items_more_than_90_s_apart_are_not_one_run():
    entries = [
        webhook("NEW", seconds, pk=pk) for seconds, pk in zip((0, 90, 181), ORDERS, strict=False)
    ]

    assert sizes(items(*entries, of=SUBJECTS)) == [2, 1]


def test_the_portfolio_orders_item_closes_all_runs():
    entries = [webhook("NEW", 0, pk=A), webhook("NEW", 1, pk=P), webhook("NEW", 2, pk=B)]

    assert sizes(items(*entries, of=[subject(A), subject(B), subject(P)])) == [1, 1, 1]


def test_a_problem_stands_alone_and_closes_all_runs():
    entries = [webhook("NEW", n, pk=ORDERS[n]) for n in (0, 2)]
    late = webhook("NEW", 1, learned=600, pk=ORDERS[1])

    assert sizes(items(*entries, late, of=SUBJECTS)) == [1, 1, 1]


def test_a_repeated_event_stays_in_its_run():
    events = [webhook("NEW", n, pk=ORDERS[n]) for n in range(3)]

    assert sizes(items(*events, again(events[1], 30), of=SUBJECTS)) == [3]


def test_the_gaps_of_one_outage_share_a_run_for_each_step_however_far_apart_they_were_sent():
    of = [subject(pk, "FILLED", announced="NEW") for pk in ORDERS[:4]]
    entries = [
        webhook(status, happened + 300 * n, learned=3000 + n, pk=pk, source="POLL", event_id=None)
        for n, pk in enumerate(ORDERS[:4])
        for status, happened in (("PROCESSING", 10), ("FILLED", 200))
    ]

    gaps = [run for run in runs(items(*entries, of=of)) if run.item.kind is ItemKind.MISSED_WEBHOOK]

    assert [(run.item.expected, len(run.items)) for run in gaps] == [
        ("ORDER.PROCESSING", 4),
        ("ORDER.FILLED", 4),
    ]


def test_webhooks_that_one_round_of_polls_recovered_share_a_run():
    of = [subject(pk, "FILLED", announced="NEW PROCESSING") for pk in ORDERS[:3]]
    entries = [poll("FILLED", 20 + n, 900 + n, pk=pk) for n, pk in enumerate(ORDERS[:3])]

    gaps = [run for run in runs(items(*entries, of=of)) if run.item.kind is ItemKind.MISSED_WEBHOOK]

    assert [len(run.items) for run in gaps] == [3]


def test_webhooks_that_different_rounds_recovered_do_not_share_a_run():
    of = [subject(pk, "FILLED", announced="NEW PROCESSING") for pk in ORDERS[:2]]
    entries = [poll("FILLED", 20 + n, 900 + 600 * n, pk=pk) for n, pk in enumerate(ORDERS[:2])]

    gaps = [run for run in runs(items(*entries, of=of)) if run.item.kind is ItemKind.MISSED_WEBHOOK]

    assert [len(run.items) for run in gaps] == [1, 1]


def test_orders_that_a_list_named_before_their_own_events_share_a_run():
    of = [subject(pk) for pk in ORDERS[:3]]
    by = webhook("PROCESSING", 1, pk=P)
    events = [webhook("PROCESSING", 3 + n, pk=pk) for n, pk in enumerate(ORDERS[:3])]
    found = items(*events, of=of, listings=[listed("PROCESSING", by, pk) for pk in ORDERS[:2]])

    (run,) = runs(found)
    assert [item.was_listed_first for item in run.items] == [True, True, False]
    assert run.orders == 3


def test_more_than_three_equal_checks_in_a_row_fold_to_one():
    checks = [no_change(900 * n, pk=P) for n in range(1, 8)]

    assert sizes(items(NEW, *checks, of=[subject(P)])) == [1, 7]
    assert sizes(items(NEW, *checks[:3], of=[subject(P)])) == [1, 1, 1, 1]


def test_checks_of_a_portfolio_order_and_of_its_orders_fold_together():
    of = [subject(P), *SUBJECTS[:10]]
    rounds = [
        no_change(900 * n + later, pk=pk)
        for n in range(1, 8)
        for later, pk in enumerate([P, *ORDERS[:10]])
    ]

    told = [NEW, *(webhook("NEW", 0, pk=pk) for pk in ORDERS[:10])]

    _, _, folded = runs(items(*told, *rounds, of=of))

    assert len(folded.items) == 7 * 11
    assert (folded.times, folded.orders) == (7, 11)
    assert (folded.first_at, folded.last_at) == (at(900), at(6310))
    assert sizes(items(*told, *rounds[:11], of=of)) == [1, 10, 1, 10]


def test_a_check_of_another_status_is_no_part_of_the_row_before_it():
    checks = [no_change(900 * n, pk=P) for n in range(1, 5)]
    other = [poll("CANCELLED", 5, 9000 + 900 * n, pk=P, outcome="NO_CHANGE") for n in range(1, 6)]

    ended = webhook("CANCELLED", 5, pk=P)

    assert sizes(items(NEW, ended, *checks, *other, of=[subject(P)])) == [1, 1, 4, 5]


def test_a_check_that_changed_an_order_is_no_part_of_a_run_of_those_that_did_not():
    entries = [no_change(900, pk=A), poll("NEW", 0, 901, pk=B, outcome="APPLIED")]

    found = runs(items(*entries, of=[subject(A), subject(B)]))

    assert [
        [item.entry and item.entry.outcome for item in run.items]
        for run in found
        if run.item.kind is ItemKind.CHECK
    ] == [["NO_CHANGE"], ["APPLIED"]]


def test_anything_between_checks_keeps_them_apart():
    checks = [no_change(900 * n, pk=P) for n in range(1, 5)]
    note = entry(P, 2000, 2000, source="STAFF", outcome="NOTED")

    assert sizes(items(NEW, *checks, note, of=[subject(P)])) == [1] * 6


def test_failed_checks_and_refetches_never_fold():
    failed = [poll("", 0, 900 * n, pk=P, outcome="FAILED") for n in range(1, 6)]
    asked = [refetch("NEW", 0, 9000 + n, pk=P, outcome="NO_CHANGE") for n in range(5)]

    assert sizes(items(NEW, *failed, *asked, of=[subject(P)])) == [1] * 11


def test_runs_stand_by_their_first_time_oldest_first_and_by_their_last_newest_first():
    entries = [webhook("NEW", 0, pk=A), webhook("PROCESSING", 1, pk=A), webhook("NEW", 2, pk=B)]
    found = items(*entries, of=[subject(A), subject(B)])

    assert sizes(found) == [2, 1]
    newest = runs(found, newest_first=True)
    assert [run.item.to_status for run in newest] == ["NEW", "PROCESSING"]
    assert (newest[0].first_at, newest[0].last_at) == (at(0), at(2))


def test_a_silence_of_more_than_five_minutes_is_told_in_both_orders():
    found = items(webhook("NEW", 0), webhook("PROCESSING", 300), webhook("FILLED", 601))

    silences = [None, None, timedelta(seconds=301)]
    assert [run.silence for run in runs(found)] == silences
    assert [run.silence for run in runs(found, newest_first=True)] == [
        None,
        timedelta(seconds=301),
        None,
    ]
