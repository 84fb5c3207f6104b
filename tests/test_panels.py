"""One of many openings reads a panel: the others show the last, or wait for it."""

import threading
import time

import pytest
from django.core.cache import cache

from backoffice import panels


@pytest.fixture(autouse=True)
def remembered(clocked_cache):
    panels.breaker.reset()


class Reading:
    """Reads slowly, and counts how often."""

    def __init__(self, seconds=0.3):
        self.seconds, self.times = seconds, 0

    def __call__(self):
        self.times += 1
        time.sleep(self.seconds)
        return {"number": self.times}


def opened(count, read):
    """Return what so many openings at once show."""
    shown = []
    threads = [
        threading.Thread(target=lambda: shown.append(panels.recent("x", read)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return shown


def test_of_many_openings_at_once_one_reads_and_the_others_wait_for_it():
    read = Reading()

    assert opened(30, read) == [{"number": 1}] * 30
    assert read.times == 1


def test_while_one_reads_anew_the_others_show_the_last(monkeypatch):
    panels.remember("x/last", {"number": 0}, panels.LAST)
    monkeypatch.setattr(panels, "PATIENCE", 0)
    read = Reading()

    shown = opened(10, read)

    assert read.times == 1
    assert sorted(it["number"] for it in shown) == [0] * 9 + [1]


def test_whoever_waits_too_long_reads_itself(monkeypatch):
    monkeypatch.setattr(panels, "PATIENCE", 0.1)
    cache.add(panels._reading("x"), "another", panels.LEASE)
    read = Reading(0)

    assert panels.recent("x", read) == {"number": 1}


def test_what_is_forgotten_while_it_is_read_is_read_anew():
    def read():
        panels.forget("x")
        return 1

    assert panels.recent("x", read) == 1
    assert panels.recent("x", lambda: 2) == 2


def test_a_reading_that_fails_leaves_it_to_the_next():
    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        panels.recent("x", fail)

    assert panels.recent("x", lambda: 2) == 2


def test_without_a_cache_the_openings_of_a_process_share_a_reading(monkeypatch):
    monkeypatch.setattr(panels, "_with_cache", lambda use: None)
    read = Reading()

    assert len(opened(30, read)) == 30
    assert read.times <= 2  # whoever came while one was read takes the next
    assert panels.recent("x", read)["number"] == read.times  # and nothing is remembered
