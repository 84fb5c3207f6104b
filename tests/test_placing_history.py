"""A placement on the history of its portfolio order: from "submitted by" on, on the page and in the CSV."""

import csv
import io
from datetime import UTC
from uuid import UUID

import pytest

from backoffice.sandbox import Trouble
from orders import rebuild
from orders.export import files
from orders.export.selection import Selection
from orders.models import JournalEntry, PortfolioOrder
from orders.placing import placing
from orders.timeline.history import history_of
from orders.timeline.items import Filter, ItemKind
from orders.timeline.sentences import sentence, title
from tests.staff import JOURNAL, browser, page, words
from tests.test_placing import PATH, order_of, wait_until_due, wish
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db

KEY = UUID("3d0c4f9e-7c1b-4d52-9a61-000000000500")  # its second attempt comes within 5 s


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def portfolio_order(upstream):
    """A portfolio order that was placed with its second attempt, since the first found the line cut."""
    upstream.place()  # an installation that has its webhooks
    receive(upstream.events())
    upstream.wait(minutes=1)
    placement = placing.place(wish(), actor="tina", key=KEY)
    upstream.expect(Trouble("cut", path=PATH))
    placing.send(placement.pk)
    wait_until_due(upstream, placement)
    placement = placing.send(placement.pk)
    return order_of(placement)


def headings(portfolio_order):
    return [
        title(item) or f"{item.to_status} {item.kind}" for item in history_of(portfolio_order).items
    ]


def placed(portfolio_order):
    return [
        "Submitted by tina",
        "Sent automatically, attempt 1 (requested by tina)",
        "No answer to attempt 1",
        "Sent again automatically, attempt 2 (requested by tina)",
        f"Accepted by the broker as portfolio order {portfolio_order.pk}",
    ]


def find(portfolio_order, kind, status=""):
    """Return the one item of a kind and status."""
    items = history_of(portfolio_order).items
    (item,) = [it for it in items if it.kind is kind and it.to_status == status]
    return item


def rows(portfolio_order):
    selection = Selection.of(PortfolioOrder.objects.filter(pk=portfolio_order.pk))
    text = b"".join(files.order_history(selection).chunks(bom=False)).decode()
    return list(csv.DictReader(io.StringIO(text)))


def webhook(upstream, portfolio_order):
    events = [it for it in upstream.events() if it["object"]["id"] == str(portfolio_order.pk)]
    receive(events)


def test_the_history_begins_with_who_submitted_it(portfolio_order):
    assert headings(portfolio_order) == [*placed(portfolio_order), "NEW missed_webhook"]


def test_the_page_tells_the_steps_of_the_placement(portfolio_order):
    shown = words(browser().get(page(portfolio_order.pk)))

    for heading in placed(portfolio_order):
        assert heading in shown
    assert "The connection was closed before an answer came" in shown
    assert "Known from the broker's answer to the placement at" in shown


def test_the_steps_are_under_checks_and_staff_and_the_answer_is_a_step_of_the_order(
    portfolio_order,
):
    history = history_of(portfolio_order)

    assert [title(it) for it in history.shown(Filter.CHECKS)] == placed(portfolio_order)
    assert [it.to_status for it in history.shown(Filter.PORTFOLIO_ORDER)] == ["NEW"]


def test_before_its_webhook_the_order_is_known_from_the_answer(portfolio_order):
    item = find(portfolio_order, ItemKind.MISSED_WEBHOOK, "NEW")

    assert item.is_waiting
    assert sentence(item, UTC) == (
        "Webhook PORTFOLIO_ORDER.NEW has not arrived yet."
        " Known from the broker's answer to the placement at 09:01:04."
    )


def test_a_webhook_that_comes_in_time_is_a_clean_step(upstream, portfolio_order):
    webhook(upstream, portfolio_order)

    item = find(portfolio_order, ItemKind.TRANSITION, "NEW")
    assert item.source == "WEBHOOK"
    assert sentence(item, UTC) == ""
    answer = find(portfolio_order, ItemKind.NOTE, "NEW")
    assert title(answer) == "The broker's answer to the placement"


def test_a_late_webhook_says_that_the_answer_had_told(upstream, portfolio_order):
    events = upstream.events()
    upstream.wait(minutes=5)
    receive([it for it in events if it["object"]["id"] == str(portfolio_order.pk)])

    said = sentence(find(portfolio_order, ItemKind.TRANSITION, "NEW"), UTC)
    assert said.startswith("Already known from the broker's answer to the placement at 09:01:04")
    assert said.endswith("the webhook arrived 5 min late.")


def test_a_webhook_that_never_comes_is_not_called_recovered_by_poll(upstream, portfolio_order):
    upstream.wait(minutes=20)

    said = sentence(find(portfolio_order, ItemKind.MISSED_WEBHOOK, "NEW"), UTC)
    assert said == (
        "Expected webhook PORTFOLIO_ORDER.NEW never arrived."
        " Known from the broker's answer to the placement at 09:01:04."
    )


def test_the_csv_has_a_row_for_each_step_of_the_placement(portfolio_order):
    first, *others = [it for it in rows(portfolio_order) if it["entry_type"] == "note"]

    assert (first["source"], first["actor"], first["message"]) == (
        "STAFF", "tina", "Submitted by tina",
    )  # fmt: skip
    assert first["portfolio_order_id"] == str(portfolio_order.pk)
    assert [it["message"].partition(": ")[0] for it in others] == placed(portfolio_order)[1:]
    step = next(it for it in rows(portfolio_order) if it["to_status"] == "NEW")
    assert (step["entry_type"], step["source"], step["actor"]) == ("transition", "STAFF", "")


def test_the_steps_cost_no_query_of_their_own(portfolio_order, django_assert_num_queries):
    orders = list(portfolio_order.orders.all())
    history_of(portfolio_order, orders)

    with django_assert_num_queries(1):
        history_of(portfolio_order, orders)


def test_the_steps_of_one_placement_are_on_its_own_order_only(upstream, portfolio_order):
    other = placing.send(placing.place(wish(), actor="otto").pk)

    history = history_of(order_of(other))
    assert {it.entry.actor for it in history.items if it.entry} == {"", "otto"}


def test_a_rebuild_says_the_same(portfolio_order):
    assert list(rebuild.compare()) == []


def test_the_answer_can_be_read_on_its_journal_page(portfolio_order):
    entry = JournalEntry.objects.get(portfolio_order_id=portfolio_order.pk)

    shown = words(browser().get(f"{JOURNAL}{entry.pk}/change/"))
    assert "Applied: our first report of this portfolio order. It says New." in shown
