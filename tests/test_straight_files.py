"""What PostgreSQL writes of a file itself is what Python writes of it, to the byte."""

import pytest
import time_machine
from django.db import connection

from orders.export import cells, files, table
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
@pytest.mark.parametrize("form", FORMS, ids=lambda it: it.words)
@pytest.mark.parametrize("seed", range(3))
def test_files_of_orders_are_the_same_to_the_byte(seed, form, monkeypatch):
    monkeypatch.setattr("orders.export.selection.SIZES", (1, 3))
    odd_rows.fill(seed)
    for make in FILES.values():
        for selection in selections().values():
            made, by_python = both(lambda: make(selection), form)  # noqa: B023 -- called at once
            assert made == by_python


@straight
@pytest.mark.parametrize("form", FORMS, ids=lambda it: it.words)
@pytest.mark.parametrize("seed", range(3))
def test_files_of_entries_and_findings_are_the_same_to_the_byte(seed, form, monkeypatch):
    monkeypatch.setattr(table, "SIZES", (1, 3))
    run = odd_rows.fill(seed)
    for make in (
        lambda: files.journal_entries(JournalEntry.objects.all()),
        lambda: files.journal_entries(JournalEntry.objects.filter(source="STAFF")),
        lambda: files.staff_actions(StaffAction.objects.all()),
        lambda: files.findings(run),
    ):
        made, by_python = both(make, form)
        assert made == by_python
