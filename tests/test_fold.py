from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.fold import (
    Fact,
    Listing,
    announce,
    fold,
    fold_listing,
    keep_list,
    link,
    misses,
    settle,
)
from orders.lifecycle import CONFLICT, ORDER_RANK, Kind
from orders.models import Order, PortfolioOrder
from tests.stories import START, named

PK, P, Q = (UUID(named(name)) for name in "APQ")

FLOWS = ["API", "PORTFOLIO", ""]
# Every attribute may contradict another fact's; one that is missing was not said.
FIXED = {
    "side": st.sampled_from(["BUY", "SELL", ""]),
    "currency": st.sampled_from(["EUR", "USD", ""]),
    "client_reference": st.sampled_from([str(P), str(Q), "mine", ""]),
    "initiation_flow": st.sampled_from(FLOWS),
    "created_at": st.sampled_from([START, START + timedelta(seconds=1), None]),
}
CURRENT = {
    "quantity": st.sampled_from(["1", "2", ""]),
    "cancellation_reason": st.sampled_from(["CANCELLED_BY_CLIENT", ""]),
}
words = st.sampled_from([*ORDER_RANK, "REOPENED", "SUSPENDED"])
facts = st.builds(
    Fact,
    kind=st.just(Kind.ORDER),
    id=st.just(PK),
    status=words,
    version=st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds)),
    is_answer=st.booleans(),
    tie=st.uuids().map(str),
    fixed=st.fixed_dictionaries({}, optional=FIXED),
    current=st.fixed_dictionaries({}, optional=CURRENT),
)
listings = st.builds(
    Listing,
    order_id=st.just(PK),
    portfolio_order_id=st.sampled_from([P, Q]),
    status=words,
    side=st.sampled_from(["BUY", "SELL", "x\ny z", ""]),
    fact=st.sampled_from(["1 a", "1 b", "3 a"]),
)
told_of_one = st.lists(
    facts | listings,
    max_size=7,
    unique_by=lambda it: it.key if isinstance(it, Fact) else it,  # a key is that of one fact
)


def folded(told):
    order = Order(pk=PK)
    for it in told:
        keep_list(order)
        if isinstance(it, Fact):
            fold(order, it)
            link(order)
        else:
            fold_listing(order, it)
            link(order, it.portfolio_order_id)
        settle(order, set())
    return {k: v for k, v in vars(order).items() if k != "_state"}


def fact(status, seconds=0, *, answer=False, tie="t", **fixed):
    version = START + timedelta(seconds=seconds)
    return Fact(Kind.PORTFOLIO_ORDER, P, status, version, answer, tie, fixed)


def shown(*told):
    row = PortfolioOrder(pk=P)
    for it in told:
        fold(row, it)
    return row.status


@given(told=told_of_one, data=st.data())
def test_facts_and_listings_give_the_same_state_in_any_order_however_often(told, data):
    again = data.draw(st.lists(st.sampled_from(told), max_size=4)) if told else []

    assert folded(data.draw(st.permutations([*told, *again]))) == folded(told)


@given(told=st.lists(facts, min_size=1, max_size=6))
def test_the_state_is_the_greatest_fact(told):
    assert folded(told)["status"] == max(told, key=lambda it: it.key).status


@given(told=told_of_one)
def test_each_attribute_is_that_of_the_greatest_fact_that_gives_it(told):
    row, own = folded(told), sorted(it.key for it in told if isinstance(it, Fact))
    by_key = {it.key: it for it in told if isinstance(it, Fact)}

    for name in {*FIXED, *CURRENT} - {"side"}:  # lines of lists give a side, too
        said = [{**by_key[key].fixed, **by_key[key].current} for key in own]
        given = [it[name] for it in said if name in it and (name in CURRENT or it[name])]
        assert row[name] == (given[-1] if given else vars(Order())[name]), name


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        (fact("PROCESSING", 9), fact("FILLED", 1)),  # rank before time
        (fact("NEW", 1), fact("NEW", 2)),  # then the later version
        (fact("CANCELLED", 1), fact("FILLED", 1)),  # then filled over cancelled
        (fact("FILLED", 1), fact("FILLED", 1, answer=True)),  # then an answer over an event
        (fact("FILLED", 1, tie="a"), fact("FILLED", 1, tie="b")),  # then the id: total
        (fact("REOPENED", 9), fact("NEW", 1)),  # an unknown word displaces none that we know
    ],
)
def test_facts_are_ordered_by_rank_version_fill_answer_and_id(loser, winner):
    assert loser.key < winner.key


