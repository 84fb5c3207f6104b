import json
from uuid import UUID

import pytest
from django.db import connection

from orders import journal, projection, search
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.search import Id, IdPrefix, Isin, Reference, classify
from tests.stories import START, event, execution, named, order, portfolio_order

pytestmark = pytest.mark.django_db

P, A, X, ACCOUNT = (UUID(named(name)) for name in ("P", "A", "X", "account"))


WHOLE = UUID("01234567-89ab-cdef-0123-456789abcdef")


def between(first, last, text):
    return IdPrefix(UUID(first), UUID(last), text)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        (f" {WHOLE} ", Id(WHOLE, str(WHOLE))),
        (WHOLE.hex.upper(), Id(WHOLE, WHOLE.hex.upper())),
        ("abcdef", between("abcdef" + "0" * 26, "abcdef" + "f" * 26, "abcdef")),
        ("01234567-8", between("012345678" + "0" * 23, "012345678" + "f" * 23, "01234567-8")),
        ("IE00B3XXRP09", Isin("IE00B3XXRP09")),
        ("ie00b3xxrp09", Isin("IE00B3XXRP09")),
        ("abcde", Reference("abcde")),
        ("Order of Ms. O'Hara", Reference("Order of Ms. O'Hara")),
        ("a\x00b", Reference("ab")),
        ("  ", None),
        ("-" * 40, Reference("-" * 40)),
    ],
)
def test_what_was_pasted_is_classified_before_anything_is_asked(text, term):
    assert classify(text) == term


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


@pytest.mark.parametrize("text", [named("P"), named("P")[:8], "plan", "IE00B3XXRP09"])
@pytest.mark.parametrize(
    ("which", "model"),
    [
        (search.portfolio_orders, PortfolioOrder),
        (search.orders, Order),
        (search.entries, JournalEntry),
    ],
)
def test_no_search_reads_a_whole_table(known, which, model, text):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite matches the beginning of a text without an index")
    with connection.cursor() as cursor:
        # With so few rows the planner would rather read the table; where it must not, it shows
        # whether every branch could do without.
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = json.loads(which(model.objects.order_by(), text).explain(format="json"))[0]["Plan"]

    for scan in scans(plan):
        assert scan.get("Index Cond"), scan


def scans(node):
    """Yield the nodes of a plan that read a table or an index, bitmaps by their index."""
    if node["Node Type"].endswith("Scan") and node["Node Type"] != "Bitmap Heap Scan":
        yield node
    for child in node.get("Plans", []):
        yield from scans(child)
