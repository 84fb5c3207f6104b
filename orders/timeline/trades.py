"""The words for what an EXECUTION event says of its execution. Pure."""

from collections.abc import Mapping
from typing import Any

from backoffice.foreign_json import parse
from orders.attributes import CURRENT, FIXED, NAMES, Column, UnreadableError
from orders.lifecycle import Kind
from orders.timeline.seen import Trade

COLUMNS = {**FIXED[Kind.EXECUTION], **CURRENT[Kind.EXECUTION]}
DONE = {"BUY": "Bought", "SELL": "Sold"}


def trade_of(payload: bytes) -> Trade | None:
    """Return what a stored event says of its execution; None where that cannot be read."""
    try:
        said = parse(payload)["object"]
        known = {name: _text(said, name, column) for name, column in COLUMNS.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return Trade(
        side=known["side"],
        quantity=known["share_quantity"],
        price=known["price"],
        amount=known["cash_amount"],
        tax=known["tax"],
        currency=known["currency"],
        settles_on=known["settlement_date"],
    )


def _text(said: Mapping[str, Any], name: str, column: Column) -> str:
    try:
        return str(column(said, NAMES.get(name, name)) or "")
    except UnreadableError:
        return ""


def sentence(trade: Trade, word: str) -> str:
    """Return an execution in one sentence; ``word`` is what became of it: FILLED, SETTLED, CANCELLED."""
    what = f"{trade.quantity or 'an unknown quantity'} at {trade.price or 'an unknown price'}"
    whole = f"{what} {trade.currency}".rstrip()
    if trade.amount:
        whole = f"{whole} for {trade.amount} {trade.currency}".rstrip()
    if word == "CANCELLED":
        return f"Trade reversed: {whole} no longer counts."
    tax = f", tax {trade.tax} {trade.currency}".rstrip() if trade.tax.strip("0.") else ""
    day = f", settlement date {trade.settles_on}" if trade.settles_on else ""
    return f"{DONE.get(trade.side, 'Traded')} {whole}{tax}{day}."