def test_small_histories_end_right_in_every_order_of_arrival():
    history = [fact("NEW", 0), fact("PROCESSING", 5), fact("FILLED", 5), fact("SETTLED", 5)]

    assert {shown(*arrival) for arrival in permutations(history)} == {"SETTLED"}


def test_a_fixed_attribute_is_filled_by_a_lesser_fact_and_never_emptied():
    row = PortfolioOrder(pk=P)
    fold(row, fact("FILLED", 5, type="", currency="EUR"))
    fold(row, fact("NEW", 0, type="BUY", currency=""))

    assert (row.type, row.currency) == ("BUY", "EUR")


def test_a_listing_counts_above_own_facts_only_and_until_one_of_its_rank_comes():
    order = Order(pk=PK)
    own = Fact(Kind.ORDER, PK, "PROCESSING", START, is_answer=False, tie="t")
    fold(order, own)
    assert not fold_listing(order, Listing(PK, P, "PROCESSING", ""))
    assert fold_listing(order, Listing(PK, P, "FILLED", ""))
    assert order.status == "FILLED"
    later = START + timedelta(seconds=9)

    fold(order, Fact(Kind.ORDER, PK, "CANCELLED", later, is_answer=False, tie="u"))

    assert order.status == "CANCELLED"


def test_a_fixed_attribute_that_facts_contradict_is_that_of_the_greatest_that_has_it():
    told = [
        fact("NEW", 0, currency="EUR"),
        fact("PROCESSING", 3, currency="USD"),
        fact("FILLED", 5),
    ]

    for arrival in permutations(told):
        row = PortfolioOrder(pk=P)
        for it in arrival:
            fold(row, it)
        assert (row.status, row.currency) == ("FILLED", "USD")


def test_an_order_that_names_no_parent_any_more_belongs_to_the_one_that_lists_it():
    order = Order(pk=PK)
    link(order, P)
    for seconds, flow in enumerate(["PORTFOLIO", "API"]):
        named_by = {"client_reference": str(Q), "initiation_flow": flow}
        version = START + timedelta(seconds=seconds)
        fold(order, Fact(Kind.ORDER, PK, "NEW", version, is_answer=False, tie="t", fixed=named_by))
        link(order)
        assert order.portfolio_order_id == (Q if flow == "PORTFOLIO" else P)


def test_an_order_written_by_an_earlier_release_stays_where_it_is_listed():
    order = Order(pk=PK, portfolio_order_id=P)  # only a list can have said so
    keep_list(order)
    link(order, Q)

    assert order.portfolio_order_id == min(P, Q)


def test_an_order_belongs_to_the_one_it_names_before_the_least_that_lists_it():
    order = Order(pk=PK, client_reference=str(Q), initiation_flow="PORTFOLIO")
    assert link(order, P)
    assert order.portfolio_order_id == Q

    listed = Order(pk=PK, client_reference=str(Q), initiation_flow="API")
    link(listed, max(P, Q))
    link(listed, min(P, Q))
    assert listed.portfolio_order_id == min(P, Q)


@dataclass
class Case:
    status: str
    announced: str
    misses: bool
    processing: bool = False


@pytest.mark.parametrize(
    "case",
    [
        Case("NEW", "NEW", misses=False),
        Case("PROCESSING", "NEW", misses=True),
        Case("FILLED", "FILLED NEW", misses=True),
        Case("FILLED", "FILLED NEW PROCESSING", misses=False),
        Case("CANCELLED", "CANCELLED NEW", misses=False),
        Case("CANCELLED", "CANCELLED NEW", misses=True, processing=True),
        Case("REOPENED", "", misses=False),
    ],
    ids=str,
)
def test_a_gap_is_an_expected_webhook_that_has_not_come(case):
    row = Order(pk=PK, status=case.status, announced=case.announced)
    row.processing_at = START if case.processing else None

    assert misses(Kind.ORDER, row) is case.misses


def test_settled_is_expected_of_portfolio_orders_only():
    told = "FILLED NEW PROCESSING"
    assert misses(Kind.PORTFOLIO_ORDER, PortfolioOrder(status="SETTLED", announced=told))
    assert not misses(Kind.ORDER, Order(status="SETTLED", announced=told))


def test_announced_words_are_kept_sorted_and_once():
    row = PortfolioOrder(pk=P)
    for word in ("PROCESSING", "NEW", "PROCESSING"):
        announce(row, word)

    assert row.announced == "NEW PROCESSING"


def test_an_answer_older_than_the_quarrel_does_not_settle_a_conflict():
    row = PortfolioOrder(pk=P)
    for it in (fact("CANCELLED", 8), fact("FILLED", 5, answer=True)):
        fold(row, it)
        settle(row, set())

    assert row.problems & CONFLICT
