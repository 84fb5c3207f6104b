"""A webhook event is written into the journal once, with its outcome, by the drain that reads its delivery."""

import json
import random
from datetime import timedelta
from itertools import pairwise

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backoffice.http_signatures import Message, Verified, Version
from orders import bulk, clocks, journal, projection, rebuild
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.rows import Rows
from tests.stories import START, at, event, execution, named, order, portfolio_order
from tests.test_concurrency import WORKERS, at_once, lives
from tests.test_deferral import held, life, row_of
from webhooks import inbox, reading
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

NOW = START + timedelta(minutes=5)
ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
only_postgresql = pytest.mark.skipif(
    not ON_POSTGRESQL, reason="SQLite locks no rows: it has one writer at a time"
)
MODELS = (PortfolioOrder, Order, Execution)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(projection, "PATIENCE", 0.0)


def deliver(*events, now=NOW):
    """Store a delivery of these events whose signature was found good."""
    return store(json.dumps({"payload": events}).encode(), now=now)


def store(body, *, now=NOW):
    signature = Verified("a key", now, None, "n", ("@method", "@path"), Version.V6, "sig1")
    message = Message("POST", "/", "", {}, body)
    return inbox.receive(message, signature=signature, now=now)


def outcomes():
    rows = JournalEntry.objects.filter(event_id__isnull=False).order_by("event_id")
    return list(rows.values_list("event_id", "outcome", "type", "status", "message", "payload"))


def pending():
    return JournalEntry.objects.filter(outcome=Outcome.PENDING).count()


def test_no_entry_of_a_webhook_event_is_changed_after_it_was_written():
    for name in ("X", "Y"):
        other = event("OTHER.NEW", {"id": name, "status": "NEW"})
        deliver(*life(name), other, event("ORDER.NEW", {"id": "?", "status": name}))
    deliver(*life("X"))  # repeats
    deliver(event("ORDER.NEW", order("X child", fee="1.00", parent="X")))  # the id of another event

    with CaptureQueriesContext(connection) as queries:
        done = projection.drain(now=NOW)

    assert done.read == 4
    assert done.quarantined == 2
    changes = [it["sql"] for it in queries if 'UPDATE "orders_journalentry"' in it["sql"]]
    assert changes == []
    assert pending() == 0
    assert not JournalEntry.objects.filter(applied_at=None).exists()


def test_a_delivery_is_unread_until_all_of_its_events_are_in_the_journal(monkeypatch):
    deliver(*life("X"))
    store = journal.store

    def die(fresh):
        store(fresh)
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "store", die)
    with pytest.raises(KeyboardInterrupt):
        projection.drain(now=NOW)

    assert not JournalEntry.objects.exists()
    assert not PortfolioOrder.objects.exists()
    assert Delivery.objects.unread().count() == 1

    monkeypatch.setattr(journal, "store", store)
    assert projection.drain(now=NOW).applied == 3


def test_an_event_that_the_rows_refuse_is_quarantined_and_its_neighbours_go_on(monkeypatch):
    fold, poisoned = Rows.fold, named("Y child")

    def refuse(self, reading):
        if any(str(fact.id) == poisoned for fact in reading.facts):
            raise ZeroDivisionError
        return fold(self, reading)

    monkeypatch.setattr(Rows, "fold", refuse)
    deliver(*life("X"), *life("Y"), *life("Z"))

    done = projection.drain(now=NOW)

    assert (done.applied, done.quarantined) == (7, 2)
    refused = JournalEntry.objects.filter(outcome=Outcome.QUARANTINED)
    assert {str(entry.order_id) for entry in refused} == {poisoned}
    assert all("ZeroDivisionError" in entry.message for entry in refused)
    assert pending() == 0

    monkeypatch.setattr(Rows, "fold", fold)
    assert list(rebuild.compare()) == []


@only_postgresql
@pytest.mark.parametrize("what", [(PortfolioOrder, "X"), (Order, "X child")])
def test_events_about_a_row_that_somebody_holds_wait_and_all_others_go_on(what):
    deliver(*life("X"))
    projection.drain(now=NOW)
    deliver(
        event("ORDER.CANCELLED", order("X child", "CANCELLED", 40, parent="X")),
        *[one for number in range(20) for one in life(f"other {number}")],
    )

    with held(*row_of(*what)):
        assert (projection.drain(now=NOW).total, pending()) == (60, 1)

    assert projection.drain(now=NOW).total == 1
    assert pending() == 0
    assert list(rebuild.compare()) == []


