from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from orders import bulk
from orders.models import Order, PortfolioOrder

pytestmark = pytest.mark.django_db

ONE, TWO = UUID(int=1), UUID(int=2)
MOMENT = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)


def test_every_kind_of_value_comes_back_as_it_was_written():
    odd = 'NUL-free " \\ {,} ü \t'
    bulk.insert(Order, [Order(pk=ONE, portfolio_order_id=TWO, created_at=MOMENT, problems=3)])
    bulk.insert(Order, [Order(pk=TWO, check_error=odd)])

    one, two = Order.objects.order_by("pk")
    assert (one.portfolio_order_id, one.created_at, one.problems) == (TWO, MOMENT, 3)
    assert (two.portfolio_order_id, two.created_at, two.check_error) == (None, None, odd)


def test_an_insert_leaves_the_rows_there_are_and_says_how_many_it_added():
    bulk.insert(Order, [Order(pk=ONE, status="NEW")])

    assert bulk.insert(Order, [Order(pk=ONE, status="FILLED"), Order(pk=TWO)]) == 1
    assert Order.objects.get(pk=ONE).status == "NEW"


def test_an_upsert_writes_all_columns_but_those_it_is_told_to_leave():
    bulk.insert(Order, [Order(pk=ONE, status="NEW", check_error="old")])
    rows = [Order(pk=ONE, status="FILLED", check_error="new"), Order(pk=TWO, check_error="new")]
    bulk.upsert(Order, rows, but={"check_error"})

    found = Order.objects.order_by("pk").values_list("status", "check_error")
    assert list(found) == [("FILLED", "old"), ("", "new")]


def test_a_text_too_long_for_its_column_is_refused_and_not_cut():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite knows no lengths; they are checked where a payload is read")
    with pytest.raises(DatabaseError), transaction.atomic():
        bulk.insert(Order, [Order(pk=ONE, currency="E" * 256)])


@pytest.mark.parametrize("count", [1, 1000])
def test_any_number_of_rows_is_one_statement(count):
    with CaptureQueriesContext(connection) as queries:
        bulk.upsert(PortfolioOrder, [PortfolioOrder(pk=UUID(int=n)) for n in range(count)])

    assert len(queries) == 1
    assert PortfolioOrder.objects.count() == count


def test_any_of_finds_what_in_finds():
    bulk.insert(Order, [Order(pk=ONE, portfolio_order_id=TWO), Order(pk=TWO)])

    assert set(Order.objects.filter(pk__any_of=[ONE, TWO, UUID(int=3)]).values_list("pk")) == {
        (ONE,),
        (TWO,),
    }
    assert Order.objects.filter(portfolio_order__pk__any_of=[TWO]).get().pk == ONE


def test_any_of_nothing_asks_the_database_nothing():
    with CaptureQueriesContext(connection) as queries:
        assert list(Order.objects.filter(pk__any_of=[])) == []

    assert len(queries) == 0


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL compresses by itself")
@pytest.mark.parametrize(
    ("table", "column"), [("orders_journalentry", "payload"), ("webhooks_delivery", "body")]
)
def test_payloads_are_compressed_with_lz4_where_the_server_has_it(table, column):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
        )
        (has_lz4,) = cursor.fetchone() or (False,)
        cursor.execute(
            "SELECT attcompression FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            [table, column],
        )
        (method,) = cursor.fetchone()

    assert (method == "l") is has_lz4
