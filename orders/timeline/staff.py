"""Words for what staff did, and for what upstream answered to it. Pure."""

from orders.timeline.items import Item
from orders.timeline.seen import Seen

ANSWER = "broker's answer to the placement"


def heading(item: Item, entry: Seen) -> str:
    """Return the heading of an entry of staff: "Submitted by tina", "Note by mira"."""
    if item.is_told_in_full:
        return entry.message.partition(": ")[0]
    if entry.placement_id:
        return f"The {ANSWER}"
    return f"Note by {entry.actor}" if entry.actor else "Note"


def said(item: Item, entry: Seen) -> str:
    """Return what is to be said below the heading."""
    return entry.message.partition(": ")[2] if item.is_told_in_full else entry.message


def whole(item: Item, entry: Seen, text: str) -> str:
    """Return all in one, for the CSV: ``text`` is what is said about it; a note is only its text."""
    if item.is_told_in_full:
        return entry.message
    return f"{heading(item, entry)}. {text}".strip() if entry.placement_id else text