@only_postgresql
def test_a_lock_that_is_waited_for_in_vain_costs_the_other_events_nothing(monkeypatch):
    monkeypatch.setattr(projection, "LOCK_TIMEOUT", "200ms")
    deliver(*life("X"), *[one for number in range(5) for one in life(f"other {number}")])
    unfinished = f"INSERT INTO {PortfolioOrder._meta.db_table} (id) VALUES (%s)"

    with held(unfinished, named("X")):
        assert (projection.drain(now=NOW).applied, pending()) == (17, 1)
        deliver(*life("later"))
        assert (projection.drain(now=NOW).applied, pending()) == (3, 1)

    assert projection.drain(now=NOW).total == 1
    assert list(rebuild.compare()) == []


@only_postgresql
def test_the_same_events_in_several_drains_are_applied_once_and_nothing_deadlocks():
    events = lives(8)
    for number in range(8):
        mixed = random.Random(number).sample(events, len(events))
        for start in range(0, len(mixed), 30):
            deliver(*mixed[start : start + 30])

    def read(_):
        """Read delivery by delivery, so that all drains are at it at once."""
        while ids := list(Delivery.objects.unread().values_list("pk", flat=True)):
            reading.read_next(now=NOW, only=random.Random().sample(ids, min(3, len(ids))))

    at_once(read, range(WORKERS))
    projection.drain(now=NOW)

    assert JournalEntry.objects.filter(event_id__isnull=False).count() == len(events)
    assert JournalEntry.objects.filter(repeat_of__isnull=False).count() == 7 * len(events)
    assert pending() == 0
    assert set(Order.objects.values_list("status", flat=True)) == {"FILLED"}
    assert list(rebuild.compare()) == []


@only_postgresql
def test_a_drain_that_another_overtakes_reads_its_deliveries_anew(monkeypatch):
    deliver(*life("X"))
    first = Delivery.objects.get()
    second = deliver(*life("X"))
    prepare = journal.prepare
    done: list[bool] = []

    def overtaken(received):
        fresh = prepare(received)
        if not done:
            done.append(True)
            at_once(lambda pk: reading.read_next(now=NOW, only=[pk]), [second.pk])
        return fresh

    monkeypatch.setattr(journal, "prepare", overtaken)
    reading.read_next(now=NOW, only=[first.pk])

    assert JournalEntry.objects.filter(event_id__isnull=False).count() == 3
    repeats = JournalEntry.objects.filter(repeat_of__isnull=False)
    assert set(repeats.values_list("delivery_id", flat=True)) == {first.pk}
    assert pending() == 0


def story():
    """Return what is told of two portfolio orders, contradictions and damage among it."""
    told = [*life("X"), *life("Y")]
    told += [
        event("EXECUTION.FILLED", execution("E", "FILLED", order="X child")),
        event("ORDER.CANCELLED", order("X child", "CANCELLED", 40, parent="X")),
        event("PORTFOLIO_ORDER.FILLED", portfolio_order("FILLED", 50, name="Y")),
        event("ORDER.ODD", order("Y child", "ODD", 60, parent="Y")),
        event("ORDER.NEW", {"id": "no id", "status": "NEW"}),
        event("TAX.NEW", {"id": named("T"), "status": "NEW"}),
        event("ORDER.FILLED", order("X child", "FILLED", 20, parent="X", cash_amount="a lot")),
    ]
    return told


@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.permutations(range(len(story()))), st.sets(st.integers(1, len(story()) - 1), max_size=5))
def test_events_come_to_the_same_applied_as_they_are_read_or_later(order_of, cuts):
    events = [story()[number] for number in order_of]
    edges = [0, *sorted(cuts), len(events)]
    portions = [events[begin:end] for begin, end in pairwise(edges)]
    found = []
    for as_read in (True, False):
        with transaction.atomic():
            for number, portion in enumerate(portions):
                if as_read:
                    deliver(*portion)
                else:
                    journal.record_events(portion, delivery_id=number + 1, now=NOW)
                projection.drain(now=NOW)
            held = [list(model.objects.order_by("pk").values()) for model in MODELS]
            found.append((outcomes(), held))
            transaction.set_rollback(True)

    assert found[0] == found[1]


