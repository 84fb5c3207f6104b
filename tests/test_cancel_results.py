"""What became of cancellations, with the stand-in's market: races, refusals, mixed children, lost webhooks."""

from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import facts, rebuild
from orders.cancelling import looking, requesting, sending
from orders.cancelling.outcome import Fate
from orders.cancelling.results import results
from orders.lifecycle import Kind
from orders.models import Cancellation, JournalEntry, Order, PortfolioOrder
from orders.timeline.history import history_of, history_of_order
from orders.timeline.sentences import sentence, title
from tests.cancelling import in_the_middle, placed, statuses
from tests.stories import event, order
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def sent(pk, kind=Kind.PORTFOLIO_ORDER):
    return sending.send(requesting.request(kind, pk, actor="tina").pk)


def result(held):
    return results([Cancellation.objects.get(pk=held.pk)], now=timezone.now())[held.pk]


def until_over(upstream, held, *, delivers):
    """Let time pass, with or without webhooks, until nothing more is to be sent or looked for."""
    for _ in range(300):
        events = upstream.wait(seconds=5)
        if delivers:
            receive(events)
        if held.pk in sending.due(now=timezone.now()):
            sending.send(held.pk)
        if Cancellation.objects.get(pk=held.pk).next_attempt_at is None:
            return
    raise AssertionError("still under way")


@pytest.mark.parametrize("delivers", [True, False])
def test_a_new_portfolio_order_ends_cancelled(upstream, delivers):
    pk = placed(upstream)
    held = sent(pk)
    assert result(held).fate is Fate.TAKEN
    until_over(upstream, held, delivers=delivers)

    assert PortfolioOrder.objects.get(pk=pk).cancellation_reason == "CANCELLED_BY_CLIENT"
    assert result(held).sentence == "Cancelled."


@pytest.mark.parametrize("delivers", [True, False])
def test_one_in_the_middle_ends_with_mixed_children(upstream, delivers):
    pk = in_the_middle(upstream)
    held = sent(pk)
    until_over(upstream, held, delivers=delivers)

    of = Order.objects.filter(portfolio_order_id=pk)
    filled, cancelled = of.filter(status="FILLED").count(), of.filter(status="CANCELLED").count()
    it = result(held)
    assert it.fate is Fate.PARTLY
    said = f"Partly cancelled: {cancelled} of {of.count()} orders cancelled, {filled} filled"
    assert it.sentence.startswith(said)
    assert PortfolioOrder.objects.get(pk=pk).status == "CANCELLED"


@pytest.mark.parametrize("delivers", [True, False])
def test_orders_that_the_venue_keeps_are_filled_though_the_rest_is_cancelled(upstream, delivers):
    upstream.manners.mixed = True
    pk = in_the_middle(upstream)
    held = sent(pk)
    if delivers:
        receive(upstream.wait(seconds=2))
        told = JournalEntry.objects.filter(type="ORDER_CANCELLATION.REJECTED").count()
        assert f"could not cancel {told} of" in result(held).sentence
    until_over(upstream, held, delivers=delivers)

    assert PortfolioOrder.objects.get(pk=pk).status == "FILLED"
    assert statuses(pk) == {"FILLED", "CANCELLED"}
    it = result(held)
    assert it.fate is Fate.PARTLY
    assert "The portfolio order ended as Filled." in it.sentence


@pytest.mark.parametrize("delivers", [True, False])
def test_a_fill_that_wins_the_race_is_shown_as_such(upstream, delivers):
    pk = placed(upstream)
    upstream.manners.takes = timedelta(minutes=20)
    held = sent(pk)
    assert held.state == "TAKEN"
    until_over(upstream, held, delivers=delivers)

    assert PortfolioOrder.objects.get(pk=pk).status in {"FILLED", "SETTLED"}
    assert result(held).sentence == "Filled before the request arrived."


@pytest.mark.parametrize("delivers", [True, False])
def test_a_single_order_that_fills_first_is_shown_with_the_rejection(upstream, delivers):
    pk = upstream.place_order()
    receive(upstream.events())
    upstream.manners.takes = timedelta(minutes=20)
    held = sent(pk, Kind.ORDER)
    until_over(upstream, held, delivers=delivers)
    receive(upstream.wait(minutes=20))

    assert Order.objects.get(pk=pk).status == "FILLED"
    assert result(held).sentence == (
        "Filled before the request arrived. The broker reported that it could not cancel it."
    )


def test_a_rejection_while_the_order_goes_on_is_a_refusal(upstream):
    pk = upstream.place_order(order_type="LIMIT", quantity="5", limit_price="10")
    receive(upstream.wait(minutes=1))
    upstream.manners.heeds = False
    held = sent(pk, Kind.ORDER)
    receive(upstream.wait(seconds=2))

    assert result(held).fate is Fate.REFUSED
    upstream.manners.heeds = True
    again = sent(pk, Kind.ORDER)  # it is no longer under way
    receive(upstream.wait(seconds=2))
    assert result(again).sentence == "Cancelled."


def test_an_order_traded_in_part_is_cancelled_in_part(upstream):
    pk = placed(upstream)
    traded = None
    while traded is None:
        receive(upstream.wait(seconds=5))
        of = Order.objects.filter(portfolio_order_id=pk, status="PROCESSING")
        traded = of.filter(executions__isnull=False).first()
    upstream.manners.heeds = True
    held = sent(traded.pk, Kind.ORDER)
    receive(upstream.wait(seconds=2))

    it = result(held)
    assert (it.fate, it.sentence) == (
        Fate.PARTLY,
        "Partly cancelled: what was already executed stands.",
    )


