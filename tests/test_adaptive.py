"""The share of background work: halved by throttling, given back by additions; in Redis the same as here."""

import os
import uuid
from collections import Counter
from datetime import timedelta

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from backoffice.investment_api import scripts
from backoffice.investment_api.adaptive import EVERY, REST, Share
from backoffice.investment_api.auth import Credentials
from backoffice.investment_api.budget import Budget, Urgency
from backoffice.investment_api.client import InvestmentAPI
from backoffice.investment_api.errors import UnavailableError
from tests.budgets import HOUR, Clock, needs_redis, taken
from tests.upstream import running


def test_while_nothing_is_throttled_the_share_is_whole():
    assert Share.whole(8).at(0) == 8


def test_a_429_halves_the_share_after_a_rest():
    share = Share.whole(8).throttled(100, 0)

    assert share.at(100) == share.at(100 + REST - 0.1) == 0
    assert share.at(100 + REST) == 4


def test_the_429s_of_one_burst_halve_it_once():
    share = Share.whole(8)
    for moment in (100, 100, 101, 100 + REST - 0.1):
        share = share.throttled(moment, 0)

    assert share.at(100 + REST) == 4


def test_the_next_burst_halves_it_again_but_never_to_nothing():
    share, now, sizes = Share.whole(8), 100.0, []
    for _ in range(5):
        share = share.throttled(now, 0)
        now += REST
        sizes.append(share.at(now))

    assert sizes == [4, 2, 1, 1, 1]


def test_it_comes_back_by_one_at_a_time_while_nobody_is_throttled():
    share = Share.whole(8).throttled(0, 0)

    assert [share.at(REST + n * EVERY) for n in range(6)] == [4, 5, 6, 7, 8, 8]


def test_a_large_share_comes_back_within_five_minutes():
    share = Share(10_000, 1, 0.0)

    assert share.at(60 * EVERY) == 10_000


