"""Pages, endpoint and file of portfolio orders of thousands of orders: bounded in bytes, tags and statements."""

import csv
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.export import files, histories, selection
from orders.export.selection import Selection
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.timeline.long import LongHistory
from orders.version import version_of
from tests.large import at, large
from tests.staff import browser, html, page, words

pytestmark = pytest.mark.django_db
ORDERS = "/admin/orders/order/"
SOME, MANY = 300, 1500


@pytest.fixture
def client():
    return browser()


def weighed(client, path, query=None):
    """Return the bytes, the tags and the statements of a page; the first view warms what a process keeps."""
    client.get(path, query)
    with CaptureQueriesContext(connection) as asked:
        text = html(client.get(path, query))
    return len(text.encode()), text.count("<"), len(asked)


@pytest.mark.parametrize("query", [{}, {"show": "problems"}, {"order": "oldest"}, {"orders": "3"}])
def test_the_page_of_fifteen_hundred_orders_is_as_heavy_as_that_of_three_hundred(client, query):
    some = weighed(client, page(large(SOME, name="some").pk), query)
    many = weighed(client, page(large(MANY, name="many").pk), query)

    assert many[2] == some[2] <= 40
    assert many[0] < 500_000
    assert many[1] < 15_000


def test_all_numbers_of_a_page_are_those_of_all_orders(client):
    large(MANY)
    row = large(MANY, name="other")

    text = words(client.get(page(row.pk)))

    filled = Order.objects.filter(portfolio_order=row, status="FILLED").count()
    assert f"{filled} of {MANY} orders filled" in text
    assert (
        f"All {JournalEntry.objects.filter(order_id__in=row.orders.values('pk')).count() + 33}"
        in text
    )
    assert f"Orders 1 to 50 of {MANY:,}" in text
    assert f"{MANY - 50:,} others" in text
    assert f"{filled * 250:,}.00 EUR" in text  # bought
    assert f"{filled} orders settled" in text


def test_open_orders_and_those_with_a_problem_stand_on_the_first_page(client):
    row = large(SOME)
    odd = row.orders.filter(status="FILLED").order_by("pk")[0]
    Order.objects.filter(pk=odd.pk).update(problems=1)

    shown = client.get(page(row.pk)).context["orders"]

    assert [order.status for order in shown[:3]] == ["PROCESSING"] * 3
    assert shown[3].pk == odd.pk


