import json
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connection

from orders import journal, projection, search
from orders.cancelling import steps, words
from orders.models import (
    Cancellation,
    JournalEntry,
    Order,
    Placement,
    PortfolioOrder,
    Reconciliation,
)
from tests.stories import START, event, execution, named, order, portfolio_order
from webhooks.found import deliveries
from webhooks.models import Delivery, Subscription

pytestmark = pytest.mark.django_db

P, A, X, ACCOUNT = (UUID(named(name)) for name in ("P", "A", "X", "account"))


@pytest.fixture
def known():
    events = [
        event("PORTFOLIO_ORDER.NEW", portfolio_order(client_reference="=plan_50% a"), name="E1"),
        event("ORDER.NEW", order("A"), name="E2"),
        event("ORDER.FILLED", order("A", "FILLED", 9, executions=[("X", "FILLED")]), name="E3"),
        event("EXECUTION.FILLED", execution("X"), name="E4"),
        event(
            "PORTFOLIO_ORDER.NEW",
            portfolio_order(name="Q", account_id=named("other"), client_reference="planZ"),
            name="E5",
        ),
    ]
    journal.record_events(events, delivery_id=1, now=START)
    journal.record_events(events[:1], delivery_id=2, now=START)
    projection.drain(now=START)


def found(which, model, text):
    return set(which(model.objects.all(), text).values_list("pk", flat=True))


@pytest.mark.parametrize(
    "text",
    [
        named("P"), named("P")[:8], named("P").upper(), named("A"), named("A")[:8], named("E1"),
        named("E2"), named("account"), named("account")[:8], "=plan_50%", "IE00B3XXRP09",
    ],
)  # fmt: skip
def test_a_portfolio_order_is_found_by_anything_that_belongs_to_it(known, text):
    assert found(search.portfolio_orders, PortfolioOrder, text) == {P}


@pytest.mark.parametrize(
    "text",
    [
        named("A"), named("A")[:8], named("P"), named("P")[:8], named("E3"), named("E4"),
        named("X"), named("account"), "IE00B3XXRP09", "=plan_50%",
    ],
)  # fmt: skip
def test_an_order_is_found_by_anything_that_belongs_to_it(known, text):
    assert found(search.orders, Order, text) == {A}


@pytest.mark.parametrize(("text", "count"), [
    (named("E1"), 2), (named("E2"), 1), (named("E1")[:8], 2), (named("P"), 2), (named("A"), 3),
    ("=plan", 2), ("IE00B3XXRP09", 3), ("nothing of the kind", 0),
])  # fmt: skip
def test_entries_are_found_by_event_with_its_repeats_and_by_what_they_are_about(known, text, count):
    assert len(found(search.entries, JournalEntry, text)) == count


def test_signs_with_a_meaning_in_patterns_are_only_signs(known):
    assert found(search.portfolio_orders, PortfolioOrder, "=plan_5%0") == set()
    assert found(search.portfolio_orders, PortfolioOrder, "%") == set()
    assert found(search.portfolio_orders, PortfolioOrder, "plan_") == set()


def test_nothing_pasted_leaves_the_list_as_it_is(known):
    assert len(found(search.portfolio_orders, PortfolioOrder, " ")) == 2


VENUE = named("venue")


@pytest.fixture
def traded(known):
    """Executions at two venues, one of which is told by a code."""
    at = {"X": VENUE, "Y": VENUE, "Z": "XETR"}
    events = [
        event("EXECUTION.FILLED", execution(name, order=f"of {name}", venue_id=venue))
        for name, venue in at.items()
    ]
    events += [event("ORDER.NEW", order(f"of {name}", parent="P")) for name in at]
    journal.record_events(events, delivery_id=3, now=START)
    projection.drain(now=START)


@pytest.mark.parametrize(("text", "names"), [
    (VENUE, "XY"), (VENUE[:8], "XY"), (VENUE.upper(), "XY"), (VENUE.replace("-", "")[:13], "XY"),
    ("XETR", "Z"), ("XET", ""), (named("another venue"), ""),
])  # fmt: skip
def test_orders_are_found_by_the_venue_of_their_executions(traded, text, names):
    assert found(search.orders, Order, text) == {UUID(named(f"of {name}")) for name in names}
    assert found(search.portfolio_orders, PortfolioOrder, text) == ({P} if names else set())


def test_of_a_venue_with_most_of_the_table_the_first_thousands_are_found(traded, monkeypatch):
    monkeypatch.setattr(search, "AT_ONE_VENUE", 1)

    assert len(found(search.orders, Order, VENUE)) == 1


@pytest.mark.parametrize("text", [named("request"), named("request")[:8]])
def test_a_cancellation_is_found_by_the_request_that_the_broker_refused(known, text):
    refused = {"state": "REFUSED", "requested_by": "mira", "requested_at": START}
    asked = Cancellation.objects.create(order_id=A, **refused)
    other = Cancellation.objects.create(order_id=UUID(named("B")), **refused)
    error = f"DELETE /orders/1: 409 Conflict (request id {named('request')})"
    for it, message in ((asked, error), (other, "503")):
        steps.note(it, words.REFUSED, message, now=START)

    assert found(search.cancellations, Cancellation, text) == {asked.pk}


