"""The breaker of an upstream that does not answer: pure, then before the sandbox."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from backoffice.investment_api.auth import Credentials
from backoffice.investment_api.breaker import FAILURES, FIRST, LONGEST, TRY, Breaker
from backoffice.investment_api.budget import Budget, Urgency
from backoffice.investment_api.client import InvestmentAPI, api
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from backoffice.sandbox import Trouble
from orders.asking import checking, discovery
from orders.asking.feedback import Verdict
from orders.lifecycle import Kind
from orders.models import JournalEntry, PortfolioOrder
from tests.budgets import Clock
from tests.upstream import START, receive, running

NOW = datetime(2026, 3, 2, 12, 4, 10, tzinfo=UTC)
BACKGROUND, SUBMISSION, PERSON = Urgency.BACKGROUND, Urgency.SUBMISSION, Urgency.PERSON
CUT = Trouble("cut")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock, jitter=lambda: 1.0)


def fail(breaker, times=1):
    for _ in range(times):
        breaker.report(is_answered=False)


def is_let_through(breaker, urgency=BACKGROUND):
    try:
        breaker.admit(urgency)
    except UnavailableError:
        return False
    return True


def test_it_opens_after_five_failures_in_a_row(breaker):
    fail(breaker, FAILURES - 1)
    assert is_let_through(breaker)

    fail(breaker)

    assert not is_let_through(breaker)
    assert not is_let_through(breaker, SUBMISSION)


def test_an_answer_between_failures_keeps_it_closed(breaker):
    fail(breaker, FAILURES - 1)
    breaker.report(is_answered=True)
    fail(breaker, FAILURES - 1)

    assert is_let_through(breaker)


def test_people_may_always_try(breaker, clock):
    fail(breaker, FAILURES)

    for _ in range(3):
        assert is_let_through(breaker, PERSON)


def test_an_answer_to_a_person_closes_it_at_once(breaker):
    fail(breaker, FAILURES)
    breaker.report(is_answered=True)

    assert is_let_through(breaker)
    assert breaker.open_until() is None


def test_after_the_wait_one_call_tries_and_the_others_wait_for_it(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += FIRST - 0.1
    assert not is_let_through(breaker)
    clock.now += 0.1

    assert [is_let_through(breaker) for _ in range(3)] == [True, False, False]
    breaker.report(is_answered=True)
    assert [is_let_through(breaker) for _ in range(3)] == [True, True, True]


def test_each_try_in_vain_doubles_the_wait_up_to_a_minute(breaker, clock):
    fail(breaker, FAILURES)
    waits = []
    for _ in range(6):
        began = clock.now
        while not is_let_through(breaker):
            clock.now += 1
        waits.append(clock.now - began)
        fail(breaker)

    assert waits == [FIRST, 10, 20, 40, LONGEST, LONGEST]


def test_calls_that_were_under_way_and_people_do_not_make_the_wait_longer(breaker, clock):
    fail(breaker, FAILURES + 10)
    clock.now += FIRST

    assert is_let_through(breaker)


def test_a_try_that_was_not_sent_leaves_the_next_one_to_another(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += FIRST
    breaker.admit(BACKGROUND)
    breaker.call_off()

    assert is_let_through(breaker)


def test_a_try_that_is_lost_shuts_nobody_out_for_good(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += FIRST
    breaker.admit(BACKGROUND)
    clock.now += TRY

    assert is_let_through(breaker)


@time_machine.travel(NOW, tick=False)
def test_who_is_refused_is_told_since_when_and_when_the_next_try_is(breaker, clock):
    fail(breaker)
    clock.now += 20
    fail(breaker, FAILURES - 1)
    clock.now += 1

    with pytest.raises(UnavailableError) as caught:
        breaker.admit(BACKGROUND)

    assert caught.value.message == (
        "the broker has not answered since 12:03:49 UTC; next try 12:04:14 UTC"
    )
    assert caught.value.retry_after == timedelta(seconds=FIRST - 1)


def test_processes_do_not_try_all_at_the_same_moment(clock):
    waits = set()
    for _ in range(20):
        breaker = Breaker(clock=clock)
        fail(breaker, FAILURES)
        until = breaker.open_until()
        assert until is not None
        waits.add(round((until - datetime.now(UTC)).total_seconds(), 2))

    assert len(waits) > 5
    assert all(0.79 * FIRST <= wait <= 1.21 * FIRST for wait in waits)


# Before an upstream


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def client(upstream, breaker):
    credentials = Credentials.from_settings()
    return InvestmentAPI(credentials, Budget(1000), breaker=breaker)


def ask(client, urgency=BACKGROUND):
    try:
        client.portfolio_order(uuid4(), urgency=urgency)
    except InvestmentAPIError as error:
        return error
    raise AssertionError("nobody knows that order")


@pytest.mark.parametrize(
    "trouble", [CUT, Trouble("problem", 500), Trouble("page", 502)], ids=lambda it: it.kind
)
def test_of_many_calls_to_an_upstream_that_is_down_few_are_sent(upstream, client, trouble):
    ask(client)
    upstream.expect(trouble, times=1000)
    upstream.asked()

    errors = [ask(client) for _ in range(200)]

    assert len(upstream.asked()) == FAILURES
    assert [error.was_sent for error in errors] == [True] * FAILURES + [False] * 195
    assert all(isinstance(error, UnavailableError) for error in errors)
    assert errors[-1].message.startswith("GET /portfolios/orders/")
    assert "not sent, the broker has not answered since 09:00:00 UTC" in errors[-1].message


def test_an_upstream_that_is_gone_is_tried_once_for_each_wait(upstream, client, clock):
    ask(client)
    upstream.stop()
    errors = []
    for _ in range(600):
        errors.append(ask(client))
        clock.now += 0.5

    assert sum(error.was_sent or error.retry_after is None for error in errors) <= FAILURES + 8


@pytest.mark.parametrize("status", [400, 404, 409, 429])
def test_an_upstream_that_refuses_is_one_that_answers(upstream, client, status):
    ask(client)
    upstream.expect(Trouble("problem", status), times=1000)
    for _ in range(2 * FAILURES):
        ask(client, PERSON)

    assert client.shut_until() is None or status == 429
    assert len(upstream.asked()) == 1 + 2 * FAILURES


def test_when_upstream_is_back_one_call_finds_it_out_and_the_others_follow(upstream, client, clock):
    ask(client)
    upstream.expect(CUT, times=FAILURES)
    for _ in range(FAILURES):
        ask(client)
    assert not ask(client).was_sent
    clock.now += FIRST
    upstream.asked()

    assert [ask(client).status for _ in range(3)] == [404, 404, 404]
    assert len(upstream.asked()) == 3


def test_a_person_gets_through_and_opens_the_way_for_all(upstream, client):
    ask(client)
    upstream.expect(CUT, times=FAILURES)
    for _ in range(FAILURES):
        ask(client)

    assert ask(client, PERSON).status == 404
    assert ask(client).status == 404


# What is left of it in the journal


@pytest.fixture
def shut(db, upstream):
    """An order that is due, and an upstream that background work has found silent."""
    pk = upstream.place()
    receive(upstream.wait(seconds=1))
    upstream.wait(minutes=20)
    api().verify_keys()
    upstream.expect(CUT, times=1000)
    for _ in range(FAILURES):
        ask(api())
    upstream.asked()
    return pk


def test_an_ask_that_the_breaker_kept_back_is_none(upstream, shut):
    before = PortfolioOrder.objects.values().get()
    entries = JournalEntry.objects.count()

    result = checking.check(Kind.PORTFOLIO_ORDER, shut)

    assert result.verdict is Verdict.SKIPPED
    assert upstream.asked() == []
    assert PortfolioOrder.objects.values().get() == before
    assert JournalEntry.objects.count() == entries


def test_while_it_is_open_nothing_is_listed_as_to_be_asked(upstream, shut):
    assert checking.due(now=START + timedelta(hours=2)) == []


def test_a_round_of_discovery_waits_for_upstream_and_comes_with_the_next_beat(upstream, shut):
    entries = JournalEntry.objects.count()

    assert discovery.discover(now=START + timedelta(hours=2)) is None
    assert JournalEntry.objects.count() == entries
    assert upstream.asked() == []


def test_a_refetch_by_a_person_is_sent_and_journaled(upstream, shut):
    result = checking.refetch(Kind.PORTFOLIO_ORDER, shut, actor="mira")

    assert result.verdict is Verdict.FAILED
    assert len(upstream.asked()) == 1
    assert JournalEntry.objects.filter(actor="mira").count() == 1
