"""What PostgreSQL writes of a file itself is what Python writes of it, to the byte."""

import dataclasses
import inspect

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from orders.export import cells, files, histories, table
from orders.export.selection import Selection
from orders.models import JournalEntry, Order, PortfolioOrder, StaffAction
from tests import odd_rows
from tests.odd_rows import NOW

FORMS = [
    cells.Form(delimiter, decimal, bom=bom)
    for delimiter, decimal, bom in [
        ("comma", "point", False),
        ("comma", "comma", True),
        ("semicolon", "point", False),
        ("semicolon", "comma", True),
    ]
]
FILES = {
    "orders": files.orders,
    "portfolio orders": files.portfolio_orders,
    "executions": files.executions,
}
pytestmark = pytest.mark.django_db
straight = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL writes lines itself"
)


@pytest.fixture(autouse=True)
def _clock():
    with time_machine.travel(NOW, tick=False):
        yield


def both(make, form):
    """Return a file as it is read, and as Python alone makes it."""
    how = {"bom": form.bom, "delimiter": form.delimiter, "decimal": form.decimal}
    file, portable = make(), make()
    assert file.is_straight
    made = b"".join(file.chunks(**how))
    portable.straight = None
    by_python = b"".join(portable.chunks(**how))
    assert (file.count, file.columns) == (portable.count, portable.columns)
    return made.split(b"\r\n"), by_python.split(b"\r\n")


def selections():
    return {
        "everything": Selection.everything(),
        "of a time": Selection.everything(since=odd_rows.MOMENTS[3], until=NOW),
        "filtered": Selection.of(PortfolioOrder.objects.filter(status="NEW")),
        "none": Selection.of(PortfolioOrder.objects.filter(pk__in=[])),
        "single orders": Selection.of_orders(Order.objects.exclude(status="NEW")),
        "all single": Selection.of_orders(Order.objects.all()),
    }


@straight
@pytest.mark.parametrize("seed", range(4))
def test_files_of_orders_are_the_same_to_the_byte(seed, monkeypatch):
    monkeypatch.setattr("orders.export.selection.SIZES", (1, 3))
    odd_rows.fill(seed)
    form = FORMS[seed]
    for make in FILES.values():
        for selection in selections().values():
            made, by_python = both(lambda: make(selection), form)  # noqa: B023 -- called at once
            assert made == by_python


@straight
@pytest.mark.parametrize("seed", range(4))
def test_files_of_entries_and_findings_are_the_same_to_the_byte(seed, monkeypatch):
    monkeypatch.setattr(table, "SIZES", (1, 3))
    run, form = odd_rows.fill(seed), FORMS[seed]
    for make in (
        lambda: files.journal_entries(JournalEntry.objects.all()),
        lambda: files.journal_entries(JournalEntry.objects.filter(source="STAFF")),
        lambda: files.staff_actions(StaffAction.objects.all()),
        lambda: files.findings(run),
    ):
        made, by_python = both(make, form)
        assert made == by_python


@straight
@pytest.mark.parametrize("seed", range(8))
def test_a_history_is_the_same_to_the_byte(seed, monkeypatch):
    monkeypatch.setattr(histories, "SIZES", (1, 7))
    odd_rows.fill_histories(seed)
    form = FORMS[seed % 4]
    with timezone.override(["UTC", "Pacific/Kiritimati", "America/New_York"][seed % 3]):
        for transitions_only in (False, True):
            for selection in selections().values():
                make = lambda: files.order_history(selection, transitions_only=transitions_only)  # noqa: B023, E731 -- called at once
                made, by_python = both(make, form)
                assert made == by_python


@straight
def test_a_history_with_long_ones_is_the_same_to_the_byte(monkeypatch):
    monkeypatch.setattr("orders.export.selection.MANY", 2)
    monkeypatch.setattr("orders.export.selection.LONG", 4)
    odd_rows.fill_histories(1)

    made, by_python = both(lambda: files.order_history(Selection.everything()), FORMS[0])

    assert made == by_python


@straight
def test_only_stories_that_are_not_plain_are_left_to_python(monkeypatch):
    asked: set[str] = set()
    stories = histories.Histories._stories

    def watched(self, keys):
        asked.update(story for story, _ in keys)
        return stories(self, keys)

    monkeypatch.setattr(histories.Histories, "_stories", watched)
    for seed in range(3):
        odd_rows.fill_histories(seed)

    b"".join(files.order_history(Selection.of(PortfolioOrder.objects.all())).chunks(bom=False))

    assert 0.1 < len(asked) / PortfolioOrder.objects.count() < 0.8


@pytest.mark.parametrize("make", [files.orders, files.order_history, files.portfolio_orders])
def test_a_file_with_a_column_without_a_form_in_sql_is_written_by_python(make, monkeypatch):
    odd_rows.fill(1, stories=3)
    file = make(Selection.everything())
    assert file.straight
    column = file.straight.columns[-1]
    without = (*file.straight.columns[:-1], column._replace(sql=""))
    file.straight = dataclasses.replace(file.straight, columns=without)

    assert not file.is_straight
    assert b"".join(file.chunks(bom=False)).count(b"\r\n") >= 3


@straight
def test_a_straight_file_that_nobody_reads_to_its_end_leaves_no_snapshot_open(monkeypatch):
    monkeypatch.setattr("orders.export.selection.SIZES", (1, 3))
    odd_rows.fill(1)
    file = files.orders(Selection.everything())
    chunks = file.chunks(bom=False)
    assert next(chunks).startswith(b"order_id,")
    next(chunks)
    assert file.lines
    assert inspect.getgeneratorstate(file.lines) == inspect.GEN_SUSPENDED

    file.close()

    assert inspect.getgeneratorstate(file.lines) == inspect.GEN_CLOSED
    assert 0 < file.count < Order.objects.count()
