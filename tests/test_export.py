import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.database import snapshot
from orders import journal, projection
from orders.export import files, selection
from orders.export.selection import Selection
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.tracked import Source
from tests.listed import record_failure
from tests.stories import START, at, event, execution, life, named, order, portfolio_order

GOLDEN = Path(__file__).parent / "golden"
NOW = START + timedelta(hours=1)
P, A, B = (UUID(named(name)) for name in "PAB")
LONG = "9" * 63 + "." + "0" * 26 + "1"


@pytest.fixture(autouse=True)
def _clock():
    with time_machine.travel(NOW, tick=False):
        yield


def receive(*events, delivery=iter(range(1, 10_000)), late=1):  # noqa: B008 -- one row of numbers
    for one in events:
        happened = datetime.fromisoformat(one["created_at"])
        journal.record_events(
            [one], delivery_id=next(delivery), now=happened + timedelta(seconds=late)
        )
    projection.drain(now=NOW)


def answer(kind, upstream, minutes):
    now = START + timedelta(minutes=minutes)
    about = UUID(upstream["id"])
    journal.record_answer(kind, upstream, about=about, source=Source.POLL, actor="", now=now)
    projection.drain(now=now)


def read(exported, **how):
    """Return the rows of a file by column, read back from its bytes."""
    text = b"".join(exported.chunks(bom=False, **how)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def history(chosen=None, **how):
    return read(files.order_history(chosen or Selection.everything(), **how))


def orders(chosen=None):
    return read(files.orders(chosen or Selection.everything()))


@pytest.fixture
def story(db):
    """One portfolio order with everything: lost, late, repeated, refused, unknown, odd and noted."""
    parent, amounts = portfolio_order(cash_amount=LONG), {"cash_amount": LONG}
    filled = order("A", "FILLED", 20, executions=[("X", "FILLED"), ("Y", "FILLED")], **amounts)
    filled["executions"][1] |= {
        "price": "101.5",
        "share_quantity": "1.25",
        "taxes": [{"type": "TOTAL", "amount": "0.05"}],
    }
    new = event("ORDER.NEW", order("A", **amounts))
    receive(event("PORTFOLIO_ORDER.NEW", parent), new, event("ORDER.NEW", order("B")))
    receive(new, late=7)
    receive(event("ORDER.PROCESSING", order("A", "PROCESSING", 3, **amounts)))
    receive(event("ORDER.PROCESSING", order("B", "PROCESSING", 4)), late=400)
    receive(
        event(
            "PORTFOLIO_ORDER.PROCESSING",
            portfolio_order("PROCESSING", 5, [("A", "PROCESSING")], cash_amount=LONG),
        )
    )
    answer(Kind.ORDER, filled, 15)
    receive(
        event(
            "ORDER.PAUSED", order("B", "PAUSED", 30, client_reference="=1+1", initiation_flow="API")
        )
    )
    record_failure(
        Kind.PORTFOLIO_ORDER,
        P,
        "503, request 7f",
        source=Source.REFETCH,
        actor="@mira",
        now=START + timedelta(minutes=20),
    )
    journal.record_note(
        Kind.PORTFOLIO_ORDER,
        P,
        '+49 30 123,\r\n"called"',
        actor="mira",
        now=START + timedelta(minutes=21),
    )
    receive(event("ORDER.NEW", order("L", parent=None, client_reference="-1")))


@pytest.mark.parametrize("name", ["order_history", "orders"])
def test_a_file_is_byte_for_byte_as_promised(name, story):
    made = b"".join(getattr(files, name)(Selection.everything()).chunks(bom=False))

    assert made == (GOLDEN / f"{name}.csv").read_bytes()


def test_every_order_event_has_one_row_late_and_unchanged_ones_too(story):
    received = JournalEntry.objects.filter(event_id__isnull=False).values_list(
        "event_id", flat=True
    )

    rows = [row["event_id"] for row in history() if row["event_id"]]

    assert sorted(rows) == sorted(map(str, received))


def test_there_is_at_most_one_transition_for_each_object_and_status(story):
    rows = [row for row in history() if row["entry_type"] == "transition"]

    steps = [
        (row["level"], row["order_id"] or row["portfolio_order_id"], row["to_status"])
        for row in rows
    ]
    assert len(steps) == len(set(steps))


def test_a_step_recovered_by_poll_is_a_transition_and_a_missed_webhook(story):
    rows = [
        row for row in history() if row["to_status"] == "FILLED" and row["entry_type"] != "check"
    ]

    assert [(row["entry_type"], row["source"], row["event_type"]) for row in rows] == [
        ("transition", "POLL", ""),
        ("missed_webhook", "POLL", "ORDER.FILLED"),
    ]
    assert {row["occurred_at"] for row in rows} == {"2026-03-02T09:00:20.000Z"}


def test_transitions_only_leaves_out_all_else(story):
    assert {row["entry_type"] for row in history(transitions_only=True)} == {"transition"}
    assert "FILLED" in {row["to_status"] for row in history(transitions_only=True)}


def test_the_sequence_counts_within_a_portfolio_order(story):
    rows = [int(row["sequence"]) for row in history() if row["portfolio_order_id"] == str(P)]

    assert rows == list(range(1, len(rows) + 1))


def test_amounts_of_ninety_digits_come_out_digit_by_digit(story):
    assert {row["cash_amount"] for row in history() if row["order_id"] in {"", str(A)}} == {LONG}
    assert LONG in {row["cash_amount"] for row in orders()}


def test_cancelled_executions_count_for_nothing(db):
    receive(
        event(
            "ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED"), ("Y", "FILLED")])
        )
    )
    receive(
        event("EXECUTION.CANCELLED", execution("Y", "CANCELLED", share_quantity="9", price="7"))
    )

    (row,) = orders()

    assert (row["executed_quantity"], row["average_price"], row["tax"]) == (
        "2.5000",
        "100.00",
        "0.10",
    )


