"""What an export held, as its audit entry keeps it -> lines for people. Pure."""

import json
from collections.abc import Mapping
from typing import Any

SHOWN = 200  # ids


def held_by_file(payload: bytes) -> list[tuple[str, str]]:
    """Return (label, value) of what a file held; nothing where the entry of an older release does not say."""
    try:
        held: Any = json.loads(payload)
    except ValueError:
        return []
    if not isinstance(held, dict):
        return []
    lines = [
        ("File", f"{held.get('file', '')}, columns of version {held.get('version', '')}"),
        ("Rows", f"{held.get('rows', 0):,}" + ("" if held.get("is_whole") else ", broken off")),
        *_selected(held.get("selection") or {}),
        ("Format", _format(held)),
        ("Columns", ", ".join(held.get("columns") or ["none was written"])),
    ]
    return [(label, value) for label, value in lines if value]


def _selected(selection: Mapping[str, Any]) -> list[tuple[str, str]]:
    ids = [str(it) for it in selection.get("ids") or selection.get("portfolio_order_ids") or ()]
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    filters = selection.get("filters") or {}
    return [
        ("Selection", str(selection.get("words", ""))),
        ("Filters", ", ".join(f"{title}: {value}" for title, value in filters.items())),
        ("Search", str(selection.get("search", ""))),
        ("IDs", ", ".join(ids[:SHOWN]) + more),
    ]


def _format(held: Mapping[str, Any]) -> str:
    mark = "with" if held.get("byte_order_mark") else "without"
    return (
        f"{held.get('delimiter', '')}-separated, decimal {held.get('decimal', '')}, "
        f"{mark} a byte order mark"
    ).capitalize()
