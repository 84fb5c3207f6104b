"""The weather upstream: counted by the minute, for all processes, and at no cost worth a call."""

import os
import socket
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from backoffice.investment_api.auth import Credentials
from backoffice.investment_api.breaker import FAILURES, Outage
from backoffice.investment_api.budget import Budget, Urgency
from backoffice.investment_api.client import InvestmentAPI, api
from backoffice.investment_api.errors import (
    InvestmentAPIError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from backoffice.investment_api.weather import REST, TokenLife, Weather, outcome_of
from backoffice.sandbox import Trouble
from tests.upstream import START, running

NOW = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PERSON, BACKGROUND = Urgency.PERSON, Urgency.BACKGROUND
REDIS = os.environ.get("TEST_REDIS_URL", "")
CALL = "GET /orders/1"


@pytest.fixture(params=["", "redis"])
def pair(request):
    """The weather of two processes; without Redis there is but one."""
    if not request.param:
        weather = Weather()
        return weather, weather
    if not REDIS:
        pytest.skip("needs a Redis: set TEST_REDIS_URL")
    name = uuid4().hex
    return Weather(REDIS, name), Weather(REDIS, name)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def told(weather, now=NOW):
    report = weather.report(now=now)
    assert report is not None
    return report


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "answered"),
        (UnavailableError("x", status=429), "429"),
        (UnavailableError("x", status=408), "4xx"),
        (NotFoundError("x", status=404), "4xx"),
        (RefusedError("x", status=301), "4xx"),
        (UnavailableError("x", status=502), "5xx"),
        (UnavailableError("x"), "network"),
    ],
)
def test_each_call_comes_to_one_of_five_outcomes(error, outcome):
    assert outcome_of(error) == outcome


def test_calls_are_counted_by_minute_urgency_and_outcome_with_their_times(pair, clock):
    ours, theirs = pair
    ours.note(CALL, PERSON, 0.25, None)
    theirs.note(CALL, PERSON, 0.75, None)
    theirs.note(CALL, BACKGROUND, 0.5, UnavailableError("x", status=503))
    clock.shift(MINUTE)
    ours.note(CALL, BACKGROUND, 0.1, None)

    first, second = told(theirs, NOW + MINUTE).minutes
    assert first.begins == NOW.replace(second=0)
    assert first.counts == {("person", "answered"): 2, ("background", "5xx"): 1}
    assert first.took == timedelta(seconds=1.5)
    assert first.longest == timedelta(seconds=0.75)
    assert second.begins == NOW.replace(second=0) + MINUTE
    assert told(ours, NOW + MINUTE).totals == {
        ("person", "answered"): 2, ("background", "5xx"): 1, ("background", "answered"): 1,
    }  # fmt: skip


def test_what_is_older_than_an_hour_is_not_told_but_still_in_the_totals(pair):
    pair[0].note(CALL, PERSON, 0.1, None)

    assert len(told(pair[1], NOW + 59 * MINUTE).minutes) == 1
    later = told(pair[1], NOW + 60 * MINUTE)
    assert later.minutes == ()
    assert later.totals == {("person", "answered"): 1}


def test_the_last_failure_is_kept_with_what_upstream_said(pair):
    pair[0].note(
        CALL, PERSON, 0.1, UnavailableError(f"{CALL}: 503 Down", status=503, request_id="r1")
    )
    pair[0].note(CALL, PERSON, 0.1, NotFoundError("an id that somebody mistyped", status=404))
    pair[0].note(CALL, PERSON, 0.1, None)

    failure = told(pair[1]).failure
    assert failure is not None
    assert (failure.at, failure.call, failure.status) == (NOW, CALL, 503)
    assert (failure.words, failure.request_id) == (f"{CALL}: 503 Down", "r1")