def test_a_cancellation_changes_nothing_that_a_rebuild_would_not_find(upstream):
    pk = in_the_middle(upstream)
    held = sent(pk)
    until_over(upstream, held, delivers=True)

    assert list(rebuild.compare()) == []


def test_a_list_asks_the_same_for_one_and_for_many(upstream):
    for _ in range(6):
        sent(placed(upstream))
        receive(upstream.wait(seconds=9))
    held = list(Cancellation.objects.all())
    counts = []
    for some in (held[:1], held):
        with CaptureQueriesContext(connection) as statements:
            assert len(results(some, now=timezone.now())) == len(some)
        counts.append(len(statements))

    assert counts[0] == counts[1] <= 3


@pytest.mark.parametrize("name", facts.REASONS)
def test_a_rejection_is_told_with_its_reason_where_it_has_one(upstream, name):
    pk = upstream.place_order(order_type="LIMIT", quantity="5", limit_price="10")
    receive(upstream.wait(minutes=1))
    upstream.manners.heeds = False
    held = sent(pk, Kind.ORDER)
    (event,) = upstream.wait(seconds=2)
    event["object"] |= {"reason": None, name: " Too late. "}
    receive([event])

    assert result(held).sentence == (
        "Request accepted at first. The broker reported that it could not cancel it: Too late. The order stays open."
    )
    item = history_of_order(Order.objects.get(pk=pk)).items[-1]
    assert title(item) == "The broker refused to cancel the order"
    assert sentence(item, UTC) == "Too late."


@pytest.mark.parametrize("odd", [3, [], {"a": 1}, " ", None])
def test_a_reason_that_is_no_text_is_none(upstream, odd):
    pk = upstream.place_order()
    receive(upstream.events())
    rejected = {"id": str(uuid4()), "order_id": str(pk), "reason": odd}
    made = {"id": str(uuid4()), "type": "ORDER_CANCELLATION.REJECTED", "object": rejected}
    receive([made])

    entry = JournalEntry.objects.get(type="ORDER_CANCELLATION.REJECTED")
    assert (entry.message, entry.outcome) == ("", "NO_CHANGE")


def rejection(**fields):
    return {"id": str(uuid4()), "type": facts.CANCELLATION + ".REJECTED", "object": fields}


@pytest.mark.parametrize("name", ["order", "portfolio_order"])
def test_a_rejection_may_name_its_object_by_the_object_itself(name):
    named, other = uuid4(), str(uuid4())
    for named_so in ({name: {"id": str(named), "status": "NEW"}}, {name: str(named)}):
        told = facts.describe_event(rejection(id=other, **named_so), now=timezone.now())
        assert getattr(told, f"{name}_id") == named
        assert {told.order_id, told.portfolio_order_id} == {named, None}


def test_a_rejection_with_an_id_of_its_own_is_about_the_portfolio_order_that_it_names(upstream):
    pk = placed(upstream)
    held = sent(pk)
    upstream.wait(seconds=2)
    receive([rejection(id=str(uuid4()), portfolio_order_id=str(pk), reason="TOO_LATE")])

    entry = JournalEntry.objects.get(type="ORDER_CANCELLATION.REJECTED")
    assert (entry.portfolio_order_id, entry.order_id, entry.message) == (pk, None, "TOO_LATE")
    assert result(held).fate is Fate.REFUSED
    assert "could not cancel it: TOO_LATE. The order stays open." in result(held).sentence
    (item,) = (
        it
        for it in history_of(PortfolioOrder.objects.get(pk=pk)).items
        if it.entry and it.entry.id == entry.pk
    )
    assert title(item) == "The broker refused to cancel the portfolio order"
    assert sentence(item, UTC) == "TOO_LATE"
    assert looking.is_over(held)
    assert not Order.objects.filter(fact="", status="").exists()
    assert list(rebuild.compare()) == []


@pytest.mark.parametrize(
    ("fields", "parent", "about"),
    [
        ({"id": "N", "order_id": "A"}, None, "A"),
        ({"id": "N", "order_id": "A", "portfolio_order_id": "P"}, None, "A"),
        ({"id": "N", "order_id": "ORD-1", "portfolio_order_id": "P"}, "P", None),
        ({"id": "N", "order_id": None, "portfolio_order_id": ""}, None, "N"),
        ({"order_id": {}, "portfolio_order_id": "P"}, "P", None),
        ({"id": "P", "orders": []}, "P", None),
        ({"id": "A"}, None, "A"),
    ],
)
def test_a_rejection_is_about_what_it_names_and_makes_no_row_of_it(fields, parent, about):
    ids = {name: uuid4() for name in "NAP"}
    receive(
        [
            rejection(
                **{
                    name: str(ids.get(it, it)) if isinstance(it, str) else it
                    for name, it in fields.items()
                }
            )
        ]
    )

    entry = JournalEntry.objects.get()
    assert entry.outcome == "NO_CHANGE"
    assert (entry.portfolio_order_id, entry.order_id) == (ids.get(parent), ids.get(about))
    assert not Order.objects.exists()
    assert not PortfolioOrder.objects.exists()
    assert list(rebuild.compare()) == []


def test_a_rejection_that_names_nothing_is_quarantined():
    receive([rejection(order_id="ORD-1", reason="TOO_LATE")])

    assert JournalEntry.objects.get().outcome == "QUARANTINED"


def test_a_rejection_that_came_before_its_order_is_in_its_history():
    pk = uuid4()
    receive([rejection(id=str(pk), reason="TOO_LATE")])
    receive([event("ORDER.NEW", order() | {"id": str(pk)})])

    history = history_of_order(Order.objects.get(pk=pk))
    assert "TOO_LATE" in {sentence(item, UTC) for item in history.items}
