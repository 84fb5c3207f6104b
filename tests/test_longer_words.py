"""Words that are longer than any we knew, or new: kept whole, shown as they are, marked as unknown."""

from uuid import UUID

import pytest
import time_machine

from orders import rebuild, search
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.words import KNOWN, is_known
from tests.listed import NOW, receive
from tests.staff import LIST, ORDERS, browser, html, page, words
from tests.stories import event, execution, named, order, portfolio_order

P, A = UUID(named("P")), UUID(named("A"))
INSTRUMENT = "7d3f5f0e-9f7c-4a3b-8a51-0a4b5a0f4f11"
LONG = "A_WORD_THAT_NO_RELEASE_HAS_EVER_SEEN_" * 6  # 222 characters

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


def desk():
    """Receive a portfolio order and an order of it with words that this release does not know."""
    receive(
        event(
            "PORTFOLIO_ORDER.PROCESSING",
            portfolio_order(
                "PROCESSING",
                3,
                type="CASH_DISTRIBUTION",
                currency="USDT",
                initiation_flow="ROBO_ADVICE",
            ),
        ),
        event(
            "ORDER.CANCELLED",
            order("A", "CANCELLED", 9, executions=[("X", "FILLED")], instrument_id=INSTRUMENT)
            | {"order_type": "TRAILING_STOP", "currency": "USDT", "side": "SELL_SHORT"}
            | {
                "execution_flow": "DARK_POOL_AUCTION_OF_THE_NIGHT",
                "cancellation_reason": "KILL_SWITCH",
            },
        ),
    )


def test_words_are_kept_whole():
    desk()

    parent, held = PortfolioOrder.objects.get(), Order.objects.get()
    assert (parent.type, parent.currency, parent.initiation_flow) == (
        "CASH_DISTRIBUTION",
        "USDT",
        "ROBO_ADVICE",
    )
    assert (held.order_type, held.currency, held.side) == ("TRAILING_STOP", "USDT", "SELL_SHORT")
    assert (held.instrument_id, held.execution_flow) == (
        INSTRUMENT,
        "DARK_POOL_AUCTION_OF_THE_NIGHT",
    )
    assert held.cancellation_reason == "KILL_SWITCH"
    assert not (parent.problems or held.problems)
    assert list(rebuild.compare()) == []


@pytest.mark.parametrize(
    "name",
    ["currency", "client_reference", "initiation_flow", "instrument_id", "side", "order_type", "execution_flow"],
)  # fmt: skip
def test_every_word_of_an_order_may_be_as_long_as_that(name):
    receive(event("ORDER.NEW", order("A") | {name: LONG}))

    assert getattr(Order.objects.get(), name) == LONG


def test_a_status_and_a_type_may_be_as_long_as_that():
    receive(event(f"ORDER.{LONG}", order("A", LONG)))

    entry = JournalEntry.objects.get()
    assert (entry.type, entry.status, Order.objects.get().status) == (f"ORDER.{LONG}", LONG, LONG)


def test_words_of_an_execution_are_kept_whole():
    receive(event("EXECUTION.FILLED", execution("X", side=LONG, currency=LONG, venue_id=LONG)))

    held = Execution.objects.get()
    assert (held.side, held.currency, held.venue_id) == (LONG, LONG, LONG)


@pytest.mark.parametrize("length", [256, 100_000])
def test_a_word_longer_than_anything_sane_is_not_cut_but_left_out_and_named(length):
    receive(event("ORDER.NEW", order("A", currency="EUR")))
    receive(event("ORDER.PROCESSING", order("A", "PROCESSING", 3, currency="E" * length)))

    held = Order.objects.get()
    assert (held.status, held.currency, held.unreadable) == ("PROCESSING", "EUR", "currency")


def test_pages_show_unknown_words_as_they_are_and_mark_them():
    desk()
    client = browser()

    text = html(client.get(f"{ORDERS}{A}/change/"))
    for word, what in [
        ("TRAILING_STOP", "an order type"),
        ("SELL_SHORT", "a side"),
        ("DARK_POOL_AUCTION_OF_THE_NIGHT", "an execution flow"),
        ("KILL_SWITCH", "a reason"),
        ("USDT", "a currency"),
        (INSTRUMENT, "an ISIN, the only kind of instrument ID"),
    ]:
        assert word in text
        assert f'title="Not {what} that this release knows"' in text
    text = html(client.get(page(P)))
    for word, what in [
        ("CASH_DISTRIBUTION", "a type"),
        ("ROBO_ADVICE", "an initiation flow"),
        ("USDT", "a currency"),
    ]:
        assert word in text
        assert f'title="Not {what} that this release knows"' in text
    assert "CASH_DISTRIBUTION Unknown" in words(client.get(LIST))
    assert f"{INSTRUMENT} Unknown" in words(client.get(ORDERS))


def test_known_words_carry_no_mark():
    receive(event("ORDER.NEW", order("A")))

    assert "Unknown</span>" not in html(browser().get(f"{ORDERS}{A}/change/")).partition("<main")[2]
    assert all(is_known(name, word) for name, words_ in KNOWN.items() for word in ("", *words_))


@pytest.mark.parametrize("instrument", [INSTRUMENT, "A0RPWH", "BTC", "bond/7"])
def test_an_instrument_whose_id_is_no_isin_is_found(instrument):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event("ORDER.NEW", order("A", instrument_id=instrument)),
        event("ORDER.NEW", order("B")),
    )

    assert [row.pk for row in search.orders(Order.objects.all(), instrument)] == [A]
    assert [
        row.pk for row in search.portfolio_orders(PortfolioOrder.objects.all(), instrument)
    ] == [P]


def test_the_page_names_the_attributes_that_could_not_be_read():
    odd = execution("X", price="?", taxes="none")
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order() | {"account_id": "ACC-1"}))
    receive(
        event(
            "ORDER.FILLED", order("A", "FILLED", 9) | {"fee": {"amount": "1"}, "executions": [odd]}
        )
    )
    client, execution_ = browser(), f"execution {named('X')[:8]}"

    text = words(client.get(f"{ORDERS}{A}/change/"))
    assert (
        f"3 attributes could not be read: fee, price of {execution_}, taxes of {execution_}."
        in text
    )
    assert (
        f"Could not be read and was left out: fee, price of {execution_}, taxes of {execution_}"
        in text
    )
    text = words(client.get(page(P)))
    assert "1 attribute could not be read: account_id." in text
    assert "Unreadable attribute, 1 order: IE00B3XXRP09" in text
    assert named("A")[:8] in words(client.get(f"{ORDERS}?problem=unreadable"))
    assert named("P")[:8] in words(client.get(f"{LIST}?problem=unreadable"))
    entry = JournalEntry.objects.get(order_id=A)
    assert "could not be read and was left out: fee" in words(
        client.get(f"/admin/orders/journalentry/{entry.pk}/change/")
    ).replace("Could", "could")
