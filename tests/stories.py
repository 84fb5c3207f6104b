"""Histories of orders for tests: events and answers in upstream's shapes, with every field set on purpose."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

SAMPLES = Path(__file__).parent / "samples"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPACE = UUID("00000000-0000-4000-8000-000000000000")


def named(name):
    """Return an id that is the same in every run."""
    return str(uuid5(SPACE, name))


def at(seconds):
    """Return upstream's text for a moment of the story."""
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def portfolio_order(status="NEW", seconds=0, orders=(), name="P", **more):
    """Return a portfolio order as upstream sends it; ``orders`` are (name, status)."""
    return {
        "id": named(name),
        "created_at": at(0),
        "updated_at": at(seconds),
        "account_id": named("account"),
        "allocation_id": named("allocation"),
        "cash_amount": "1000.00",
        "currency": "EUR",
        "status": status,
        "type": "BUY",
        "post_tax": False,
        "client_reference": "",
        "initiation_flow": "API",
        "orders": [{"id": named(o), "side": "BUY", "status": s} for o, s in orders],
    } | more


def order(name="A", status="NEW", seconds=1, parent="P", executions=(), **more):
    """Return an order of a portfolio order as upstream sends it; ``executions`` are (name, status)."""
    return {
        "id": named(name),
        "created_at": at(1),
        "updated_at": at(seconds),
        "account_id": named("account"),
        "cash_amount": "250.00",
        "currency": "EUR",
        "side": "BUY",
        "instrument_id": "IE00B3XXRP09",
        "instrument_id_type": "ISIN",
        "order_type": "MARKET",
        "quantity": "2.5000" if status == "FILLED" else "0",
        "limit_price": "",
        "stop_price": "",
        "status": status,
        "fee": "0.0",
        "executions": [execution(e, s, order=name) for e, s in executions],
        "client_reference": named(parent) if parent else "",
        "initiation_flow": "PORTFOLIO" if parent else "API",
        "execution_flow": "STRAIGHT_THROUGH",
    } | more


def execution(name="X", status="FILLED", order="A", **more):
    """Return an execution as upstream sends it."""
    return {
        "id": named(name),
        "order_id": named(order),
        "side": "BUY",
        "currency": "EUR",
        "status": status,
        "cash_amount": "250.00",
        "share_quantity": "2.5000",
        "price": "100.00",
        "transaction_time": at(20),
        "taxes": [{"type": "TOTAL", "amount": "0.10"}],
    } | more


def event(type_, upstream, name=None):
    """Return the webhook event about an upstream object; its id follows from type, object and version."""
    name = name or f"{type_} {upstream['id']} {upstream.get('updated_at')} {upstream['status']}"
    return {
        "id": named(name),
        "created_at": upstream.get("updated_at") or at(20),
        "type": type_,
        "object": upstream,
        "webhook_id": named("subscription"),
    }


def life():
    """Return the events of a portfolio order with two orders, from new to settled, in time's order."""
    return [
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event("ORDER.NEW", order("A")),
        event("ORDER.NEW", order("B")),
        event("ORDER.PROCESSING", order("A", "PROCESSING", 3)),
        event(
            "PORTFOLIO_ORDER.PROCESSING",
            portfolio_order("PROCESSING", 3, [("A", "PROCESSING"), ("B", "NEW")]),
        ),
        event("ORDER.PROCESSING", order("B", "PROCESSING", 4)),
        event("EXECUTION.FILLED", execution("X")),
        event("ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED")])),
        event(
            "ORDER.CANCELLED",
            order("B", "CANCELLED", 21, cancellation_reason="CANCELLED_BY_CLIENT"),
        ),
        event(
            "PORTFOLIO_ORDER.FILLED",
            portfolio_order("FILLED", 22, [("A", "FILLED"), ("B", "CANCELLED")]),
        ),
        event("EXECUTION.SETTLED", execution("X", "SETTLED", settlement_date="2026-03-03")),
        event(
            "PORTFOLIO_ORDER.SETTLED",
            portfolio_order("SETTLED", 90, [("A", "FILLED"), ("B", "CANCELLED")]),
        ),
    ]


def sample(name):
    """Return one of the contract's samples."""
    return json.loads((SAMPLES / f"{name}.json").read_text())