@only_postgresql
def test_what_could_not_be_read_of_an_event_is_named_once_though_it_had_to_wait():
    deliver(*life("X"))
    projection.drain(now=NOW)
    odd = order("X child", "CANCELLED", 40, parent="X", cash_amount="a lot")
    deliver(event("ORDER.CANCELLED", odd))

    with held(*row_of(Order, "X child")):
        projection.drain(now=NOW)
    projection.drain(now=NOW)

    assert JournalEntry.objects.get(type="ORDER.CANCELLED").message.count("could not be read") == 1


@pytest.mark.parametrize("as_read", [True, False])
def test_a_webhook_is_missed_in_the_first_events_that_an_installation_reads(as_read):
    clocks.forget_first_webhook()
    first = event("OTHER.NEW", {"id": "q", "status": "NEW"})
    filled = portfolio_order("FILLED", 50, name="G", created_at=at(5), updated_at=at(50))
    second = event("PORTFOLIO_ORDER.FILLED", filled)
    for number, (told, now) in enumerate([(first, START), (second, START + timedelta(minutes=1))]):
        if as_read:
            deliver(told, now=now)
        else:
            journal.record_events([told], delivery_id=number + 1, now=now)

    projection.drain(now=NOW)

    assert PortfolioOrder.objects.get().missing_since == START + timedelta(minutes=1)


def test_a_row_that_is_new_is_written_once_and_whole():
    deliver(*life("X"), *life("Y"))

    with CaptureQueriesContext(connection) as queries:
        projection.drain(now=NOW)

    tables = [f'"{model._meta.db_table}"' for model in MODELS[:2]]
    written = [it["sql"].replace("FOR NO KEY UPDATE", "") for it in queries]
    again = [sql for sql in written if "UPDATE" in sql and any(it in sql for it in tables)]
    assert again == []
    assert list(rebuild.compare()) == []


def test_a_sign_that_was_sent_in_halves_is_read_as_it_is_kept():
    placed = portfolio_order(name="S", client_reference="XXX")
    body = json.dumps({"payload": [event("PORTFOLIO_ORDER.NEW", placed)]}).encode()
    store(body.replace(b"XXX", b"\xed\xa0\xbd\xed\xb8\x80"))

    projection.drain(now=NOW)

    assert list(rebuild.compare()) == []


def test_a_row_that_cannot_be_written_holds_up_nothing_else(monkeypatch):
    deliver(*life("X"))
    projection.drain(now=NOW)
    upsert = bulk.upsert

    def refuse(model, rows, **more):
        if any(str(row.pk) == named("X child") for row in rows):
            raise IntegrityError("the row is against a rule")
        upsert(model, rows, **more)

    monkeypatch.setattr(bulk, "upsert", refuse)
    deliver(event("ORDER.CANCELLED", order("X child", "CANCELLED", 40, parent="X")), *life("Y"))
    deliver(*life("Z"))

    done = projection.drain(now=NOW)

    assert (done.applied, done.quarantined, Delivery.objects.unread().count()) == (6, 1, 0)
    assert JournalEntry.objects.get(outcome=Outcome.QUARANTINED).type == "ORDER.CANCELLED"


@only_postgresql
def test_a_key_of_the_journal_that_is_taken_leaves_deliveries_unread_until_the_sequence_is_mended():
    deliver(*life("X"))
    projection.drain(now=NOW)
    with connection.cursor() as cursor:  # as after a failover
        sequence = "pg_get_serial_sequence('orders_journalentry', 'id')"
        cursor.execute(f"SELECT setval({sequence}, min(id)) FROM orders_journalentry")
    deliver(*life("Y"))

    with pytest.raises(IntegrityError, match="orders_journalentry_pkey"):
        projection.drain(now=NOW)

    assert Delivery.objects.unread().count() == 1
    with connection.cursor() as cursor:  # mended
        cursor.execute(f"SELECT setval({sequence}, max(id)) FROM orders_journalentry")
    assert projection.drain(now=NOW).read == 1
