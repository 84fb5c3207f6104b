"""CSV files taken in the browser: what they hold, who may, and how a broken one ends."""

import csv
import io
import json
import socket
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine

from orders import journal, projection
from orders.admin import downloads
from orders.export import cells, histories
from orders.export import table as table_of_files
from orders.export.table import Straight
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, words
from tests.stories import START, event, life, named, portfolio_order

NOW = START + timedelta(minutes=5)
P = UUID(named("P"))
HISTORY = f"{LIST}{P}/history_csv/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def known():
    with time_machine.travel(NOW, tick=False):
        other = event("PORTFOLIO_ORDER.NEW", portfolio_order(name="Q"))
        journal.record_events([*life(), other], delivery_id=1, now=NOW)
        projection.drain(now=NOW)
        yield


@pytest.fixture
def auditor():
    return browser(name="mira")


def take(client, action, *pks, query="", at=LIST, **more):
    return client.post(
        f"{at}{query}", {"action": action, "_selected_action": list(pks), "index": 0} | more
    )


def table(response, delimiter=","):
    assert response.streaming
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def held():
    """Return what the last audit entry says that a file held."""
    return json.loads(bytes(JournalEntry.objects.filter(type="EXPORT").latest("pk").payload))


def steps():
    return [entry.message for entry in JournalEntry.objects.filter(type="EXPORT").order_by("pk")]


def test_the_button_streams_the_history_of_one_order_for_excel(auditor):
    response = auditor.post(HISTORY)

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == (
        'attachment; filename="order-history_v1_20260302T0905Z.csv"'
    )
    body = b"".join(response.streaming_content)
    assert body.startswith(b"\xef\xbb\xbfportfolio_order_id,")
    assert named("Q").encode() not in body


def test_the_byte_order_mark_can_be_left_out_and_the_delimiter_chosen(auditor):
    response = auditor.post(f"{HISTORY}?bom=0&delimiter=semicolon")

    assert b"".join(response.streaming_content).startswith(b"portfolio_order_id;")


def test_a_whole_file_is_noted_with_its_rows_and_who_took_it(auditor):
    rows = table(auditor.post(HISTORY))

    assert steps() == [f"Exported order history, portfolio order {P}: {len(rows)} rows"]
    assert JournalEntry.objects.get(type="EXPORT").actor == "mira"


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_one_snapshot_is_noted_after_it(auditor):
    rows = table(auditor.post(HISTORY))

    assert steps() == [f"Exported order history, portfolio order {P}: {len(rows)} rows"]


def test_a_reader_who_stops_holds_neither_the_thread_nor_the_snapshot_for_ever(auditor):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        table(auditor.post(HISTORY, **{"gunicorn.socket": ours}))

        assert ours.gettimeout() == downloads.STALLED


def test_the_selection_is_exported(auditor):
    rows = table(take(auditor, "export_orders", str(P)))

    assert {row["order_id"] for row in rows} == {named("A"), named("B")}
    assert steps() == ["Exported orders, 1 selected: 2 rows"]


def test_all_that_match_the_filter_are_exported(auditor):
    new = table(take(auditor, "export_history", str(P), query="?status=NEW", select_across="1"))
    everything = table(take(auditor, "export_history", str(P), select_across="1"))

    assert {row["portfolio_order_id"] for row in new} == {named("Q")}
    assert {row["portfolio_order_id"] for row in everything} == {named("P"), named("Q")}
    assert steps()[0].startswith("Exported order history, all portfolio orders with Status: New: ")
    assert steps()[1].startswith("Exported order history, all portfolio orders: ")


def test_a_search_is_followed_too(auditor):
    found = take(auditor, "export_history", str(P), query=f"?q={named('A')}", select_across="1")

    assert {row["portfolio_order_id"] for row in table(found)} == {named("P")}


def test_without_the_permission_there_is_no_export(auditor):
    trader = browser("Trader", name="trader")

    assert trader.post(HISTORY).status_code == 403
    assert not take(trader, "export_history", str(P)).streaming
    assert "History CSV" not in html(trader.get(f"{LIST}{P}/change/"))
    assert steps() == []


