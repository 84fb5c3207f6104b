from dataclasses import replace
from datetime import timedelta

import pytest

from orders.timeline.items import ItemKind
from tests.journal_entries import (
    RULES,
    START,
    A,
    B,
    P,
    at,
    items,
    kinds,
    listed,
    poll,
    steps,
    subject,
    webhook,
)  # fmt: skip

FILLED = [subject(status="FILLED", announced="NEW PROCESSING", processing_at=at(10))]
BEFORE = webhook("NEW", 0), webhook("PROCESSING", 10)


def gap_of(found):
    (gap,) = (item for item in found if item.kind is ItemKind.MISSED_WEBHOOK)
    return gap


def test_a_step_told_by_a_poll_instead_of_its_webhook_is_a_gap_at_the_time_it_happened():
    found = items(*BEFORE, poll("FILLED", 20, 920), of=FILLED)

    gap = gap_of(found)
    assert (gap.expected, gap.occurred_at, gap.source) == ("ORDER.FILLED", at(20), "POLL")
    assert (gap.from_status, gap.to_status) == ("PROCESSING", "FILLED")
    assert gap.delay == timedelta(minutes=15)
    assert gap.is_problem


@pytest.mark.parametrize(("seconds", "is_waiting"), [(900, True), (901, False)])
def test_a_missing_webhook_is_not_here_yet_until_the_grace_time_is_over(seconds, is_waiting):
    rules = replace(RULES, now=at(100 + seconds))

    gap = gap_of(items(*BEFORE, poll("FILLED", 20, 100), of=FILLED, rules=rules))

    assert gap.is_waiting is is_waiting
    assert gap.is_problem is not is_waiting


def test_a_webhook_that_came_after_the_poll_is_no_gap_but_late_and_keeps_its_place():
    late = webhook("FILLED", 20, learned=20 + 22 * 60)
    of = [subject(status="FILLED")]

    found = items(*BEFORE, poll("FILLED", 20, 920), late, of=of)

    assert kinds(found) == ["transition", "transition", "transition", "check"]
    assert (found[2].entry, found[2].late) == (late, timedelta(minutes=22))
    assert found[2].told.entry.source == "POLL"


def test_a_webhook_known_from_a_later_one_only_stands_directly_before_it_and_is_no_step():
    of = [subject(status="FILLED", announced="NEW FILLED")]

    found = items(webhook("NEW", 0), webhook("FILLED", 20), of=of)

    assert kinds(found) == ["transition", "missed_webhook", "transition"]
    assert (found[1].expected, found[1].occurred_at) == ("ORDER.PROCESSING", None)
    assert found[1].told.entry is found[2].entry
    assert steps(found) == [("", "NEW"), ("NEW", "FILLED")]


def test_a_lost_new_stands_at_the_creation_of_the_order():
    of = [subject(status="PROCESSING", announced="PROCESSING")]

    found = items(webhook("PROCESSING", 10), of=of)

    assert kinds(found) == ["missed_webhook", "transition"]
    assert (found[0].expected, found[0].occurred_at) == ("ORDER.NEW", START)


def test_several_webhooks_lost_before_one_stand_in_the_order_of_life():
    of = [subject(P, "SETTLED", announced="NEW SETTLED")]

    found = items(webhook("NEW", 0, pk=P), webhook("SETTLED", 90, pk=P), of=of)

    assert [item.expected for item in found] == [
        "",
        "PORTFOLIO_ORDER.PROCESSING",
        "PORTFOLIO_ORDER.FILLED",
        "",
    ]


def test_a_status_known_from_the_portfolio_orders_list_names_it_as_the_teller():
    parent = webhook("PROCESSING", 15, pk=P)
    of = [subject(P, "PROCESSING"), subject(A, "PROCESSING", announced="NEW")]

    found = items(
        webhook("NEW", 0, pk=P),
        webhook("NEW", 1),
        parent,
        of=of,
        listings=[listed("PROCESSING", parent)],
    )

    assert kinds(found) == ["transition", "transition", "missed_webhook", "transition"]
    assert found[2].told.entry is parent
    assert found[2].told.is_listing
    assert not found[2].is_step


def test_a_list_that_came_before_the_poll_is_the_teller_of_the_step():
    parent = poll("PROCESSING", 15, 900, pk=P)
    of = [subject(P, "PROCESSING"), *FILLED]

    found = items(
        *BEFORE, parent, poll("FILLED", 20, 905), of=of, listings=[listed("FILLED", parent)]
    )

    assert gap_of(found).told.entry is parent
    assert gap_of(found).entry.recorded_at == at(905)


def test_an_event_has_arrived_whatever_the_status_of_its_object():
    of = [subject(P, "PROCESSING", announced="NEW", processing_at=at(0))]

    found = items(webhook("PROCESSING", 0, pk=P, word="NEW"), of=of)

    assert [item.expected for item in found] == ["PORTFOLIO_ORDER.PROCESSING"]


def test_an_event_in_quarantine_has_arrived():
    quarantined = webhook("FILLED", 20, outcome="QUARANTINED")

    found = items(*BEFORE, quarantined, poll("FILLED", 20, 920), of=FILLED)

    assert "missed_webhook" not in kinds(found)


@pytest.mark.parametrize("first", [None, START + timedelta(seconds=1)])
def test_nothing_is_expected_of_an_order_created_before_the_first_webhook(first):
    rules = replace(RULES, first_webhook_at=first)

    found = items(poll("FILLED", 20, 920), of=[subject(status="FILLED", announced="")], rules=rules)

    assert kinds(found) == ["transition", "check"]


def test_no_settled_webhook_is_expected_of_an_order():
    found = items(*BEFORE, webhook("FILLED", 20), of=[subject(status="FILLED", announced="")])

    assert "missed_webhook" not in kinds(found)


def test_processing_is_expected_of_a_cancelled_order_only_if_it_was_processing():
    cancelled = webhook("CANCELLED", 20)
    never = [subject(status="CANCELLED", announced="NEW CANCELLED")]
    once = [replace(never[0], processing_at=at(10))]

    assert kinds(items(webhook("NEW", 0), cancelled, of=never)) == ["transition", "transition"]
    assert "missed_webhook" in kinds(items(webhook("NEW", 0), cancelled, of=once))


def test_a_gap_of_one_order_says_nothing_of_another():
    of = [*FILLED, subject(B, "FILLED")]

    found = items(*BEFORE, poll("FILLED", 20, 920), webhook("FILLED", 20, pk=B), of=of)

    assert [item.kind for item in found if item.subject.id == B] == [ItemKind.TRANSITION]