@pytest.mark.parametrize(
    ("status", "executed"), [("PROCESSING", "0"), ("CANCELLED", "0"), ("FILLED", "")]
)
def test_without_executions_nothing_was_executed_unless_the_order_is_filled(db, status, executed):
    receive(event(f"ORDER.{status}", order("A", status, 20)))

    assert orders()[0]["executed_quantity"] == executed


def test_the_settlement_date_is_unknown_until_the_last_execution_has_one(db):
    receive(
        event(
            "ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED"), ("Y", "FILLED")])
        )
    )
    settled = {"status": "SETTLED", "settlement_date": "2026-03-04"}
    receive(event("EXECUTION.SETTLED", execution("X", **settled)))
    assert orders()[0]["settlement_date"] == ""

    receive(event("EXECUTION.SETTLED", execution("Y", **settled)))

    assert orders()[0]["settlement_date"] == "2026-03-04"


def test_an_open_order_is_stale_with_its_portfolio_order_and_a_final_one_never(db, settings):
    receive(event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 2)))
    receive(event("ORDER.PROCESSING", order("A", "PROCESSING", 3)))
    receive(event("ORDER.PROCESSING", order("L", "PROCESSING", 3, parent=None)))
    receive(event("ORDER.PROCESSING", order("R", "PROCESSING", 3, parent=None, order_type="LIMIT")))
    receive(event("ORDER.FILLED", order("B", "FILLED", 4)))
    settings.STALE_PROCESSING = timedelta(minutes=5)

    assert {row["order_id"]: row["is_stale"] for row in orders()} == {
        named("A"): "true",
        named("L"): "true",
        named("R"): "false",
        named("B"): "false",
    }


def test_missed_and_repeated_webhooks_are_counted(story):
    rows = {row["order_id"]: row for row in orders()}

    assert (rows[str(A)]["missed_webhooks"], rows[str(A)]["duplicate_deliveries"]) == ("1", "1")
    assert (rows[str(B)]["missed_webhooks"], rows[str(B)]["duplicate_deliveries"]) == ("0", "0")


def test_a_selection_of_portfolio_orders_brings_their_orders_and_no_other(story):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="Q")),
        event("ORDER.NEW", order("C", parent="Q")),
    )
    chosen = Selection.of(PortfolioOrder.objects.filter(pk=named("Q")))

    assert [row["order_id"] for row in orders(chosen)] == [named("C")]
    assert {row["portfolio_order_id"] for row in history(chosen)} == {named("Q")}


def test_single_orders_can_be_selected_though_they_have_a_portfolio_order(story):
    rows = history(Selection.of_orders(Order.objects.filter(pk=A)))

    assert {row["order_id"] for row in rows} == {str(A)}
    assert {row["portfolio_order_status"] for row in rows} == {"PROCESSING"}


def place_in_the_way(*, known, unknown, alone):
    """Record orders of portfolio orders that are here and that are not, and orders of none: two of each."""
    for name in known:
        receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=name)))
    for name in [*known, *unknown, *alone]:
        for n in "12":
            parent = name if name not in alone else None
            receive(event("ORDER.NEW", order(f"{name} {n}", parent=parent)))
            processing = order(f"{name} {n}", "PROCESSING", 3, parent=parent)
            receive(event("ORDER.PROCESSING", processing))


def place_of(row):
    """Return what a history file is sorted by; the orders without a portfolio order stand at the end."""
    return not row["portfolio_order_id"], row["portfolio_order_id"], int(row["sequence"])


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 2, 100])
def test_rows_of_a_history_are_numbered_once_and_sorted_though_a_portfolio_order_is_unknown(
    size, monkeypatch
):
    monkeypatch.setattr(selection, "BATCH", size)
    monkeypatch.setattr(selection, "BATCH_OF_ORDERS", size)
    place_in_the_way(known=["K1", "K2", "K3"], unknown=["U1", "U2", "U3"], alone=["N1", "N2"])

    for rows in (history(), history(transitions_only=True)):
        places = [place_of(row) for row in rows]
        assert places == sorted(set(places))
        by_parent: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            by_parent.setdefault(row["portfolio_order_id"], []).append(row)
        assert len(by_parent) == 7
        for parent, of_parent in by_parent.items():
            assert [int(row["sequence"]) for row in of_parent] == [*range(1, len(of_parent) + 1)]
            if parent:  # one history: in the order in which things happened
                happened = [row["occurred_at"] for row in of_parent]
                assert happened == sorted(happened)
    assert len({row["order_id"] for row in history()}) == 17  # 16 orders, and the level above


