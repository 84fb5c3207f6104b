"""Large portfolio orders, written to the tables at once: what thousands of deliveries and polls leave behind."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source

SPACE = UUID("00000000-0000-4000-8000-00000000000a")
BEGUN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACCOUNT = uuid5(SPACE, "account")
AT_ONCE = 1000
STEPS = (("NEW", 0), ("PROCESSING", 60), ("FILLED", 300))
ISINS = [f"IE00B{n:06}9" for n in range(400)]


def large(
    orders: int, *, name: str = "large", polls: int = 30, events: int = 4, of_itself: int = 3
) -> PortfolioOrder:
    """Make a filled portfolio order of so many orders, each filled with one execution.

    Each order has ``events`` events (NEW, PROCESSING, the execution, FILLED; of fewer the first), the
    portfolio order ``of_itself`` and ``polls`` answers, each of which lists all orders. Every tenth
    order is cancelled, every hundredth is still processing.
    """
    pk = uuid5(SPACE, name)
    parent = PortfolioOrder.objects.create(
        pk=pk,
        type="BUY",
        allocation_id=uuid5(SPACE, "allocation"),
        **_tracked("PROCESSING", pk, at(0)),
    )
    rows = [_order(name, n, pk) for n in range(orders)]
    Order.objects.bulk_create(rows, batch_size=AT_ONCE)
    trades = [_execution(row, n) for n, row in enumerate(rows) if row.status == "FILLED"]
    Execution.objects.bulk_create(trades, batch_size=AT_ONCE)
    entries = [entry for n, row in enumerate(rows) for entry in _events(row, n, events=events)]
    entries += [
        _entry(f"{name} own {n}", f"PORTFOLIO_ORDER.{word}", word, n, portfolio_order_id=pk)
        for n in range(of_itself)
        for word in (("NEW", "PROCESSING")[min(n, 1)],)
    ]
    listed = json.dumps({"orders": [_line(row) for row in rows]}).encode() if polls else b""
    entries += [_poll(pk, n, listed) for n in range(polls)]
    JournalEntry.objects.bulk_create(entries, batch_size=AT_ONCE)
    return parent


def at(seconds: float) -> datetime:
    """Return a moment of the story."""
    return BEGUN + timedelta(seconds=seconds)


def _status(number: int) -> str:
    if number % 100 == 7:
        return "PROCESSING"
    return "CANCELLED" if number % 10 == 3 else "FILLED"


def _order(name: str, number: int, parent: UUID) -> Order:
    status, pk = _status(number), uuid5(SPACE, f"{name} {number}")
    began = at(number % 50)
    ended = {"FILLED": "filled_at", "CANCELLED": "cancelled_at"}.get(status)
    return Order(
        pk=pk,
        portfolio_order_id=parent,
        instrument_id=ISINS[number % len(ISINS)],
        side="BUY",
        order_type="MARKET",
        execution_flow="STRAIGHT_THROUGH",
        quantity="2.5",
        fee="0.10",
        processing_at=began + timedelta(seconds=60),
        **({ended: began + timedelta(seconds=300 + number % 97)} if ended else {}),
        **_tracked(status, pk, began),
    )


def _tracked(status: str, pk: UUID, created_at: datetime) -> dict[str, object]:
    words = {"PROCESSING": "NEW PROCESSING", "CANCELLED": "CANCELLED NEW PROCESSING"}
    return {
        "status": status,
        "fact": f"3 20260302T090000.000000 0 0 {pk}",
        "account_id": ACCOUNT,
        "currency": "EUR",
        "cash_amount": "250.00",
        "initiation_flow": "PORTFOLIO",
        "created_at": created_at,
        "updated_at": created_at,
        "announced": words.get(status, "FILLED NEW PROCESSING"),
        "heard_at": created_at,
        "heard_via": Source.WEBHOOK,
        "news_at": created_at,
    }


def _execution(row: Order, number: int) -> Execution:
    return Execution(
        pk=uuid5(SPACE, f"trade {row.pk}"),
        order_id=row.pk,
        status="SETTLED" if number % 2 else "FILLED",
        fact=f"1 20260302T090000.000000 0 0 {row.pk}",
        side="BUY",
        currency="EUR",
        cash_amount="250.00",
        share_quantity="2.5",
        price="100.00",
        transaction_time=row.filled_at,
        tax="0.25",
        settlement_date=BEGUN.date(),
    )


def _events(row: Order, number: int, *, events: int) -> list[JournalEntry]:
    began = number % 50
    last = {"CANCELLED": ["CANCELLED"], "PROCESSING": []}.get(row.status, ["EXECUTION", "FILLED"])
    words = ["NEW", "PROCESSING", *last][:events]
    moments = {"NEW": 0, "PROCESSING": 60}
    return [
        _entry(
            f"{row.pk} {word}",
            "EXECUTION.FILLED" if word == "EXECUTION" else f"ORDER.{word}",
            "FILLED" if word == "EXECUTION" else word,
            began + moments.get(word, 300 + number % 97),
            order_id=row.pk,
        )
        for word in words
    ]


def _entry(name: str, type_: str, status: str, seconds: float, **about: UUID) -> JournalEntry:
    event_id = uuid5(SPACE, name)
    said = {"id": str(event_id), "type": type_, "object": {"id": "x" * 36, "padding": "x" * 500}}
    return JournalEntry(
        source=Source.WEBHOOK,
        outcome=Outcome.APPLIED,
        event_id=event_id,
        delivery_id=1,
        type=type_,
        status=status,
        occurred_at=at(seconds),
        recorded_at=at(seconds + 1.2),
        applied_at=at(seconds + 1.3),
        payload=json.dumps(said).encode(),
        **about,
    )


def _poll(pk: UUID, number: int, listed: bytes) -> JournalEntry:
    moment = at(900 + 900 * number)
    return JournalEntry(
        portfolio_order_id=pk,
        source=Source.POLL,
        outcome=Outcome.NO_CHANGE,
        type="PORTFOLIO_ORDER",
        status="PROCESSING",
        occurred_at=at(60),
        recorded_at=moment,
        applied_at=moment,
        message=f"request {number}",
        payload=listed,
    )


def _line(row: Order) -> dict[str, str]:
    return {"id": str(row.pk), "side": "BUY", "status": row.status}
