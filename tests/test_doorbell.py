import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from queue import Empty

import pytest
from celery import shared_task

from backoffice import doorbell
from backoffice.celery import app
from tests.processes import wait_until


@shared_task(name="tests.doorbell")
def bell(number=0):
    """Never run here: nobody listens."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A breaker on a clock of its own, and no connection from before or left behind."""
    now = [0.0]
    monkeypatch.setattr(doorbell, "breaker", doorbell.Breaker(clock=lambda: now[0]))
    doorbell._hang_up()
    yield now
    doorbell._hang_up()


@pytest.fixture
def queue():
    """Return a way to take the oldest task from the broker."""
    with app.connection_for_read() as connection, connection.SimpleQueue("order-desk") as tasks:
        tasks.clear()
        yield lambda timeout=2: tasks.get(timeout=timeout)
        tasks.clear()


@pytest.fixture
def broker_at(monkeypatch):
    """Return a way to move the broker to a port."""
    connect = app.connection_for_write

    def move(port):
        url = f"redis://127.0.0.1:{port}/0"
        monkeypatch.setattr(app, "connection_for_write", lambda **kw: connect(url, **kw))

    return move


@pytest.fixture
def frozen(broker_at):
    """A broker that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker_at(server.getsockname()[1])
        server.setblocking(False)
        yield server


@pytest.fixture
def dead(broker_at):
    """A broker that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    broker_at(port)


def was_called(broker):
    """Whether somebody connected since the last question."""
    try:
        broker.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_a_ring_leaves_a_task_with_its_ids_at_the_broker(queue):
    assert doorbell.ring(bell, 7)

    message = queue()
    assert message.headers["task"] == "tests.doorbell"
    assert message.payload[0] == [7]


def rings(queue):
    """Return how many messages wait."""
    found = 0
    with contextlib.suppress(Empty):
        while queue(0.2):
            found += 1
    return found


def test_a_burst_of_rings_is_one_message(queue):
    doorbell.answer(bell)

    assert all(doorbell.ring_once(bell) for _ in range(50))

    assert rings(queue) == 1


def test_a_ring_after_the_worker_began_is_a_new_message(queue):
    doorbell.answer(bell)
    doorbell.ring_once(bell)
    doorbell.answer(bell)

    doorbell.ring_once(bell)

    assert rings(queue) == 2


def test_a_ring_that_nobody_answers_is_repeated_after_a_while(queue, monkeypatch):
    doorbell.answer(bell)
    monkeypatch.setattr(doorbell, "LONGEST_RUNG", 0.05)
    doorbell.ring_once(bell)
    time.sleep(0.1)

    doorbell.ring_once(bell)

    assert rings(queue) == 2


def test_a_broker_that_does_not_answer_is_asked_once_by_a_burst(frozen):
    assert not doorbell.ring_once(bell)
    assert was_called(frozen)

    assert not doorbell.ring_once(bell)

    assert not was_called(frozen)


def test_a_ring_that_reached_nobody_is_no_ring(queue, monkeypatch):
    doorbell.answer(bell)
    with monkeypatch.context() as patch:
        patch.setattr(doorbell, "ring", lambda _: False)
        assert not doorbell.ring_once(bell)

    assert doorbell.ring_once(bell)

    assert rings(queue) == 1


def test_a_thread_rings_for_a_whole_burst_and_for_what_comes_later(queue):
    ringer = doorbell.Ringer()
    doorbell.answer(bell)

    for _ in range(100):
        ringer.ring(bell)
    queue()
    with pytest.raises(Empty):
        queue(timeout=0.2)
    doorbell.answer(bell)  # a worker began
    ringer.ring(bell)

    assert queue().headers["task"] == "tests.doorbell"


def test_a_thread_that_rings_in_vain_holds_up_nobody_and_announces_it(frozen, monkeypatch):
    announced: list[object] = []
    monkeypatch.setattr(doorbell, "_announce", announced.append)  # over the database
    ringer = doorbell.Ringer()

    began = time.monotonic()
    ringer.ring(bell)

    assert time.monotonic() - began < doorbell.TIMEOUT
    wait_until(lambda: announced, seconds=5)
    assert doorbell.breaker.is_open()


def test_a_thread_that_could_not_start_is_tried_again(queue, monkeypatch):
    ringer = doorbell.Ringer()
    doorbell.answer(bell)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        ringer.ring(bell)

    ringer.ring(bell)

    assert queue().headers["task"] == "tests.doorbell"


def _no_thread(thread):
    raise RuntimeError("can't start new thread")


FORK = """
import os, django
django.setup()
from backoffice import doorbell
parent = doorbell.ringer
child = os.fork()
if not child:
    os._exit(doorbell.ringer is parent)
raise SystemExit(os.waitpid(child, 0)[1])
"""


def test_a_process_that_was_forked_has_a_ringer_of_its_own():
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "backoffice.settings"}

    assert (
        subprocess.run([sys.executable, "-c", FORK], env=environment, check=False).returncode == 0
    )


def test_a_frozen_broker_ends_the_ring_and_raises_nothing(frozen):
    assert not doorbell.ring(bell, 7)


def test_a_dead_broker_ends_the_ring_and_raises_nothing(dead):
    assert not doorbell.ring(bell, 7)


def test_after_a_failure_the_broker_is_left_alone(frozen):
    doorbell.ring(bell, 7)
    assert was_called(frozen)

    doorbell.ring(bell, 8)

    assert not was_called(frozen)


def test_after_the_pause_the_broker_is_tried_again(fresh, frozen):
    doorbell.ring(bell, 7)
    assert was_called(frozen)
    fresh[0] = doorbell.PAUSE

    doorbell.ring(bell, 8)

    assert was_called(frozen)


def test_a_broker_that_is_back_is_rung_again(fresh, dead, monkeypatch, queue):
    assert not doorbell.ring(bell, 7)
    monkeypatch.undo()
    doorbell.breaker.reset()

    assert doorbell.ring(bell, 8)
    assert queue().payload[0] == [8]


def test_a_failure_is_logged_once_for_each_pause(dead, caplog):
    with caplog.at_level(logging.WARNING, "backoffice.doorbell"):
        for number in range(3):
            doorbell.ring(bell, number)

    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_of_several_threads_that_fail_together_one_reports_it():
    breaker = doorbell.Breaker(clock=lambda: 0.0)

    assert [breaker.trip(), breaker.trip()] == [True, False]
