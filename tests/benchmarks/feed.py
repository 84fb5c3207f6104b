"""Events of many portfolio orders, each with two orders and from new to settled, as upstream sends them."""

import json
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from tests.stories import at, event, execution, named, order, portfolio_order

RATE = 50  # portfolio orders a second: their lives overlap, so a batch meets each but a few times
Event = dict[str, Any]


def events(start: int = 0) -> Iterator[Event]:
    """Yield events without end: twelve for each portfolio order, in time's order."""
    for number in count(start):
        yield from life(number)


def life(number: int) -> list[Event]:
    """Return the events of one portfolio order, placed 20 ms after the one before: no two share an id."""
    p, a, b, x = (f"{name}{number}" for name in "PABX")
    placed = number / RATE

    def parent(status, seconds, *listed):
        lines = list(zip((a, b), listed, strict=False))
        more = {"created_at": at(placed), "account_id": named(f"account{number}")}
        upstream = portfolio_order(status, placed + seconds, lines, name=p, **more)
        return event(f"PORTFOLIO_ORDER.{status}", upstream)

    def child(name, status, seconds, **more):
        return event(f"ORDER.{status}", order(name, status, placed + seconds, parent=p, **more))

    def trade(status, **more):
        return event(f"EXECUTION.{status}", execution(x, status, order=a, **more))

    return [
        parent("NEW", 0),
        child(a, "NEW", 1),
        child(b, "NEW", 1),
        child(a, "PROCESSING", 3),
        parent("PROCESSING", 3, "PROCESSING", "NEW"),
        child(b, "PROCESSING", 4),
        trade("FILLED"),
        child(a, "FILLED", 20, executions=[(x, "FILLED")]),
        child(b, "CANCELLED", 21, cancellation_reason="CANCELLED_BY_CLIENT"),
        parent("FILLED", 22, "FILLED", "CANCELLED"),
        trade("SETTLED", settlement_date="2026-03-03"),
        parent("SETTLED", 90, "FILLED", "CANCELLED"),
    ]


def bodies(size: int, number: int, *, start: int) -> list[bytes]:
    """Return the bodies of deliveries of ``size`` events each."""
    stream = events(start)
    return [json.dumps({"payload": list(islice(stream, size))}).encode() for _ in range(number)]