def test_when_upstream_says_how_long_background_work_rests_so_long_also_within_a_burst():
    share = Share.whole(8).throttled(0, 90)
    assert (share.at(89), share.at(90)) == (0, 4)

    share = share.throttled(10, 200)
    assert (share.at(209), share.at(210)) == (0, 4)


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 400), st.floats(0, 100))))
def test_outside_a_rest_it_is_never_less_than_one_nor_more_than_whole(full, steps):
    share, now = Share.whole(full), 0.0
    for passed, wait in steps:
        now += passed
        before, was_resting = share.at(now), now < share.since
        share = share.throttled(now, wait)
        assert share.at(now) == 0
        assert 1 <= share.at(share.since) <= full
        assert was_resting or share.at(share.since) == max(1, before // 2)


# The budget that goes by it


@pytest.fixture
def clock():
    return Clock()


def test_people_go_first_then_what_they_submitted_then_background_work(clock):
    budget = Budget(10, window=HOUR, clock=clock, sleep=clock.sleep)

    assert [taken(budget, urgency) for urgency in reversed(Urgency)] == [8, 1, 1]


def test_throttling_stops_background_work_for_a_while_and_nobody_else(clock):
    budget = Budget(10, window=HOUR, clock=clock, sleep=clock.sleep)
    budget.throttled(None)

    with pytest.raises(UnavailableError, match="rate limited by upstream") as caught:
        budget.take(Urgency.BACKGROUND, timeout=HOUR)

    assert caught.value.retry_after == timedelta(seconds=REST)
    assert budget.paused_until() is not None
    assert budget.paused_until(Urgency.SUBMISSION) is None
    assert taken(budget, Urgency.SUBMISSION) == 9
    assert taken(budget, Urgency.PERSON) == 1


def test_background_work_then_has_half_and_the_rest_is_left_to_others(clock):
    budget = Budget(10, window=HOUR, clock=clock, sleep=clock.sleep)
    budget.throttled(None)
    clock.sleep(REST)

    assert budget.paused_until() is None
    assert budget.outlook().background == 4
    assert taken(budget, Urgency.BACKGROUND) == 4
    assert taken(budget, Urgency.PERSON) == 6


# Before an upstream that takes less than we thought


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def ask(client, urgency=Urgency.BACKGROUND):
    """Return "ok", "429", or "kept back"."""
    try:
        client.verify_keys(urgency=urgency)
    except UnavailableError as error:
        return "429" if error.status == 429 else "kept back"
    return "ok"


def work(client, clock, seconds):
    """Ask in the background as fast as the budget lets through; return what came of it."""
    began, came = clock(), Counter[str]()
    while clock() < began + seconds:
        came[said := ask(client)] += 1
        clock.sleep(1 if said == "kept back" else 0.01)
    return came


@pytest.fixture
def client(upstream, clock):
    upstream.limit.clock = clock
    budget = Budget(10, window=timedelta(seconds=1), clock=clock, sleep=clock.sleep)
    client = InvestmentAPI(Credentials.from_settings(), budget)
    ask(client)
    clock.sleep(1)
    return client


def test_background_work_gives_way_to_the_limit_of_upstream_and_comes_back(upstream, client, clock):
    before = work(client, clock, 10)
    assert before.keys() == {"ok"}

    upstream.limit.set(5)
    came = work(client, clock, 300)
    # At a fixed pace of 8 a second, 3 of 8 calls are refused.
    assert came["429"] < 0.02 * came["ok"]
    assert came["ok"] > 0.5 * 5 * 300

    upstream.limit.set(0)
    work(client, clock, 60)
    assert client.budget.outlook().background == 8
    assert work(client, clock, 10)["ok"] == pytest.approx(before["ok"], abs=2)


def test_people_go_on_while_background_work_gives_way(upstream, client, clock):
    upstream.limit.set(5)
    said = Counter[str]()
    for _ in range(60):
        work(client, clock, 3)
        clock.sleep(0.2)
        said[ask(client, Urgency.PERSON)] += 1

    assert said["kept back"] == 0
    assert said["ok"] >= 55


def test_when_upstream_says_how_long_all_but_people_wait(upstream, client, clock):
    upstream.limit.set(5, retry_after="30")
    work(client, clock, 2)

    with pytest.raises(UnavailableError, match="not sent, rate limited by upstream") as caught:
        client.verify_keys(urgency=Urgency.SUBMISSION)

    assert not caught.value.was_sent
    clock.sleep(1)
    assert ask(client, Urgency.PERSON) == "ok"
    clock.sleep(30)
    assert ask(client, Urgency.SUBMISSION) == "ok"


# The same in Redis, for all processes


@pytest.fixture
def shared(clock):
    name, url = uuid.uuid4().hex, os.environ.get("TEST_REDIS_URL", "")

    class Shared:
        key = f"investment-api:{name}:share"
        redis = redis.Redis.from_url(url)

        def __call__(self):
            return Budget(10, redis_url=url, name=name, window=HOUR, clock=clock, sleep=clock.sleep)

    shared = Shared()
    yield shared
    for key in shared.redis.scan_iter(f"investment-api:{name}:*"):
        shared.redis.delete(key)
    shared.redis.close()


def shift(shared, seconds):
    """Let time pass in Redis."""
    since = int(shared.redis.hget(shared.key, "since"))
    shared.redis.hset(shared.key, "since", since - round(seconds * 1e6))


@needs_redis
def test_what_one_process_was_throttled_for_every_process_gives_way(shared):
    ours, theirs = shared(), shared()
    ours.throttled(None)

    assert taken(theirs, Urgency.BACKGROUND) == 0
    assert theirs.paused_until() is not None
    assert taken(theirs, Urgency.PERSON) == 10


@needs_redis
def test_after_the_rest_all_processes_together_have_half(shared):
    shared().throttled(None)
    shift(shared, REST)

    assert taken(shared(), Urgency.BACKGROUND) == 4
    assert taken(shared(), Urgency.BACKGROUND) == 0
    assert shared().outlook().background == 4


@needs_redis
def test_bursts_of_two_processes_are_one(shared):
    for budget in (shared(), shared()):
        budget.throttled(None)

    assert shared.redis.hget(shared.key, "size") == b"4"


@needs_redis
@pytest.mark.parametrize("full", [1, 8, 240])
@pytest.mark.parametrize("size", [1, 3, 200])
@pytest.mark.parametrize("age", [-3.0, -0.5, 0.5, 4.0, 6.0, 60.5, 1000.0])
@pytest.mark.parametrize("wait", [0.0, 2.0, 90.0])
def test_redis_decides_as_the_pure_form_does(shared, full, size, age, wait):
    before = Share(full, min(size, full), -age)
    seconds, microseconds = shared.redis.time()
    now = seconds * 10**6 + microseconds
    shared.redis.hset(shared.key, mapping={"size": before.size, "since": now - round(age * 1e6)})
    moments = [round(it * 1e6) for it in (wait, REST, EVERY)]
    shared.redis.eval(scripts.THROTTLE, 1, shared.key, full, *moments, before.addition)

    after = before.throttled(0.0, wait)
    held = shared.redis.hgetall(shared.key)
    assert int(held[b"size"]) == after.size
    assert (int(held[b"since"]) - now) / 1e6 == pytest.approx(after.since, abs=0.4)
    assert shared.redis.pttl(shared.key) > 0


@needs_redis
def test_when_all_is_given_back_redis_holds_nothing(shared):
    shared().throttled(None)

    assert shared.redis.pttl(shared.key) / 1e3 == pytest.approx(REST + 4 * EVERY, abs=1)
