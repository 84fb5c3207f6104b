"""Lists, filters and searches that are answered from an index, however many rows there are."""

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from backoffice import admin
from backoffice.together import Rows, ask
from orders import search
from orders.models import Order, PortfolioOrder
from tests.staff import browser
from tests.stories import named

pytestmark = pytest.mark.django_db
ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="the plans of PostgreSQL"
)


def plan(rows):
    """Return the plan of a query where reading the whole table costs too much."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


@pytest.mark.parametrize("path", ["portfolioorder", "order"])
def test_a_row_of_a_list_tells_itself_whether_it_is_stale(path):
    client = browser()
    with CaptureQueriesContext(connection) as statements:
        client.get(f"/admin/orders/{path}/")

    (rows,) = [it["sql"] for it in statements if 'AS "is_stale"' in it["sql"]]
    assert "EXISTS" not in rows


@ON_POSTGRESQL
@pytest.mark.parametrize(
    "model, given, index",
    [
        (PortfolioOrder, {"type": "REBALANCING"}, "portfolioorder_by_type"),
        (Order, {"side": "SELL"}, "order_by_side"),
        (Order, {"status": "PROCESSING"}, "order_by_status"),
    ],
)
def test_a_filter_reads_the_rows_of_its_value_alone(model, given, index):
    assert index in plan(model.objects.filter(**given)[:50])


@ON_POSTGRESQL
def test_a_search_by_isin_asks_the_index_of_orders():
    found = search.portfolio_orders(PortfolioOrder.objects.all(), "IE00B4L5Y983")

    assert "order_instrument_of" in plan(found[:50])
    assert ask(rows=Rows(found, admin.CAP + 1)) == {"rows": 0}


@ON_POSTGRESQL
def test_orders_of_an_isin_come_in_the_order_of_the_list_from_one_index():
    found = search.orders(Order.objects.all(), "IE00B4L5Y983")

    assert "order_by_instrument" in plan(found.order_by(F("created_at").desc(nulls_last=True))[:50])


def test_a_page_far_from_the_first_skips_keys_and_not_rows(monkeypatch):
    Order.objects.bulk_create(Order(pk=named(f"order {n}")) for n in range(12))
    rows = Order.objects.order_by("pk")
    near = admin.CappedPaginator(rows, 5).page(3)
    monkeypatch.setattr(admin, "DEEP", 5)

    with CaptureQueriesContext(connection) as statements:
        far = admin.CappedPaginator(rows, 5).page(3)

    assert [row.pk for row in far] == [row.pk for row in near]
    skipping = [it["sql"] for it in statements if "OFFSET 10" in it["sql"]]
    assert skipping and not any("client_reference" in sql for sql in skipping)
