"""How lists are sorted, how many rows and which columns they have, and how they tell times."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import Order, PortfolioOrder
from tests.listed import NOW, receive
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, words
from tests.stories import START, event, named, order, portfolio_order

DELIVERIES = "/admin/webhooks/delivery/"
NAMES = {named(name): name for name in ("small", "large", "odd", "done")}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client():
    return browser()


@pytest.fixture
def some():
    """Four portfolio orders, of which each column has another order."""
    for seconds, (name, status, amount, reference) in enumerate([
        ("small", "NEW", "9.10", "b"), ("large", "PROCESSING", "1000.00", "a"),
        ("odd", "HALTED", "25", ""), ("done", "FILLED", "100.5", "c"),
    ]):  # fmt: skip
        moment = (START + timedelta(seconds=seconds)).isoformat()
        receive(event(f"PORTFOLIO_ORDER.{status}", portfolio_order(
            status, 60, name=name, cash_amount=amount, created_at=moment, client_reference=reference,
        )))  # fmt: skip


def shown(client, path=LIST, **query):
    return [NAMES.get(str(row.pk)) for row in client.get(path, query).context["cl"].result_list]


@pytest.mark.parametrize(("column", "ascending"), [
    ("placed", "small large odd done"),
    ("amount", "small odd done large"),
    ("status_badge", "odd small large done"),
    ("reference", "odd large small done"),
])  # fmt: skip
def test_a_list_is_sorted_by_a_column_and_the_other_way_round(client, some, column, ascending):
    client.get(LIST, {"columns": "all"})
    wanted = ascending.split()

    assert shown(client, o=column) == wanted
    assert shown(client, o=f"-{column}") == wanted[::-1]
    assert [it for it in shown(client, o=column, status="OPEN") if it != "odd"] == [
        it for it in wanted if it in {"small", "large"}
    ]


def test_the_heads_of_columns_lead_to_the_sorted_list_and_say_how_it_is_sorted(client, some):
    page = html(client.get(LIST, {"type": "BUY"}))
    assert "sorted descending" in page
    assert "?o=placed&amp;type=BUY" in page
    assert "?o=amount&amp;type=BUY" in page

    sorted_page = html(client.get(LIST, {"o": "-amount"}))
    assert "?o=amount" in sorted_page
    assert sorted_page.count("sorted descending") == 1


def test_what_no_index_sorts_is_sorted_up_to_as_many_rows_as_are_counted(client, some, monkeypatch):
    monkeypatch.setattr("backoffice.admin.CAP", 3)

    answer = client.get(LIST, {"o": "amount"})
    assert "Too many rows to sort by amount: filter the list to 3 or fewer." in words(answer)
    assert "sorted ascending" not in html(answer)
    assert [NAMES[str(it.pk)] for it in answer.context["cl"].result_list] == shown(client)
    assert shown(client, o="placed") == ["small", "large", "odd", "done"]
    assert "Too many rows" not in words(client.get(LIST, {"o": "amount", "status": "NEW"}))


@pytest.mark.parametrize("query", ["", "o=amount", "o=placed", "o=-status_badge"])
@pytest.mark.parametrize("path", [LIST, ORDERS, JOURNAL, DELIVERIES, "/admin/webhooks/event/"])
def test_a_list_however_it_is_sorted_asks_at_most_six_questions(client, some, path, query):
    client.get(LIST, {"columns": "all"})
    with CaptureQueriesContext(connection) as asked:
        assert html(client.get(f"{path}?{query}"))

    assert len(asked) <= 6, [it["sql"][:90] for it in asked]


@pytest.mark.parametrize("column", ["1", "nonsense", "--placed", "-", "cash_amount", "__class__"])
def test_a_column_that_is_none_leaves_the_list_as_it_is(client, some, column):
    assert shown(client, o=column) == shown(client)


def test_every_column_that_offers_it_sorts_with_and_without_amounts_that_are_none(client):
    receive(
        event("ORDER.NEW", order("A", cash_amount="12")),
        event("ORDER.NEW", order("B", parent=None)),
    )
    Order.objects.filter(pk=named("B")).update(cash_amount="", quantity="")
    for path in (LIST, ORDERS, JOURNAL, DELIVERIES, "/admin/webhooks/event/",
                 "/admin/orders/placement/", "/admin/orders/cancellation/"):  # fmt: skip
        client.get(path, {"columns": "all"})
        changelist = client.get(path).context["cl"]
        for column in changelist.sortable_by:
            for way in ("", "-"):
                assert client.get(path, {"o": f"{way}{column}"}).status_code == 200, (path, column)


def test_rows_times_and_columns_are_chosen_once_and_leave_the_address(client):
    for number in range(60):
        receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(name=f"P{number}")))
    assert len(shown(client)) == 50

    answer = client.get(LIST, {"rows": "25", "status": "NEW"})
    assert answer.url == f"{LIST}?status=NEW"
    assert len(shown(client, JOURNAL)) == 25
    client.get(LIST, {"rows": "100"})
    assert len(shown(client)) == 60

    assert "5 min ago" in words(client.get(LIST))
    client.get(LIST, {"times": "absolute"})
    text = words(client.get(LIST))
    assert "ago" not in text
    assert "2 Mar 2026, 10:00:00" in text
    assert "Times in Europe/Berlin (UTC+1)" in text
    client.get(LIST, {"times": "relative"})
    assert "5 min ago" in words(client.get(LIST))
    assert shown(client, rows="7") == []  # not understood


def test_columns_for_account_and_reference_are_shown_to_those_who_want_all(client, some):
    row = PortfolioOrder.objects.get(pk=named("small"))
    assert "column-reference" not in html(client.get(LIST))

    client.get(ORDERS, {"columns": "all"})
    page = html(client.get(LIST))

    assert "column-reference" in page
    assert f'<a href="{LIST}?q={row.account_id}">' in page
    client.get(LIST, {"columns": "usual"})
    assert "column-reference" not in html(client.get(LIST))
