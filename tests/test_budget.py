"""The budget of requests per second: in one process, over several, and with Redis away."""

import os
import shutil
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import redis
import time_machine

from backoffice.investment_api.budget import Budget, Urgency
from backoffice.investment_api.errors import UnavailableError
from backoffice.investment_api.shared_log import REST
from backoffice.investment_api.waits import LONGEST_WAIT
from tests.budgets import HOUR, NOT_AT_ALL, Clock, needs_redis, taken

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PERSON, BACKGROUND = Urgency.PERSON, Urgency.BACKGROUND

needs_redis_server = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="needs the program redis-server"
)


@pytest.fixture
def clock():
    return Clock()


def own_budget(clock, limit=5):
    return Budget(limit, window=SECOND, clock=clock, sleep=clock.sleep)


# One process


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
def test_no_window_ever_holds_more_than_the_limit(clock, limit):
    budget = own_budget(clock, limit)
    moments = []
    for number in range(4 * limit):
        budget.take(PERSON, timeout=HOUR)
        moments.append(clock())
        clock.sleep(0.07 * (number % 3))

    for first, beyond in zip(moments, moments[limit:], strict=False):
        assert beyond - first >= SECOND.total_seconds() - 1e-9


def test_the_whole_budget_can_be_used(clock):
    budget = own_budget(clock, 5)
    for _ in range(51):
        budget.take(PERSON, timeout=HOUR)

    assert clock() == pytest.approx(1010)


def test_background_work_leaves_a_fifth_to_people(clock):
    budget = own_budget(clock, 10)

    assert taken(budget, BACKGROUND) == 8
    assert taken(budget, PERSON) == 2


def test_a_budget_of_one_still_lets_background_work_through(clock):
    assert taken(own_budget(clock, 1), BACKGROUND) == 1


def test_who_cannot_be_served_in_time_is_told_how_long_it_would_take(clock):
    budget = own_budget(clock, 1)
    budget.take(PERSON, timeout=NOT_AT_ALL)

    with pytest.raises(UnavailableError, match="budget of 1 requests per second") as caught:
        budget.take(PERSON, timeout=SECOND / 2)

    assert caught.value.retry_after == SECOND
    assert clock() == 1000.0


def test_threads_share_the_budget_of_their_process(clock):
    budget = own_budget(clock, 20)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: taken(budget, PERSON), range(8))) == 20


@time_machine.travel(NOW, tick=False)
def test_while_paused_only_people_are_let_through_and_the_message_says_until_when(clock):
    budget = own_budget(clock)
    assert budget.paused_until() is None

    budget.pause(NOW + 90 * SECOND)

    assert budget.paused_until() == NOW + 90 * SECOND
    assert budget.paused_until(PERSON) is None
    for urgency in (Urgency.SUBMISSION, BACKGROUND):
        with pytest.raises(UnavailableError, match=r"rate limited .* until 09:01:30 UTC") as caught:
            budget.take(urgency, timeout=HOUR)
        assert caught.value.retry_after == 90 * SECOND
    assert taken(budget, PERSON) == 5
    clock.sleep(90)
    assert budget.paused_until() is None
    assert taken(budget, BACKGROUND) == 3


@time_machine.travel(NOW, tick=False)
def test_no_pause_is_longer_than_five_minutes(clock):
    budget = own_budget(clock)

    budget.pause(NOW + HOUR)

    assert budget.paused_until() == NOW + LONGEST_WAIT


@time_machine.travel(NOW, tick=False)
def test_of_several_pauses_the_longest_counts(clock):
    budget = own_budget(clock)

    budget.pause(NOW + 30 * SECOND)
    budget.pause(NOW + 10 * SECOND)
    budget.pause(NOW - 10 * SECOND)

    assert budget.paused_until() == NOW + 30 * SECOND


# Several processes with one Redis. The window is an hour, so that no test depends on its speed.


@pytest.fixture
def shared_budget(clock):
    name = uuid.uuid4().hex

    def make(limit=10, url="", name=name):
        url = url or os.environ["TEST_REDIS_URL"]
        return Budget(limit, redis_url=url, name=name, window=HOUR, clock=clock, sleep=clock.sleep)

    yield make
    if url := os.environ.get("TEST_REDIS_URL"):
        with redis.Redis.from_url(url) as connection:
            for key in connection.scan_iter(f"investment-api:{name}:*"):
                connection.delete(key)


@needs_redis
def test_processes_share_one_budget(shared_budget):
    ours, theirs = shared_budget(10), shared_budget(10)
    for budget in (ours, theirs, ours, theirs):
        budget.take(PERSON, timeout=NOT_AT_ALL)

    assert taken(ours, PERSON) + taken(theirs, PERSON) == 6


@needs_redis
def test_many_at_once_do_not_exceed_the_shared_budget(shared_budget):
    budgets = [shared_budget(20) for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda budget: taken(budget, PERSON), budgets * 2)) == 20


@needs_redis
def test_people_of_one_process_go_before_the_background_work_of_another(shared_budget):
    assert taken(shared_budget(10), BACKGROUND) == 8
    assert taken(shared_budget(10), PERSON) == 2


