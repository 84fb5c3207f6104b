"""A rebuild in many small parts, beside drains, in several processes, cut short and begun anew."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from orders import journal, projection, rebuild, refold
from orders.facts import Reading
from orders.fold import Listing, essential
from orders.lifecycle import Kind
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows, new
from orders.tracked import Source
from tests.processes import ROOT, wait_until
from tests.stories import START, at, event, execution, named, order, portfolio_order
from tests.test_concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOW = START + timedelta(minutes=5)
MODELS = (PortfolioOrder, Order, Execution)
only_postgresql = pytest.mark.skipif(
    not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"),
    reason="SQLite has one writer at a time, and a rebuild one process",
)
PARENTS, CHILDREN, TRADES = "PQRSTU", [f"{p}{n}" for p in "PQRSTU" for n in "12"], "VWXYZ"
STATUSES = ["NEW", "PROCESSING", "FILLED", "CANCELLED", "SETTLED", "ODD"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(rebuild, "PART", 3)
    monkeypatch.setattr(projection, "PATIENCE", 0.0)


class Teller:
    """Tells events about few objects that contradict each other in whatever can be contradicted."""

    def __init__(self, seed):
        self.random, self._count = random.Random(seed), 0

    def events(self, count):
        """Return so many events."""
        return [self._event() for _ in range(count)]

    def _event(self):
        pick, self._count = self.random.choice, self._count + 1
        status, seconds = pick(STATUSES), self.random.randrange(40)
        name = f"{self.random.random()}"
        match pick(["PORTFOLIO_ORDER", "ORDER", "ORDER", "EXECUTION"]):
            case "PORTFOLIO_ORDER":
                listed = [(it, pick(STATUSES)) for it in self.random.sample(CHILDREN, 3)]
                more = {} if pick([True, False]) else {"currency": pick(["USD", "", "GBP"])}
                upstream = portfolio_order(status, seconds, listed, name=pick(PARENTS), **more)
                return event(f"PORTFOLIO_ORDER.{status}", upstream, name=name)
            case "ORDER":
                trades = [(it, "FILLED") for it in self.random.sample(TRADES, pick([0, 0, 1, 2]))]
                parent = pick([*PARENTS, None])
                more = {"fee": pick(["1.00", "?", ""]), "quantity": pick(["2.5000", "0"])}
                upstream = order(pick(CHILDREN), status, seconds, parent, trades, **more)
                return event(f"ORDER.{status}", upstream, name=name)
            case _:
                status = pick(["FILLED", "SETTLED", "CANCELLED"])
                upstream = execution(pick(TRADES), status, pick(CHILDREN), updated_at=at(seconds))
                return event(f"EXECUTION.{status}", upstream, name=name)

    def spoil(self):
        """Change, lose and invent rows."""
        pick = self.random.choice
        for model in MODELS:
            for pk in model.objects.values_list("pk", flat=True):
                row: Any = model.objects.filter(pk=pk)
                change = pick(["status", "fact", "lose", "parent", "time", *["keep"] * 5])
                if change == "lose":
                    row.delete()
                elif change in {"status", "fact"}:
                    row.update(**{change: pick(["", "FILLED", "CANCELLED"])})
                elif change == "parent" and model is Order:
                    row.update(portfolio_order_id=named(pick(PARENTS)), listed_in=None)
                elif change == "time" and model is not Execution:
                    row.update(filled_at=pick([None, NOW]), is_fill_derived=pick([True, False]))
        PortfolioOrder.objects.create(pk=named(f"nobody's {self._count}"), status="FILLED")
        Order.objects.create(pk=named(f"nobody's {self._count}"), portfolio_order_id=named("P"))


def tell(*events):
    journal.record_events(events, delivery_id=1, now=NOW)


def receive(*events):
    tell(*events)
    projection.drain(now=NOW)


def mend(**options):
    return [str(it) for it in rebuild.rebuild(now=NOW, **options)]


def found(**options):
    return [str(it) for it in rebuild.compare(**options)]


@contextmanager
def meanwhile(work):
    """Have ``work`` done again and again in a thread, with a connection of its own."""
    over, failures = threading.Event(), []

    def run():
        try:
            while not over.is_set():
                work()
        except Exception as error:  # noqa: BLE001 -- raised below
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.parametrize("seed", range(6))
def test_whatever_was_told_and_spoilt_a_rebuild_in_small_parts_leaves_no_difference(seed):
    teller = Teller(seed)
    receive(*teller.events(60))
    assert found() == []
    teller.spoil()

    differing = set(found())

    assert differing
    assert differing <= set(mend())
    assert found() == []
    assert mend() == []


@only_postgresql
@pytest.mark.parametrize("seed", range(4))
def test_what_drains_apply_beside_a_rebuild_is_neither_lost_nor_overtaken(seed):
    teller = Teller(100 + seed)
    receive(*teller.events(60))
    tell(*teller.events(10))  # wait when it begins
    teller.spoil()
    lock = threading.Lock()

    def deliver():
        with lock:
            events = teller.events(3)
        receive(*events)

    with meanwhile(deliver):
        for _ in range(3):
            mend()
            teller.spoil()
        mend()

    projection.drain(now=NOW)
    assert not JournalEntry.objects.filter(outcome=Outcome.PENDING).exists()
    assert found() == []


@pytest.mark.parametrize("waits", [True, False])
def test_a_list_that_is_applied_after_the_lists_were_read_counts(monkeypatch, waits):
    """The row that is held hides what the list says, so the drain has nothing to change in it."""
    monkeypatch.setattr(
        rebuild, "PART", 100
    )  # all portfolio orders are one part, all orders another
    receive(event("ORDER.NEW", order("A", parent=None)))
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="Q")))
    listed = portfolio_order("PROCESSING", 9, [("A", "PROCESSING")], name="Q")
    late = event("PORTFOLIO_ORDER.PROCESSING", listed)
    tell(*[late] if waits else [])
    Order.objects.update(status="FILLED", listed_in=named("Q"), portfolio_order_id=named("Q"))

    def watch(progress):
        if progress.step == "portfolio orders":
            receive(*[] if waits else [late])

    mend(watch=watch)

    assert found() == []
    assert Order.objects.get().status == "PROCESSING"


def test_what_is_quarantined_when_a_rebuild_begins_and_applied_meanwhile_counts(monkeypatch):
    receive(event("ORDER.NEW", order("A", parent=None)))
    fold = Rows.fold
    monkeypatch.setattr(Rows, "fold", lambda *_: 1 / 0)
    listed = portfolio_order("PROCESSING", 9, [("A", "PROCESSING")], name="Q")
    receive(event("PORTFOLIO_ORDER.PROCESSING", listed))
    monkeypatch.setattr(Rows, "fold", fold)
    quarantined = list(JournalEntry.objects.filter(outcome=Outcome.QUARANTINED))
    assert quarantined
    Order.objects.update(status="FILLED", listed_in=named("Q"), portfolio_order_id=named("Q"))

    def watch(progress):
        if journal.replay([it.pk for it in quarantined]):
            projection.drain(now=NOW)

    mend(watch=watch)

    assert found() == []
    assert Order.objects.get().status == "PROCESSING"


@only_postgresql  # which says which rows were written
def test_only_rows_that_differ_are_written():
    receive(*Teller(1).events(60))
    pk = Order.objects.earliest("pk").pk
    Order.objects.filter(pk=pk).update(currency="XXX")

    def versions():
        with connection.cursor() as cursor:
            rows: dict[UUID, str] = {}
            for model in MODELS:
                cursor.execute(f"SELECT id, xmin::text FROM {model._meta.db_table}")
                rows |= dict(cursor.fetchall())
            return rows

    before = versions()
    assert len(mend()) == 1
    changed = {it for it, version in versions().items() if before[it] != version}
    assert changed == {pk}


@pytest.mark.parametrize("check", [True, False])
def test_a_part_takes_the_same_number_of_statements_however_many_rows_it_has(monkeypatch, check):
    monkeypatch.setattr(rebuild, "PART", 10_000)
    monkeypatch.setattr(refold, "AT_ONCE", 10_000)

    def statements():
        PortfolioOrder.objects.update(currency="?")
        Order.objects.update(fee="9")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert found() if check else mend()
        return len([it for it in queries if "SAVEPOINT" not in it["sql"]])

    receive(*Teller(2).events(20))
    few = statements()
    receive(*Teller(3).events(150))

    assert statements() <= few + (0 if connection.vendor == "postgresql" else 100)


def test_one_that_was_cut_short_leaves_whole_parts_and_the_next_does_the_rest():
    teller = Teller(5)
    receive(*teller.events(80))
    for model in MODELS:
        model.objects.all().delete()

    def stop(progress):
        if progress.parts == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mend(watch=stop)
    assert PortfolioOrder.objects.exists()
    assert found()
    receive(*teller.events(10))

    mend()
    assert found() == []


@only_postgresql
def test_a_rebuild_whose_process_is_killed_leaves_no_process_and_no_lock_behind():
    teller = Teller(6)
    receive(*teller.events(80))
    Order.objects.all().delete()
    program = (
        "import django, os, signal; django.setup()\n"
        "from django.db import connections\n"
        f"connections.settings['default']['NAME'] = {connection.settings_dict['NAME']!r}\n"
        "from django.utils import timezone\n"
        "from orders import rebuild\n"
        "rebuild.PART = 3\n"
        "def watch(progress):\n"
        "    if progress.step == 'orders': os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    list(rebuild.rebuild(now=timezone.now(), processes=2, watch=watch))\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "backoffice.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=60, check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr

    def others():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return cursor.fetchone()[0]

    wait_until(lambda: not others(), seconds=30)
    receive(*teller.events(10))
    mend()
    assert found() == []


@only_postgresql
def test_several_processes_find_and_correct_what_one_does():
    teller = Teller(7)
    receive(*teller.events(120))
    teller.spoil()
    one = found()

    assert one
    assert sorted(found(processes=2)) == sorted(one)
    assert set(one) <= set(mend(processes=2))
    assert found(processes=2) == []


@only_postgresql
def test_a_check_beside_heavy_writes_sees_one_state_in_all_its_processes():
    teller = Teller(8)
    receive(*teller.events(60))
    lock, receipts = threading.Lock(), []

    def deliver():
        with lock:
            events = teller.events(4)
        receive(*events)
        receipts.append(1)

    with meanwhile(deliver):
        assert found(processes=2) == []
        assert found() == []
    assert len(receipts) > 5


@only_postgresql
def test_a_check_waits_for_no_lock_and_holds_none_that_others_wait_for():
    receive(*Teller(9).events(60))
    modes: set[str] = set()

    def look(_):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT mode FROM pg_locks WHERE relation::regclass::text LIKE 'orders_%'"
                " AND pid = pg_backend_pid()"
            )
            modes.update(row[0] for row in cursor.fetchall())

    def hold():
        tables = ", ".join(model._meta.db_table for model in (*MODELS, JournalEntry))
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
            locked.set()
            let_go.wait(30)
            cursor.execute("ROLLBACK")
        connections.close_all()

    locked, let_go = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(10)
        assert found(watch=look) == []
    finally:
        let_go.set()
        thread.join()
    assert modes == {"AccessShareLock"}


@only_postgresql
def test_two_rebuilds_at_once_end_right():
    teller = Teller(10)
    receive(*teller.events(80))
    for _ in range(3):
        teller.spoil()
        Execution.objects.all().delete()
        at_once(lambda _: mend(), range(2))
        assert found() == []


@only_postgresql
def test_a_drain_goes_on_with_all_others_while_rows_of_a_part_are_written(monkeypatch):
    receive(*[event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)) for name in PARENTS])
    PortfolioOrder.objects.filter(pk=named("P")).update(currency="?")
    fold, seen = refold.fold, []

    def slow(part, *rest):
        if part.ids:  # the rows are locked now
            later = [
                event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 9, name=it))
                for it in "PQ"
            ]
            at_once(lambda _: receive(*later), [None])
            seen.append(dict(PortfolioOrder.objects.values_list("pk", "status")))
        return fold(part, *rest)

    monkeypatch.setattr(refold, "fold", slow)
    assert len(mend()) == 1

    [statuses] = seen
    assert statuses[UUID(named("Q"))] == "FILLED"
    assert statuses[UUID(named("P"))] == "NEW"
    projection.drain(now=NOW)
    assert PortfolioOrder.objects.get(pk=named("P")).status == "FILLED"
    assert found() == []


def test_a_portfolio_order_with_more_entries_than_a_part_has_is_read_in_portions(monkeypatch):
    monkeypatch.setattr(refold, "AT_ONCE", 7)
    for seconds in range(40):
        listed = [(f"{n}", "NEW") for n in range(5)]
        receive(event("PORTFOLIO_ORDER.NEW", portfolio_order("NEW", seconds, listed)))
    progress = []
    Order.objects.all().delete()

    mend(watch=lambda it: progress.append(it.entries))

    assert found() == []
    assert max(progress) == 40
    assert Order.objects.count() == 5


def test_the_command_says_how_much_it_read_and_what_differs_by_kind(capsys):
    receive(*Teller(11).events(40))
    Order.objects.update(fee="9")

    with pytest.raises(CommandError, match="rebuild"):
        call_command("rebuild", "--check", "--processes=1")

    said = capsys.readouterr().out
    assert "entries in " in said
    assert " with 1 process, " in said
    assert f"  order: fee: {Order.objects.count()}" in said


@pytest.mark.parametrize("number", ["0", "-1", "many", "65"])
def test_a_number_of_processes_that_makes_no_sense_is_refused(number):
    with pytest.raises(CommandError, match="not a number from 1 to 64"):
        call_command("rebuild", "--check", f"--processes={number}")


LINES = st.builds(
    Listing,
    st.just(UUID(named("A"))),
    st.sampled_from([UUID(named("P")), UUID(named("Q"))]),
    st.sampled_from(["", *STATUSES, "STRANGE"]),
    st.sampled_from(["BUY", "SELL", ""]),
    st.sampled_from(["1 a", "2 b", "3 c"]),
)


def folded(listings, readings):
    rows = Rows()
    rows.orders[UUID(named("A"))] = row = new(Order, UUID(named("A")))
    for reading in readings:
        rows.fold(reading)
    for listing in listings:
        rows.tell(Reading(listings=(listing,)))
    rows.settle(row)
    return {
        name: getattr(row, name)
        for name in (*refold.STATE[Kind.ORDER], "listed_in", "attribute_facts")
    }


def said(seed, *, wants=None):
    """Yield what some events say of one order."""
    for told in Teller(seed).events(30):
        if told["type"].startswith("ORDER.") and told["object"]["id"] in {named("P1"), named("P2")}:
            upstream = told["object"] | {"id": named("A"), "executions": []}
            yield told | {"object": upstream}


@given(st.lists(LINES, max_size=8), st.permutations(range(3)), st.integers(0, 50))
def test_the_lines_that_are_kept_say_all_that_the_lines_of_lists_do(lines, _, seed):
    assert folded(essential(lines), []) == folded(lines, [])
    assert len(essential(lines)) <= len(lines)


@given(st.integers(0, 200), st.randoms(use_true_random=False))
def test_an_attribute_that_is_not_read_would_have_changed_nothing(seed, shuffler):
    def entry(told):
        fields = journal._entry_of_event(told, journal.Received(1, NOW, []))
        fields.source = Source.WEBHOOK
        return fields

    events = list(said(seed))
    shuffler.shuffle(events)
    states = []
    for is_spare in (True, False):
        rows = Rows()
        rows.orders[UUID(named("A"))] = row = new(Order, UUID(named("A")))
        for told in events:
            rows.fold(projection.read(entry(told), wants=rows.wants if is_spare else None))
        states.append([getattr(row, name) for name in refold.STATE[Kind.ORDER]])
    assert states[0] == states[1]
