"""Which rows each CSV file has, and that nothing selected is missing from it."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import time_machine
from django.utils import timezone

from orders import journal, projection
from orders.export import files, selection
from orders.export.selection import Selection
from orders.export.table import of_rows
from orders.lifecycle import Kind
from orders.models import Execution, Finding, JournalEntry, Order, PortfolioOrder, Reconciliation
from tests.stories import START, event, named, order, portfolio_order
from tests.test_spreadsheets import is_formula, split_blindly

NOW = START + timedelta(minutes=5)
GOLDEN = Path(__file__).parent / "golden"
REJECTED = {
    "cancellation_reason": "OTHER",
    "cancellation_details": "Account is empty; ask +49 30 1",
}
HOSTILE = 'x;=1+1,\t@cmd\r\n"=2"'
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _desk():
    """P with two orders, one of them traded; R and S rejected, without orders; L an order of its own."""
    with time_machine.travel(NOW, tick=False):
        traded = order("A", "FILLED", 20, executions=[("X", "FILLED"), ("Y", "CANCELLED")])
        told = [
            event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 5)),
            event("ORDER.FILLED", traded),
            event("ORDER.NEW", order("B")),
            event("ORDER.NEW", order("L", parent=None)),
            *(
                event(
                    "PORTFOLIO_ORDER.CANCELLED",
                    portfolio_order("CANCELLED", 3, name=name, **REJECTED),
                )
                for name in "RS"
            ),
        ]
        journal.record_events(told, delivery_id=1, now=NOW)
        projection.drain(now=NOW)
        yield


def read(file, **form):
    text = b"".join(file.chunks(bom=False, **form)).decode()
    return list(
        csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if "delimiter" in form else ",")
    )


def of(*names):
    return Selection.of(PortfolioOrder.objects.filter(pk__in=[named(name) for name in names]))


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_portfolio_order_without_orders_has_a_row_in_the_orders_file(size, monkeypatch):
    monkeypatch.setattr(selection, "BATCH", size)
    file = files.orders(Selection.everything())

    rows = read(file)

    assert file.count == len(rows) == 5
    bare = [row for row in rows if not row["order_id"]]
    assert [row["portfolio_order_id"] for row in bare] == sorted([named("R"), named("S")])
    for row in bare:
        filled = {name for name, cell in row.items() if cell}
        assert filled == {
            "portfolio_order_id", "portfolio_order_status", "account_id", "allocation_id", "portfolio_order_type",
        }  # fmt: skip
        assert row["portfolio_order_status"] == "CANCELLED"
    places = [
        (not row["portfolio_order_id"], row["portfolio_order_id"], row["order_id"]) for row in rows
    ]
    assert places == sorted(places)


def test_rejected_portfolio_orders_alone_are_a_file_with_a_row_for_each():
    assert [row["portfolio_order_id"] for row in read(files.orders(of("R", "S")))] == sorted(
        [named("R"), named("S")]
    )


@pytest.mark.parametrize("name", ["P", "R"])
def test_a_long_history_changes_no_row_of_the_orders_file(name, monkeypatch):
    whole = read(files.orders(of(name)))
    monkeypatch.setattr(selection, "MANY", 0)
    monkeypatch.setattr(selection, "LONG", 0)
    monkeypatch.setattr(selection, "BATCH_OF_ORDERS", 1)

    assert read(files.orders(of(name))) == whole
    assert len(whole) == {"P": 2, "R": 1}[name]


def test_single_orders_bring_no_row_of_their_portfolio_order():
    chosen = Selection.of_orders(Order.objects.filter(pk=named("B")))

    assert [row["order_id"] for row in read(files.orders(chosen))] == [named("B")]


@pytest.mark.parametrize("size", [1, 500])
def test_the_portfolio_orders_file_has_one_row_for_each(size, monkeypatch):
    monkeypatch.setattr(files, "BATCH", size)

    rows = {
        row["portfolio_order_id"]: row
        for row in read(files.portfolio_orders(Selection.everything()))
    }

    assert set(rows) == {named(name) for name in "PRS"}
    rejected, placed = rows[named("R")], rows[named("P")]
    assert rejected["cancellation_reason"] == "OTHER"
    assert rejected["cancellation_details"] == REJECTED["cancellation_details"]
    assert (rejected["orders"], rejected["portfolio_order_status"]) == ("0", "CANCELLED")
    counts = [placed[name] for name in ("orders", "orders_filled", "orders_cancelled")]
    assert counts == ["2", "0", "0"]  # the trade of the filled one was reversed
    assert placed["cash_amount"] == PortfolioOrder.objects.get(pk=named("P")).cash_amount


def test_the_executions_file_has_one_row_for_each_cancelled_ones_too():
    rows = read(files.executions(Selection.everything()))

    assert {(row["execution_id"], row["status"]) for row in rows} == {
        (named("X"), "FILLED"),
        (named("Y"), "CANCELLED"),
    }
    assert {(row["order_id"], row["portfolio_order_id"]) for row in rows} == {
        (named("A"), named("P"))
    }
    assert read(files.executions(of("R"))) == []


def test_an_execution_of_two_orders_has_a_row_in_each_under_the_brokers_id():
    journal.record_events(
        [event("ORDER.FILLED", order("B", "FILLED", 20, executions=[("X", "FILLED")]))],
        delivery_id=2,
        now=NOW,
    )
    projection.drain(now=NOW)

    rows = read(files.executions(of("P")))

    assert sorted(
        (row["execution_id"], row["order_id"]) for row in rows if row["execution_id"] == named("X")
    ) == sorted([(named("X"), named("A")), (named("X"), named("B"))])


@pytest.mark.parametrize("size", [1, 2, 500])
def test_the_journal_file_has_a_row_for_each_entry_and_says_who(size, monkeypatch):
    journal.record_note(Kind.ORDER, UUID(named("A")), "Called;\nthem", actor="mira", now=NOW)
    monkeypatch.setattr(files, "BATCH", size)

    rows = read(files.journal_entries(JournalEntry.objects.all()))

    assert [int(row["entry_id"]) for row in rows] == sorted(
        JournalEntry.objects.values_list("pk", flat=True)
    )
    note = rows[-1]
    assert (note["actor"], note["message"], note["order_id"]) == (
        "mira",
        "Called;\nthem",
        named("A"),
    )
    assert (note["source"], note["outcome"]) == ("STAFF", "NOTED")
    assert {row["event_id"] for row in rows[:-1]} >= {
        str(pk)
        for pk in JournalEntry.objects.exclude(event_id=None).values_list("event_id", flat=True)
    }


def test_a_finding_about_an_order_names_its_portfolio_order():
    run = Reconciliation.objects.create(scope="OPEN", state="DONE", started_at=NOW)
    for name, column in [
        ("P", "portfolio_order_id"),
        ("A", "order_id"),
        ("L", "order_id"),
        ("gone", "order_id"),
    ]:
        Finding.objects.create(
            reconciliation=run, verdict="REPAIRED", found_at=NOW, **{column: named(name)}
        )

    rows = read(files.findings(run))

    assert [(row["order_id"], row["portfolio_order_id"]) for row in rows] == [
        ("", named("P")),
        (named("A"), named("P")),
        (named("L"), ""),
        (named("gone"), ""),
    ]


def every_file():
    everything = Selection.everything()
    run = Reconciliation.objects.latest("pk")
    return [
        files.orders(everything),
        files.order_history(everything),
        files.portfolio_orders(everything),
        files.executions(everything),
        files.journal_entries(JournalEntry.objects.all()),
        files.findings(run),
        of_rows("staff steps", ("who", "what"), lambda: [(HOSTILE, HOSTILE)]),
    ]


def write_everywhere(model, text):
    """Put a text into every column of text of a table, numbers aside, as far as it takes it."""
    numbers = {
        "cash_amount", "quantity", "limit_price", "stop_price", "fee", "share_quantity", "price", "tax",
    }  # fmt: skip
    kept = {
        "source",
        "outcome",
        "scope",
        "state",
        "verdict",
        "heard_via",
        "attribute_facts",
        "fact",
    }
    for field in model._meta.concrete_fields:
        if (
            field.get_internal_type() in {"CharField", "TextField"}
            and field.name not in numbers | kept
        ):
            model.objects.update(**{field.name: text[: field.max_length or None]})


@pytest.mark.parametrize("form", [{}, {"delimiter": "semicolon", "decimal": "comma"}])
def test_no_text_of_any_file_is_a_formula_whoever_wrote_it(form):
    run = Reconciliation.objects.create(scope="OPEN", state="DONE", started_at=NOW)
    Finding.objects.create(
        reconciliation=run, verdict="REPAIRED", found_at=NOW, order_id=named("A")
    )
    journal.record_note(Kind.ORDER, UUID(named("A")), HOSTILE, actor=HOSTILE, now=NOW)
    for model in (PortfolioOrder, Order, Execution, JournalEntry, Finding):
        write_everywhere(model, HOSTILE)

    for file in every_file():
        text = b"".join(file.chunks(bom=False, **form)).decode()
        assert HOSTILE.split(";", maxsplit=1)[0] in text, file.what
        assert [cell for cell in split_blindly(text) if is_formula(cell)] == [], file.what


def test_negative_amounts_stay_numbers_and_take_the_decimal_comma():
    Order.objects.update(cash_amount="-9.10")

    assert {row["cash_amount"] for row in read(files.orders(of("P")))} == {"-9.10"}
    german = read(files.orders(of("P")), delimiter="semicolon", decimal="comma")
    assert {row["cash_amount"] for row in german} == {"-9,10"}
    assert {row["seconds_to_fill"] for row in german} == {"19,000", ""}


def test_what_a_file_held_is_kept_with_its_audit_entry():
    file = files.portfolio_orders(of("R"))
    list(file.chunks(bom=True, delimiter="semicolon", decimal="comma"))

    file.record(actor="mira", how="1 selected", asked={"ids": [named("R")]})

    step = JournalEntry.objects.latest("pk")
    assert step.message == "Exported portfolio orders, 1 selected: 1 row"
    held = json.loads(bytes(step.payload))
    assert held["columns"][:2] == ["portfolio_order_id", "portfolio_order_status"]
    assert held["selection"] == {"words": "1 selected", "ids": [named("R")]}
    assert {
        name: held[name] for name in ("file", "rows", "delimiter", "decimal", "byte_order_mark")
    } == {
        "file": "portfolio orders",
        "rows": 1,
        "delimiter": "semicolon",
        "decimal": "comma",
        "byte_order_mark": True,
    }
    assert held["made_at"] == timezone.now().isoformat()


@pytest.mark.parametrize("name", ["portfolio_orders", "executions"])
def test_a_new_file_is_byte_for_byte_as_promised(name):
    file = getattr(files, name)(Selection.everything())

    assert b"".join(file.chunks(bom=False)) == (GOLDEN / f"{name}.csv").read_bytes()


def test_a_file_of_any_rows_has_its_columns_its_name_and_its_count():
    file = of_rows("staff steps", ("who", "what"), lambda: iter([("mira", "note"), ("jo", "=1")]))

    assert b"".join(file.chunks(bom=False)) == b"who,what\r\nmira,note\r\njo,'=1\r\n"
    assert (file.count, file.filename[:15]) == (2, "staff-steps_v1_")