@needs_redis
def test_room_comes_back_when_the_window_has_passed(clock):
    name, url = uuid.uuid4().hex, os.environ["TEST_REDIS_URL"]
    window = timedelta(milliseconds=40)
    budget = Budget(2, redis_url=url, name=name, window=window)
    started = time.monotonic()

    for _ in range(5):
        budget.take(PERSON, timeout=HOUR)

    assert time.monotonic() - started >= 0.08  # two whole windows; longer on a slow machine


@needs_redis
def test_a_pause_holds_for_every_process(shared_budget):
    ours, theirs = shared_budget(), shared_budget()

    ours.pause(datetime.now(UTC) + HOUR)
    ours.pause(datetime.now(UTC) + SECOND)

    paused_until = shared_budget().paused_until()
    assert paused_until is not None
    assert LONGEST_WAIT / 2 < paused_until - datetime.now(UTC) <= LONGEST_WAIT
    assert taken(theirs, BACKGROUND) == taken(theirs, Urgency.SUBMISSION) == 0
    assert theirs.paused_until(PERSON) is None
    assert taken(theirs, PERSON) == 10


@needs_redis
def test_a_person_who_is_let_through_learns_of_the_pause_for_the_others(shared_budget):
    ours, theirs = shared_budget(), shared_budget()
    ours.pause(datetime.now(UTC) + SECOND * 60)

    theirs.take(PERSON, timeout=NOT_AT_ALL)

    assert theirs._paused_until > theirs._clock()


@needs_redis
def test_a_longer_pause_that_an_older_release_left_in_redis_counts_for_five_minutes(shared_budget):
    budget = shared_budget()
    _, pause, *_ = budget._shared_log._keys
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as connection:
        connection.set(pause, "1", px=3_600_000)

    assert budget.paused_until() - datetime.now(UTC) <= LONGEST_WAIT
    assert taken(budget, BACKGROUND) == 0
    assert taken(budget, PERSON) == 10


@needs_redis
def test_accounts_do_not_share_a_budget(shared_budget):
    assert taken(shared_budget(3), PERSON) == 3
    assert taken(shared_budget(3, name=uuid.uuid4().hex), PERSON) == 3


# Redis away


def test_without_redis_a_process_keeps_to_a_share_after_a_rest(shared_budget, clock):
    budget = shared_budget(20, url="redis://127.0.0.1:1")

    assert taken(budget, PERSON) == 0  # what others had from Redis must leave the window first
    clock.sleep(HOUR.total_seconds())
    assert taken(budget, PERSON) == 5  # four processes are assumed where Redis never told


def test_a_share_of_less_than_one_request_takes_longer_than_a_window(shared_budget, clock):
    budget = shared_budget(1, url="redis://127.0.0.1:1")
    assert taken(budget, PERSON) == 0
    clock.sleep(HOUR.total_seconds())

    assert taken(budget, PERSON) == 1
    clock.sleep(3.9 * HOUR.total_seconds())
    assert taken(budget, PERSON) == 0
    clock.sleep(0.2 * HOUR.total_seconds())
    assert taken(budget, PERSON) == 1


@time_machine.travel(NOW, tick=False)
def test_without_redis_a_pause_still_holds_in_the_process(shared_budget):
    budget = shared_budget(url="redis://127.0.0.1:1")

    budget.pause(NOW + SECOND)

    assert budget.paused_until() == NOW + SECOND


@pytest.fixture
def redis_server(tmp_path):
    """A Redis of this test's own, on a socket in a folder: stop it, and start it again."""
    path = tmp_path / "redis.sock"

    class Server:
        url = f"unix://{path}"
        process: subprocess.Popen[bytes] | None = None

        def start(self):
            command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""]
            self.process = subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert self.process.stdout
            for line in self.process.stdout:
                if b"ready to accept connections" in line.lower():
                    return
            raise AssertionError("redis-server did not start")

        def stop(self):
            if self.process:
                self.process.kill()
                self.process.communicate()
                self.process = None

    server = Server()
    server.start()
    yield server
    server.stop()


@needs_redis_server
def test_when_redis_is_lost_and_found_the_sum_stays_within_the_budget(
    shared_budget, clock, redis_server
):
    budgets = [shared_budget(10, url=redis_server.url) for _ in range(5)]
    assert sum(taken(budget, PERSON) for budget in budgets * 2) == 10

    redis_server.stop()
    assert sum(taken(budget, PERSON) for budget in budgets) == 0
    clock.sleep(HOUR.total_seconds())
    assert [taken(budget, PERSON) for budget in budgets] == [2] * 5

    redis_server.start()  # empty: it remembers nothing of what was let through
    clock.sleep(REST)
    assert sum(taken(budget, PERSON) for budget in budgets) == 0
    with redis.Redis.from_url(redis_server.url) as connection:
        (rest,) = connection.keys("*:rest")
        assert connection.pttl(rest) > HOUR.total_seconds() * 1000
        connection.delete(rest)  # as if that time had passed
    assert sum(taken(budget, PERSON) for budget in budgets) == 10


@needs_redis_server
def test_a_pause_that_redis_told_outlives_it(shared_budget, redis_server):
    ours, theirs = (shared_budget(url=redis_server.url) for _ in range(2))
    ours.pause(datetime.now(UTC) + HOUR)
    assert taken(theirs, BACKGROUND) == 0

    redis_server.stop()

    assert theirs.paused_until() is not None
