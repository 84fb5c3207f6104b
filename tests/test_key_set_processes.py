"""The key set in several web processes, real ones: who fetches it, and who waits for that."""

import threading
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests import redis_servers
from tests.door import Door
from webhooks.key_set import BURST

pytestmark = redis_servers.needs_redis_server


@pytest.fixture
def redis_url(tmp_path):
    with redis_servers.running(tmp_path) as redis:
        yield redis.url


@pytest.fixture
def door(tmp_path, redis_url):
    with Door(tmp_path, workers=3, threads=4, redis_url=redis_url) as door:
        yield door


def at_once(door, number):
    """Return the statuses of so many deliveries at the same time, and the longest wait."""
    found, start = [], threading.Barrier(number)

    def deliver():
        start.wait()
        found.append(door.deliver())

    threads = [threading.Thread(target=deliver) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(status for status, _ in found), max(seconds for _, seconds in found)


def test_the_first_deliveries_of_several_processes_wait_for_one_fetch_and_are_all_taken(door):
    door.sandbox.seconds = 1.0

    statuses, seconds = at_once(door, 12)

    assert statuses == {200: 12}
    assert seconds < 5
    assert door.sandbox.fetches == 1


def test_the_first_delivery_under_a_new_key_is_taken_at_once_although_the_set_is_seconds_old(door):
    assert at_once(door, 12)[0] == {200: 12}
    for _ in range(BURST - 1):
        door.sandbox.keys.rotate(datetime.now(UTC))
        for _ in range(12):
            assert door.deliver()[0] == 200

    assert door.sandbox.fetches == BURST