def break_off(monkeypatch, *rows):
    """Let the history file break off after these rows, whoever writes it."""

    def by_python(*_, **__):
        yield ("portfolio_order_id",)
        yield from rows
        raise OSError("the disk is gone")

    def lines(*_):
        yield [",".join(row) for row in rows]
        raise OSError("the disk is gone")

    monkeypatch.setattr(histories, "rows", by_python)
    monkeypatch.setattr(Straight, "lines", lines)


def test_a_failure_in_the_middle_breaks_the_connection_and_is_noted(auditor, monkeypatch):
    break_off(monkeypatch, ("1",))

    response = auditor.post(HISTORY)
    with pytest.raises(OSError, match="disk"):
        b"".join(response.streaming_content)

    assert steps() == [
        f"Export of order history, portfolio order {P}: broken off after 1 row (OSError)"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_goes_away_ends_the_snapshot_and_is_noted(auditor, monkeypatch):
    monkeypatch.setattr(cells, "CHUNK", 0)
    monkeypatch.setattr(table_of_files, "AT_ONCE", 1)
    response = auditor.post(HISTORY)
    body = response._iterator
    assert len([next(body) for _ in range(3)]) == 3  # the header and two rows
    body.close()  # as a server does

    assert steps() == [
        f"Export of order history, portfolio order {P}: broken off after 2 rows (the connection was closed)"
    ]


FILES = [
    (LIST, "export_portfolio_orders", "portfolio_order_id"),
    (LIST, "export_executions", "order_id"),
    (ORDERS, "export_orders", "order_id"),
    (ORDERS, "export_executions", "order_id"),
    (ORDERS, "export_history", "order_id"),
    (JOURNAL, "export_entries", "entry_id"),
    ("/admin/webhooks/event/", "export_entries", "entry_id"),
]


@pytest.mark.parametrize(("at", "action", "column"), FILES)
def test_each_list_exports_what_it_shows_to_those_who_may_and_notes_the_rows_of_the_file(
    at, action, column, auditor
):
    rows = table(take(auditor, action, at=at, select_across="1"))

    assert rows
    assert all(row[column] for row in rows)
    (said,) = steps()
    assert said.endswith(f": {len(rows)} rows" if len(rows) > 1 else ": 1 row")
    assert held()["rows"] == len(rows)
    trader = browser("Trader", name="trader")
    assert not take(trader, action, at=at, select_across="1").streaming
    assert f'value="{action}"' not in html(trader.get(at))


def test_the_portfolio_orders_file_has_as_many_rows_as_were_selected(auditor):
    rows = table(take(auditor, "export_portfolio_orders", str(P), named("Q")))

    assert {row["portfolio_order_id"] for row in rows} == {named("P"), named("Q")}
    assert steps() == ["Exported portfolio orders, 2 selected: 2 rows"]


def test_the_orders_file_has_each_portfolio_order_selected_also_one_without_orders(auditor):
    rows = table(take(auditor, "export_orders", str(P), named("Q")))

    assert {row["portfolio_order_id"] for row in rows} == {named("P"), named("Q")}
    assert steps() == [f"Exported orders, 2 selected: {len(rows)} rows"]


def test_the_orders_list_exports_its_search_its_filter_and_its_selection(auditor):
    one = table(take(auditor, "export_orders", named("A"), at=ORDERS))
    found = table(
        take(auditor, "export_orders", at=ORDERS, query=f"?q={named('B')}", select_across="1")
    )
    none = table(take(auditor, "export_orders", at=ORDERS, query="?status=NEW", select_across="1"))

    assert [row["order_id"] for row in one] == [named("A")]
    assert [row["order_id"] for row in found] == [named("B")]
    assert none == []
    assert steps() == [
        "Exported orders, 1 selected: 1 row",
        f"Exported orders, all orders with search “{named('B')}”: 1 row",
        "Exported orders, all orders with Status: New: 0 rows",
    ]


def test_the_journal_list_exports_its_filters_and_its_search(auditor):
    journal.record_note(Kind.ORDER, UUID(named("A")), "Called.", actor="mira", now=NOW)

    staff = table(
        take(auditor, "export_entries", at=JOURNAL, query="?source=STAFF", select_across="1")
    )
    about = table(
        take(auditor, "export_entries", at=JOURNAL, query=f"?q={named('B')}", select_across="1")
    )

    assert [(row["actor"], row["message"], row["outcome"]) for row in staff] == [
        ("mira", "Called.", "NOTED")
    ]
    assert {row["order_id"] for row in about} == {named("B")}
    assert steps()[0] == "Exported journal entries, all journal entries with Source: Staff: 1 row"


def test_the_semicolon_file_with_a_decimal_comma_is_reached_from_the_lists(auditor):
    Order.objects.update(cash_amount="9.10")

    rows = table(take(auditor, "export_orders", str(P), csv_format="semicolon"), ";")

    assert {row["cash_amount"] for row in rows} == {"9,10"}
    assert (held()["delimiter"], held()["decimal"]) == ("semicolon", "comma")
    assert 'name="csv_format"' in html(auditor.get(LIST))


@pytest.mark.parametrize("at", [f"{LIST}{P}/", f"{ORDERS}{named('A')}/"])
def test_the_pages_of_orders_have_their_history_and_their_executions_in_either_format(at, auditor):
    Order.objects.filter(pk=named("A")).update(cash_amount="9.10")
    assert 'name="csv_format"' in html(auditor.get(f"{at}change/"))

    history = table(auditor.post(f"{at}history_csv/", {"csv_format": "semicolon"}), ";")
    executions = table(auditor.post(f"{at}executions_csv/"))

    assert {row["cash_amount"] for row in history if row["order_id"] == named("A")} == {"9,10"}
    assert {row["order_id"] for row in executions} <= {named("A"), named("B")}
    assert len(steps()) == 2


@pytest.mark.parametrize("name", ["history_csv", "executions_csv"])
def test_there_is_no_file_of_an_order_that_is_not_known(name, auditor):
    assert auditor.post(f"{ORDERS}{named('nobody')}/{name}/").status_code == 404
    assert steps() == []


def test_what_a_file_held_can_be_made_again_from_its_audit_entry(auditor):
    query = f"?status=NEW&placed=30d&q={named('Q')}"
    rows = table(take(auditor, "export_portfolio_orders", query=query, select_across="1"))

    said = held()
    assert said["selection"]["filters"] == {"Status": "New", "Placed": "Last 30 days"}
    assert said["selection"]["search"] == named("Q")
    assert said["columns"] == list(rows[0])
    again = table(
        take(
            auditor,
            "export_portfolio_orders",
            query=f"?{said['selection']['query']}",
            select_across="1",
        )
    )
    assert again == rows

    take_two = table(take(auditor, "export_orders", str(P)))
    assert held()["selection"]["ids"] == [str(P)]
    assert take_two == table(take(auditor, "export_orders", *held()["selection"]["ids"]))


@pytest.mark.parametrize("group", ["Viewer", "Auditor"])
def test_the_page_of_an_audit_entry_says_in_words_what_the_file_held(group, auditor):
    table(take(auditor, "export_orders", query="?status=NEW", select_across="1"))
    entry = JournalEntry.objects.get(type="EXPORT")

    shown = words(browser(group, name=group).get(f"{JOURNAL}{entry.pk}/change/"))

    assert "File orders, columns of version v1" in shown
    assert "Rows 1" in shown
    assert "Filters Status: New" in shown
    assert "Format Comma-separated, decimal point, with a byte order mark" in shown
    assert "Columns order_id, portfolio_order_id, portfolio_order_status" in shown
    assert ("Raw payload" in shown) == (group == "Auditor")


def test_an_audit_entry_of_an_older_release_has_its_page(auditor):
    entry = journal.record_step(
        "Exported orders, all: 3 rows", actor="mira", now=NOW, type_="EXPORT"
    )

    assert "Contents of the file" not in words(auditor.get(f"{JOURNAL}{entry.pk}/change/"))


def test_a_file_that_broke_off_says_so_in_its_entry(auditor, monkeypatch):
    break_off(monkeypatch)

    with pytest.raises(OSError, match="disk"):
        b"".join(auditor.post(HISTORY).streaming_content)

    assert (held()["is_whole"], held()["rows"]) == (False, 0)


def test_without_any_row_ticked_nothing_is_exported_unless_all_that_match_are_meant(auditor):
    response = take(auditor, "export_orders", query="?status=NEW")
    assert response["Location"] == f"{LIST}?status=NEW"
    assert "No row is selected. Nothing was done." in words(auditor.get(LIST))
    assert not take(auditor, "export_orders", select_across="0").streaming
    assert take(auditor, "export_orders", select_across=["0", "1"]).streaming