def test_an_outage_ends_with_the_next_answer_that_anybody_gets(pair):
    outage = Outage(NOW - MINUTE, NOW + MINUTE)
    pair[0].note_outage(outage)
    pair[1].note(CALL, PERSON, 0.1, UnavailableError("x"))
    assert told(pair[1]).outage == outage

    pair[1].note(CALL, PERSON, 0.1, NotFoundError("x", status=404))

    assert told(pair[0]).outage is None


def test_of_a_token_its_scope_and_its_times_are_told(pair):
    pair[0].note_token("READ", issued=NOW.timestamp(), expires=NOW.timestamp() + 1800)

    assert told(pair[1]).tokens == {"READ": TokenLife(NOW, NOW + 30 * MINUTE)}


def test_before_the_first_call_there_is_nothing_to_tell(pair):
    report = told(pair[0])

    assert (report.minutes, report.totals, report.failure, report.outage) == ((), {}, None, None)


# Redis away


@pytest.fixture
def frozen():
    """A Redis that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def connections(server):
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_frozen_redis_costs_one_call_a_moment_and_the_next_ones_nothing(frozen):
    weather = Weather(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", "x")

    for _ in range(100):
        weather.note(CALL, PERSON, 0.1, None)

    assert connections(frozen) == 1


def test_after_a_while_it_is_tried_again(frozen, monkeypatch):
    weather = Weather(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", "x")
    weather.note(CALL, PERSON, 0.1, None)
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + REST + 1)

    weather.note(CALL, PERSON, 0.1, None)

    assert connections(frozen) == 2


def test_what_cannot_be_read_is_not_known(frozen):
    assert Weather(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", "x").report(now=NOW) is None
    assert Weather("redis://127.0.0.1:1/0", "x").report(now=NOW) is None


def test_calls_go_on_without_redis(settings):
    with running(settings):
        weather = Weather("redis://127.0.0.1:1/0", "x")
        client = InvestmentAPI(Credentials.from_settings(), Budget(1000), weather=weather)

        assert client.verify_keys()


# What a client notes


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def fail(client, urgency=BACKGROUND):
    with pytest.raises(InvestmentAPIError):
        client.portfolio_order(uuid4(), urgency=urgency)


def sums(client):
    return told(client.weather, START).totals


def test_each_exchange_is_noted_the_tokens_too(upstream):
    api().verify_keys(urgency=PERSON)
    upstream.expect(Trouble("problem", 429), times=1)
    fail(api(), PERSON)
    upstream.expect(Trouble("cut"), times=1)
    fail(api(), PERSON)
    upstream.expect(Trouble("page", 502), times=1)
    fail(api(), PERSON)
    fail(api(), PERSON)

    assert sums(api()) == {
        ("person", "answered"): 2, ("person", "429"): 1, ("person", "network"): 1,
        ("person", "5xx"): 1, ("person", "4xx"): 1,
    }  # fmt: skip
    failure = told(api().weather, START).failure
    assert failure is not None
    assert failure.status == 502
    assert failure.words.startswith(failure.call)


def test_what_was_not_sent_is_no_exchange(upstream):
    api().verify_keys(urgency=PERSON)
    before = sums(api())
    api().budget.pause(START + timedelta(minutes=1))
    fail(api())

    assert sums(api()) == before


def test_an_outage_is_noted_and_forgotten(upstream):
    api().verify_keys()
    upstream.expect(Trouble("cut"), times=FAILURES)
    for _ in range(FAILURES):
        fail(api())
    outage = told(api().weather, START).outage
    assert outage is not None
    assert abs(outage.since - START) < timedelta(seconds=2)
    assert START < outage.next_try < START + timedelta(seconds=9)

    fail(api(), PERSON)

    assert told(api().weather, START).outage is None


def test_the_token_itself_is_nowhere_in_it(upstream):
    api().verify_keys()

    (life,) = told(api().weather, START).tokens.values()
    assert life.issued == START
    assert life.expires > START
    held = [tokens._held.text for tokens in api()._tokens.values() if tokens._held]
    assert held
    assert held[0] not in repr(told(api().weather, START))
