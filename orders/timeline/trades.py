"""The words for what an EXECUTION event says of its execution. Pure."""

import json

from orders.attributes import CURRENT, FIXED, UnreadableError
from orders.lifecycle import Kind
from orders.timeline.seen import Trade

DONE = {"BUY": "Bought", "SELL": "Sold"}


def trade_of(payload: bytes) -> Trade | None:
    """Return what a stored event says of its execution; None where that cannot be read."""
    try:
        said = json.loads(payload, parse_float=str)["object"]
        known = {
            name: str(read(said, name) or "")
            for columns in (FIXED, CURRENT)
            for name, read in columns[Kind.EXECUTION].items()
        }
    except (KeyError, TypeError, ValueError, UnreadableError):
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


def sentence(trade: Trade, word: str) -> str:
    """Return an execution in one sentence; ``word`` is what became of it: FILLED, SETTLED, CANCELLED."""
    what = f"{trade.quantity or 'an unknown quantity'} at {trade.price or 'an unknown price'}"
    whole = f"{what} {trade.currency}".rstrip()
    if trade.amount:
        whole = f"{whole} for {trade.amount} {trade.currency}".rstrip()
    if word == "CANCELLED":
        return f"{whole} counts for nothing any more."
    tax = f", tax {trade.tax} {trade.currency}".rstrip() if trade.tax.strip("0.") else ""
    day = f", settlement date {trade.settles_on}" if trade.settles_on else ""
    return f"{DONE.get(trade.side, 'Traded')} {whole}{tax}{day}."