@pytest.mark.parametrize("text", [named("request"), named("request")[:8]])
def test_a_reconciliation_is_found_by_the_request_that_ended_it(text):
    ended, *_ = (
        Reconciliation.objects.create(scope="OPEN", state="FAILED", started_at=START, reason=reason)
        for reason in (f"GET /orders: 403 (request id {named('request')})", "403", "")
    )

    assert found(search.reconciliations, Reconciliation, text) == {ended.pk}


LARGE = [
    """INSERT INTO orders_portfolioorder (id, status, fact, currency, cash_amount, client_reference,
    initiation_flow, cancellation_reason, announced, problems, heard_via, checks, check_error, type,
    cancellation_details, created_at, account_id, allocation_id)
    SELECT gen_random_uuid(), 'FILLED', '', 'EUR', '1', 'ref-' || n, 'API', '', '', 0, 'WEBHOOK', 0,
    '', 'BUY', '', now(), gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 30000) AS n""",
    """INSERT INTO orders_order (id, status, fact, currency, cash_amount, client_reference,
    initiation_flow, cancellation_reason, announced, problems, heard_via, checks, check_error,
    created_at, account_id, portfolio_order_id, instrument_id, side, order_type, execution_flow)
    SELECT gen_random_uuid(), 'FILLED', '', 'EUR', '1', id::text, 'PORTFOLIO', '', '', 0, 'WEBHOOK',
    0, '', created_at, account_id, id, 'DE0008404005', 'BUY', 'MARKET', ''
    FROM orders_portfolioorder""",
    """INSERT INTO orders_journalentry (order_id, source, outcome, event_id, type, status,
    occurred_at, recorded_at, actor, message) SELECT id, 'WEBHOOK', 'APPLIED', gen_random_uuid(),
    'ORDER.FILLED', 'FILLED', now(), now(), '', '' FROM orders_order""",
    """INSERT INTO orders_journalentry (order_id, source, outcome, type, status, occurred_at,
    recorded_at, actor, message) SELECT id, 'POLL', 'NO_CHANGE', 'ORDER', 'FILLED', now(), now(),
    '', 'request ' || gen_random_uuid() FROM orders_order""",
    """INSERT INTO orders_execution (id, order_id, status, fact, attribute_facts, unreadable, side,
    currency, cash_amount, share_quantity, price, venue_id, tax) SELECT gen_random_uuid(), id,
    'FILLED', '', '', '', 'BUY', 'EUR', '1', '1', '1', 'the great exchange', '' FROM orders_order""",
    "ANALYZE orders_portfolioorder, orders_order, orders_journalentry, orders_execution",
]
TERMS = [
    VENUE, "XETR",
    named("P"), named("P")[:8], "plan", "IE00B3XXRP09", "1042", "123456",
    f"{named('P')} {named('A')} {named('X')[:8]} {named('E1')[:8]}", "SP2026112201, SP2026112202",
]  # fmt: skip
WAYS: list[Any] = [
    (search.portfolio_orders, PortfolioOrder), (search.orders, Order), (search.entries, JournalEntry),
    (search.placements, Placement), (search.cancellations, Cancellation), (deliveries, Delivery),
    (search.reconciliations, Reconciliation), (search.by_own_id, Subscription),
]  # fmt: skip


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
def test_no_search_reads_a_large_table(known):
    with connection.cursor() as cursor:
        for statement in LARGE:
            cursor.execute(statement)
    for text in TERMS:
        for which, model in WAYS:
            rows = which(model.objects.order_by(), text)
            if rows.query.is_empty():  # nothing of the kind can have it: the database is not asked
                continue
            try:
                plan = json.loads(rows.explain(format="json", analyze=True))[0]["Plan"]
            except EmptyResultSet:
                continue
            read = sum(map(rows_read, scans(plan)))
            assert read < 3000, (which, text)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="asks SQLite for its plan")
@pytest.mark.parametrize("text", TERMS)
@pytest.mark.parametrize(("which", "model"), WAYS)
def test_no_search_reads_a_whole_table(known, which, model, text):
    try:
        plan = which(model.objects.order_by(), text).explain()
    except EmptyResultSet:
        return
    # A constant row, and what a part of the statement found, are no tables.
    read = [line for line in plan.splitlines() if " SCAN " in f" {line}"]
    assert [line for line in read if "orders_" in line or "webhooks_" in line] == []


def rows_read(scan):
    """Return how many rows a scan has read, those that it left out included."""
    found = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    return found * scan["Actual Loops"]


def test_whether_a_text_begins_with_another_tells_capital_letters_and_patterns_apart(known):
    rows = PortfolioOrder.objects.filter(client_reference__begins="=plan_50%")

    assert [row.pk for row in rows] == [P]
    for text in ("=PLAN", "=plan_5%", "=plan?", "%", "=plan_50% ab"):
        assert not PortfolioOrder.objects.filter(client_reference__begins=text).exists()


def scans(node):
    """Yield the nodes of a plan that read a table or an index, bitmaps by their index."""
    if node["Node Type"].endswith("Scan") and node["Node Type"] != "Bitmap Heap Scan":
        yield node
    for child in node.get("Plans", []):
        yield from scans(child)