def test_every_order_stands_on_one_of_the_pages(client):
    row = large(SOME)

    seen = [
        order.pk
        for number in range(1, SOME // 50 + 1)
        for order in client.get(page(row.pk), {"orders": str(number)}).context["orders"]
    ]

    assert sorted(seen) == sorted(row.orders.values_list("pk", flat=True))


@pytest.mark.parametrize("asked", ["0", "-1", "x", "²", "9" * 30, "7"])
def test_a_page_of_orders_that_is_not_there_is_the_nearest(client, asked):
    row = large(SOME)

    assert len(client.get(page(row.pk), {"orders": asked}).context["orders"]) == 50


def test_a_link_to_an_entry_opens_the_page_that_has_it(client):
    row = large(SOME)
    entries = JournalEntry.objects.filter(order_id__in=row.orders.values("pk")).order_by("pk")
    for entry in (entries[0], entries[SOME * 2], entries.latest("pk")):
        for query in ({}, {"order": "oldest"}, {"show": "orders"}):
            text = html(client.get(page(row.pk), {"entry": str(entry.pk), **query}))
            assert f'id="entry-{entry.pk}"' in text


def test_the_others_share_a_lane_that_says_how_many_are_in_each_status(client):
    row = large(SOME)

    text = html(client.get(page(row.pk)))

    lane = re.search(r'aria-label="(Other orders: [^"]+)"', text)
    assert lane
    statuses = {"filled": 0, "cancelled": 0, "processing": 0}
    for count, status in re.findall(r"([\d,]+) (\w+)", lane[1]):
        statuses[status] = int(count.replace(",", ""))
    assert sum(statuses.values()) == SOME - 50
    assert text.count('<th scope="row"><span class="name"><span class="lane-') == 51


def test_ten_thousand_orders_that_only_a_list_names_have_a_light_page(client):
    row = large(10_000, events=0, polls=3)

    size, tags, statements = weighed(client, page(row.pk))

    assert size < 500_000
    assert tags < 15_000
    assert statements <= 40


def test_a_portfolio_order_with_thousands_of_events_has_a_light_page(client):
    row = large(3, of_itself=5000, polls=0)

    size, tags, _ = weighed(client, page(row.pk))

    assert size < 500_000
    assert tags < 15_000
    assert "of 5012" in words(client.get(page(row.pk)))


def test_an_order_with_thousands_of_entries_has_a_light_page(client):
    order = large(3, polls=0).orders.earliest("pk")
    JournalEntry.objects.bulk_create(
        JournalEntry(
            order_id=order.pk,
            source="POLL",
            outcome="NO_CHANGE",
            type="ORDER",
            status="FILLED",
            occurred_at=at(400),
            recorded_at=at(1000 + 60 * n),
        )
        for n in range(5000)
    )

    size, tags, statements = weighed(client, f"{ORDERS}{order.pk}/change/")

    assert size < 300_000
    assert tags < 10_000
    assert statements <= 20
    assert "of 5004" in words(client.get(f"{ORDERS}{order.pk}/change/"))


def test_a_thousand_repeats_of_one_event_are_counted_and_not_read(client):
    row = large(SOME)
    first = JournalEntry.objects.filter(order_id__in=row.orders.values("pk")).latest(
        "occurred_at", "pk"
    )
    JournalEntry.objects.bulk_create(
        JournalEntry(
            order_id=first.order_id,
            source="WEBHOOK",
            outcome="NO_CHANGE",
            repeat_of=first.event_id,
            type=first.type,
            status=first.status,
            occurred_at=first.occurred_at,
            recorded_at=first.recorded_at,
        )
        for _ in range(1000)
    )

    text = words(client.get(page(row.pk), {"entry": str(first.pk), "show": "problems"}))

    assert "delivered 1001x, applied once" in text or "1000 duplicates ignored" in text


def test_the_version_of_a_large_portfolio_order_takes_one_statement(django_assert_num_queries):
    row = large(MANY)

    with django_assert_num_queries(1):
        assert version_of(Kind.PORTFOLIO_ORDER, row.pk) > MANY * 3


def rows_of(row, make=files.order_history):
    """Return the file of one portfolio order, as lists of cells without the header."""
    file = make(Selection.of(PortfolioOrder.objects.filter(pk=row.pk)))
    return list(csv.reader(b"".join(file.chunks(bom=False)).decode().splitlines()))[1:]


@pytest.mark.parametrize("make", [files.order_history, files.orders])
def test_the_file_of_a_long_history_is_that_of_one_that_is_read_whole(make, monkeypatch):
    row = large(12, polls=12)
    whole = rows_of(row, make)
    monkeypatch.setattr(selection, "MANY", 5)
    monkeypatch.setattr(histories, "AT_ONCE", 7)
    monkeypatch.setattr(selection, "BATCH_OF_ORDERS", 5)

    assert rows_of(row, make) == whole
    assert len(whole) >= 12


def test_a_long_history_is_exported_in_parts_that_stay_small(monkeypatch):
    row = large(SOME)
    held = []
    read = LongHistory.every

    def watched(self, at_once):
        for rows, items in read(self, at_once):
            held.append(len(items))
            yield rows, items

    monkeypatch.setattr(LongHistory, "every", watched)

    found = rows_of(row)

    assert len(found) == sum(held) == JournalEntry.objects.count()
    assert max(held) <= histories.AT_ONCE
    assert [int(cells[4]) for cells in found] == list(range(1, len(found) + 1))
