"""CSV files taken in the browser: what they hold, who may, and how a broken one ends."""

import csv
import io
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine

from orders import journal, projection
from orders.export import cells, files
from orders.models import JournalEntry
from tests.staff import LIST, browser, html
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


def take(client, action, *pks, query="", **more):
    return client.post(
        f"{LIST}{query}", {"action": action, "_selected_action": list(pks), "index": 0} | more
    )


def table(response):
    assert response.streaming
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


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


def test_the_selection_is_exported(auditor):
    rows = table(take(auditor, "export_orders", str(P)))

    assert {row["order_id"] for row in rows} == {named("A"), named("B")}
    assert steps() == ["Exported orders, 1 selected: 2 rows"]


def test_all_that_match_the_filter_are_exported(auditor):
    new = table(take(auditor, "export_history", str(P), query="?status=NEW", select_across="1"))
    everything = table(take(auditor, "export_history", str(P), select_across="1"))

    assert {row["portfolio_order_id"] for row in new} == {named("Q")}
    assert {row["portfolio_order_id"] for row in everything} == {named("P"), named("Q")}
    assert steps()[0].startswith("Exported order history, all matching status=NEW: ")
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


def test_a_failure_in_the_middle_breaks_the_connection_and_is_noted(auditor, monkeypatch):
    def breaks(*_, **__):
        yield ("portfolio_order_id",)
        yield ("1",)
        raise OSError("the disk is gone")

    monkeypatch.setattr(files, "_history", breaks)

    response = auditor.post(HISTORY)
    with pytest.raises(OSError, match="disk"):
        b"".join(response.streaming_content)

    assert steps() == [
        f"Export of order history, portfolio order {P}: broken off after 1 row (OSError)"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_goes_away_ends_the_snapshot_and_is_noted(auditor, monkeypatch):
    monkeypatch.setattr(cells, "CHUNK", 0)
    response = auditor.post(HISTORY)
    body = response._iterator
    assert len([next(body) for _ in range(3)]) == 3  # the header and two rows
    body.close()  # as a server does

    assert steps() == [
        f"Export of order history, portfolio order {P}: broken off after 2 rows (the reader went away)"
    ]
