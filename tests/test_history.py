from datetime import datetime, timedelta
from uuid import UUID

import pytest
import time_machine

from orders import journal, projection
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from orders.timeline.history import history_of, history_of_order
from orders.timeline.items import ItemKind
from orders.tracked import Source
from tests.stories import START, event, life, named, order, portfolio_order, sample

pytestmark = pytest.mark.django_db
NOW = START + timedelta(hours=1)
P, A = UUID(named("P")), UUID(named("A"))


@pytest.fixture(autouse=True)
def _clock():
    with time_machine.travel(NOW, tick=False):
        yield


def receive(*events):
    for n, one in enumerate(events):
        moment = datetime.fromisoformat(one["created_at"]) + timedelta(seconds=1)
        journal.record_events([one], delivery_id=n, now=max(moment, START))
    projection.drain(now=NOW)


def answer(kind, upstream, now):
    about = UUID(upstream["id"])
    journal.record_answer(kind, upstream, about=about, source=Source.POLL, actor="", now=now)
    projection.drain(now=now)


def many(orders):
    names = [f"order {n}" for n in range(orders)]
    lines = [(name, "PROCESSING") for name in names]
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive(event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3, lines)))
    receive(*(event("ORDER.PROCESSING", order(name, "PROCESSING", 3)) for name in names))


def test_the_history_of_a_portfolio_order_has_all_events_of_it_and_of_its_orders():
    receive(*life())

    found = history_of(PortfolioOrder.objects.get(pk=P)).items

    assert {item.entry and item.entry.event_id for item in found} == {
        UUID(one["id"]) for one in life()
    }
    assert len(found) == len(life())


def test_the_history_of_an_order_is_its_part_of_its_portfolio_orders():
    receive(*life())
    whole = history_of(PortfolioOrder.objects.get(pk=P)).items

    part = history_of_order(Order.objects.get(pk=A)).items

    assert list(part) == [item for item in whole if item.subject.id == A]
    assert part


def test_the_guides_own_sample_is_shown_with_its_equal_ids_kept_apart():
    sent = sample("webhook.seed_shape.bare_event")
    receive(sent)

    (item,) = history_of(PortfolioOrder.objects.get(pk=sent["object"]["id"])).items

    assert item.entry
    assert (item.to_status, item.entry.type) == ("PROCESSING", "PORTFOLIO_ORDER.NEW")


@pytest.mark.parametrize("orders", [3, 40])
def test_a_history_takes_the_same_queries_for_any_number_of_orders(
    orders, django_assert_num_queries
):
    many(orders)
    portfolio_order = PortfolioOrder.objects.get(pk=P)

    with django_assert_num_queries(4):  # orders, entries of both kinds, lists: a NEW is missing
        found = history_of(portfolio_order)

    assert len(found.missed) == orders


def test_an_order_known_from_the_list_alone_names_the_list():
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()))
    receive(event("ORDER.NEW", order("A")))
    receive(
        event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3, [("A", "PROCESSING")]))
    )

    (gap,) = history_of(PortfolioOrder.objects.get(pk=P)).missed

    assert gap.told
    assert (gap.expected, gap.told.is_listing) == ("ORDER.PROCESSING", True)
    assert gap.told.entry.type == "PORTFOLIO_ORDER.PROCESSING"


def test_a_lost_webhook_is_missed_where_the_row_says_so():
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order()), event("ORDER.NEW", order("A")))
    receive(event("ORDER.PROCESSING", order("A", "PROCESSING", 3)))
    answer(Kind.ORDER, order("A", "FILLED", 20), START + timedelta(minutes=15))

    (gap,) = history_of(PortfolioOrder.objects.get(pk=P)).missed

    assert (gap.kind, gap.expected) == (ItemKind.MISSED_WEBHOOK, "ORDER.FILLED")
    assert list(Order.objects.missed(now=NOW)) == [Order.objects.get(pk=A)]
