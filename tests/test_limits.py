"""How long work may wait for the database, and how many at once: by role, and shared fairly."""

import dataclasses
import threading
import time

import pytest
from django.db import DatabaseError, OperationalError, connection

from backoffice.database import limits, snapshot
from backoffice.limits import ROLES, Gate
from backoffice.probe import NoAnswerError, Probe
from orders.models import PortfolioOrder

ON_POSTGRESQL = connection.vendor == "postgresql"


def session():
    """Return the limits that the server keeps for us, and our name there."""
    names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'current_setting({n!r})' for n in names)}")
        kept = cursor.fetchone()
        cursor.execute("SELECT current_setting('application_name')")
        return *kept, cursor.fetchone()[0].rpartition(" ")[2]


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite has no sessions")
@pytest.mark.django_db(transaction=True)
def test_a_session_has_the_limits_of_the_work_in_hand_and_gets_them_back():
    connection.close()
    with limits("delivery"):
        assert session() == ("4s", "2s", "5s", "delivery")
        with limits("export"):
            assert session() == ("0", "3s", "1min", "export")
        assert session() == ("4s", "2s", "5s", "delivery")
    assert session() == ("0", "1min", "10min", "command")


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite has no sessions")
@pytest.mark.django_db(transaction=True)
def test_what_the_operator_says_in_the_address_wins_over_the_limits_of_a_role(settings):
    given = connection.settings_dict["OPTIONS"]
    connection.settings_dict["OPTIONS"] = {**given, "options": "-c statement_timeout=7s"}
    connection.close()
    try:
        with limits("page"):
            assert session() == ("7s", "3s", "30s", "page")
        with limits("task"):
            assert session() == ("7s", "10s", "1min", "task")
    finally:
        connection.settings_dict["OPTIONS"] = given
        connection.close()


@pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite has no pg_sleep")
@pytest.mark.django_db(transaction=True)
def test_work_that_is_over_its_time_is_ended_and_the_next_goes_on():
    with limits("health"), pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")

    with limits("page"), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="on SQLite a reader locks nobody out")
@pytest.mark.django_db(transaction=True)
def test_a_file_whose_reader_has_stopped_gives_its_tables_free_and_breaks_off(monkeypatch):
    monkeypatch.setitem(ROLES, "export", dataclasses.replace(ROLES["export"], idle=1))
    with pytest.raises(DatabaseError), limits("export"), snapshot():
        PortfolioOrder.objects.count()
        time.sleep(2.5)  # the reader

        other = connection.copy("other")
        try:
            with other.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'; BEGIN")
                cursor.execute("LOCK TABLE orders_portfolioorder IN ACCESS EXCLUSIVE MODE")
                cursor.execute("ROLLBACK")
        finally:
            other.close()
        PortfolioOrder.objects.count()
    assert PortfolioOrder.objects.count() == 0


def test_few_wait_long_and_then_one_more_at_a_time_may_try():
    gate = Gate(few=2, tries=1)
    assert [gate.enter() for _ in range(3)] == [True] * 3
    assert [gate.wait_longer() for _ in range(3)] == [True, True, False]
    gate.leave(is_well=False)  # the third gave up

    assert [gate.enter() for _ in range(3)] == [True, False, False]


def test_the_first_that_is_served_opens_the_gate_for_all():
    gate = Gate(few=1, tries=1)
    assert gate.enter()
    assert gate.enter()
    assert [gate.wait_longer(), gate.wait_longer()] == [True, False]
    gate.leave(is_well=False)
    assert gate.enter()

    gate.leave(is_well=True)

    assert [gate.enter() for _ in range(5)] == [True] * 5


def test_one_who_finds_the_database_hanging_tells_others_but_not_those_whom_it_answers():
    idle, busy = Gate(few=1, tries=1), Gate(few=1, tries=1)
    busy.was_answered()
    for gate in (idle, busy):
        gate.doubt()

    assert [idle.enter(), idle.enter()] == [True, False]
    assert [busy.enter(), busy.enter()] == [True, True]


def test_those_who_ask_at_once_share_one_answer():
    asked = []
    go = threading.Event()

    def ask():
        asked.append(go.wait(5))
        return "well"

    probe, answers = Probe(ask, patience=5), []
    threads = [threading.Thread(target=lambda: answers.append(probe.answer())) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # until all of them ask
    go.set()
    for thread in threads:
        thread.join(5)

    assert answers == ["well"] * 4
    assert len(asked) < 4


def test_while_a_probe_hangs_one_waits_and_the_others_are_told_at_once():
    go, answers = threading.Event(), []
    probe = Probe(lambda: go.wait(20), patience=0.1)
    first = threading.Thread(target=lambda: answers.append(probe.answer()))
    first.start()
    time.sleep(0.3)

    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="did not answer within"):
        probe.answer()
    assert time.monotonic() - began < 1
    go.set()
    first.join(10)
    assert answers == [True]
    assert probe.answer() is True