@pytest.mark.django_db
def test_the_orders_file_is_sorted_by_portfolio_order_whether_or_not_that_is_known(monkeypatch):
    monkeypatch.setattr(selection, "BATCH", 2)
    place_in_the_way(known=["K1", "K2", "K3"], unknown=["U1", "U2", "U3"], alone=["N1", "N2"])

    rows = [
        (not row["portfolio_order_id"], row["portfolio_order_id"], row["order_id"])
        for row in orders()
    ]

    assert rows == sorted(set(rows))
    assert len(rows) == 16


@pytest.mark.django_db
def test_rows_of_single_orders_of_one_portfolio_order_are_numbered_once(story):
    place_in_the_way(known=["K1", "K2"], unknown=["U1"], alone=["N1"])

    rows = history(Selection.of_orders(Order.objects.all()))

    places = [place_of(row) for row in rows]
    assert places == sorted(set(places))
    assert {row["level"] for row in rows} == {"order"}
    assert {
        row["portfolio_order_status"] for row in rows if row["portfolio_order_id"] == named("K1")
    } == {"NEW"}


def test_files_of_adjoining_times_share_nothing_and_miss_nothing(story):
    receive(
        event(
            "PORTFOLIO_ORDER.NEW", portfolio_order(name="Q", created_at=at(60), updated_at=at(60))
        )
    )
    middle = START + timedelta(seconds=60)

    before = history(Selection.everything(until=middle))
    after = history(Selection.everything(since=middle))

    assert {row["portfolio_order_id"] for row in after} == {named("Q")}
    assert sorted(map(str, before + after)) == sorted(map(str, history()))


@pytest.mark.django_db
@pytest.mark.parametrize("make", [files.order_history, files.orders])
def test_a_file_takes_the_same_queries_for_any_number_of_orders_in_a_batch(make):
    counts = []
    for letters in ("AB", "CDEFGHIJ"):
        for name in letters:
            receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=f"P{name}")))
            receive(event("ORDER.NEW", order(name, parent=f"P{name}")))
        with CaptureQueriesContext(connection) as queries:
            assert list(make(Selection.everything()).rows)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_batches_follow_each_other_without_a_gap(story, monkeypatch):
    for name in "CDEFG":
        receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=f"P{name}")))
        receive(
            event("ORDER.NEW", order(name, parent=f"P{name}")),
            event("ORDER.NEW", order(f"L{name}", parent=None)),
        )
    whole = history(), orders()
    monkeypatch.setattr("orders.export.selection.BATCH", 2)
    monkeypatch.setattr("orders.export.selection.BATCH_OF_ORDERS", 2)

    assert (history(), orders()) == whole
    assert len(whole[1]) == Order.objects.count()


@pytest.mark.django_db
def test_a_file_without_orders_has_its_header():
    assert b"".join(files.orders(Selection.everything()).chunks(bom=True)).startswith(
        b"\xef\xbb\xbforder_id,"
    )


@pytest.mark.django_db
def test_a_file_names_its_kind_its_version_and_its_moment():
    moment = datetime(2026, 11, 22, 6, 45, tzinfo=UTC)
    names = [make(Selection.everything()).filename for make in (files.order_history, files.orders)]

    assert names == ["order-history_v1_20260302T1000Z.csv", "orders_v1_20260302T1000Z.csv"]
    rows = (row for row in [("order_id",)])
    assert files.Export("orders", rows, now=moment).filename == "orders_v1_20261122T0645Z.csv"


def test_a_file_is_counted_and_recorded_in_the_journal(story):
    file = files.orders(Selection.everything())
    list(file.chunks(bom=False))

    file.record(actor="mira", how="all to the browser")

    step = JournalEntry.objects.latest("id")
    assert (step.source, step.outcome, step.actor) == ("STAFF", "NOTED", "mira")
    assert step.message == "Exported orders, all to the browser: 3 rows"


@pytest.mark.django_db(transaction=True)
def test_a_file_shows_one_state_whatever_is_written_meanwhile():
    receive(*life())
    rows = files.orders(Selection.everything()).rows
    next(rows)
    first = next(rows)

    def write():
        Order.objects.update(status="CANCELLED")
        connection.close()

    writer = Thread(target=write)
    writer.start()
    writer.join()

    rest = list(rows)
    assert {row[8] for row in [first, *rest]} == {"FILLED", "CANCELLED"}
    assert set(Order.objects.values_list("status", flat=True)) == {"CANCELLED"}


@pytest.mark.django_db(transaction=True)
def test_a_file_that_nobody_reads_to_its_end_leaves_no_transaction_open():
    receive(*life())
    file = files.orders(Selection.everything())
    next(file.rows), next(file.rows)

    file.close()

    assert not connection.in_atomic_block
    with snapshot():
        assert Order.objects.count() == 2
