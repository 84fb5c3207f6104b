"""What is compared where a desk is held against upstream's truth."""

from datetime import datetime
from typing import Any

from orders.models import Execution, Order, PortfolioOrder

TEXTS = {
    "portfolio_orders": (
        "account_id", "allocation_id", "cancellation_details", "cancellation_reason",
        "cash_amount", "client_reference", "currency", "initiation_flow", "status", "type",
    ),
    "orders": (
        "account_id", "cancellation_reason", "cash_amount", "client_reference", "currency",
        "execution_flow", "fee", "initiation_flow", "instrument_id", "limit_price", "order_type",
        "portfolio_order_id", "quantity", "side", "status", "stop_price",
    ),
    "executions": (
        "cash_amount", "currency", "order_id", "price", "share_quantity", "side", "venue_id",
    ),
}  # fmt: skip
MODELS: dict[str, type[Any]] = {
    "portfolio_orders": PortfolioOrder,
    "orders": Order,
    "executions": Execution,
}


def told(kind, document):
    """Return what is compared of an object as upstream has it."""
    texts = {name: document.get(name) or "" for name in TEXTS[kind]}
    if kind == "executions":
        return texts
    return texts | {at: datetime.fromisoformat(document[at]) for at in ("created_at", "updated_at")}


def shown(kind, row):
    """Return the same of an object as the desk holds it."""
    texts = {name: str(row[name] or "") for name in TEXTS[kind]}
    return texts | {at: row[at] for at in ("created_at", "updated_at") if at in row}


def differences(upstream):
    """Return each object that this process's desk holds otherwise than a sandbox, lacks, or has made up."""
    truth = {
        "portfolio_orders": upstream.market.portfolio_orders(),
        "orders": upstream.market.orders(),
    }
    parents = {it["id"]: po["id"] for po in truth["portfolio_orders"] for it in po["orders"]}
    for order in truth["orders"]:
        order["portfolio_order_id"] = parents.get(order["id"])
    truth["executions"] = [it for order in truth["orders"] for it in order["executions"]]
    found = []
    for kind, model in MODELS.items():
        expected = {it["id"]: told(kind, it) | {"status": it["status"]} for it in truth[kind]}
        rows = {
            str(row["id"]): shown(kind, row) | {"status": row["status"]}
            for row in model.objects.values()
        }
        found += [
            (kind, pk, expected.get(pk), rows.get(pk))
            for pk in expected.keys() | rows.keys()
            if expected.get(pk) != rows.get(pk)
        ]
    return found
