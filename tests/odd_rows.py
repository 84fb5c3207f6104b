"""Rows as no broker should send them, and every one might: by a seed, straight into the tables."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from orders.models import (
    Execution,
    Finding,
    JournalEntry,
    Order,
    PortfolioOrder,
    Reconciliation,
    StepDetail,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TEXTS = [
    "", "", "", "", "BUY", "IE00B3XXRP09", "Depot Müller", "plan 7/2026 (b)", "ünlü", "x.y:z_-",
    "=1+1", "+49 30 1", "-1", "@cmd", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x",
    "\ufe621", " =1", "\u00a0@x", "\u200b=1", "\ufeff-1",
    "\x01=1", "a\x01b", "a\x01=b", "\x02", "a;=1", "a,+1", "a|-1", "a\t@b", "\tb", "\rb", "\nb", "a\nb", "a\r\n=b",
    "a\x85=b", "a\u2028=b", "a\u2029b", "a\x1c=b", "a\vb", "a\fb", 'say "no"', '"=1"', "it's", "a, b", "a; b", "a|b",
    "[1]", "{}", "\\N", "\\", "%s %(x)s", "100%", "🙂 ok", "z🙂", "-", "null", "'=1", "½", "٣", "é", "",
]  # fmt: skip
NUMBERS = [
    "", "", "0", "250.00", "2.5", "-9.10", "0.0", "007", "1E+5", "1e-7", "1.", ".5", "+1", "-0", "3", "10.25",
    "10.2500", "9" * 63 + "." + "0" * 25 + "1",
]  # fmt: skip
NO_NUMBERS = [*NUMBERS, "NaN", "-", "1,5", "12 345", "=1", "1\n"]  # of which nothing is worked out
EXACT = ["0", "250.00", "2.5", "9.10", "0.0", "1E+2", "3", "10.25", "10.2500", "0.333333"]
STATUSES = ["NEW", "PROCESSING", "FILLED", "CANCELLED", "SETTLED", "PAUSED", "=new", "", "filled"]
STEP_TYPES = [
    "",
    "PLACEMENT",
    "CANCELLATION",
    "EXPORT",
    "REPLAY",
    "LOG_IN",
    "RECONCILIATION",
    "ODD",
]
STEP_WORDS = ["", "SENT", "SUBMITTED", "UNKNOWN", "TAKEN", "REFUSED"]
MESSAGES = [
    "Sent to the broker by mira, again", "Processed delivery 12 again", "Reconciliation 7 started", "Note: all is well",
]  # fmt: skip
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(2001, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2002, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2100, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 59, 59, 999_500, UTC),
]  # fmt: skip


class Odd(Random):
    """Makes odd values, and rows of them."""

    def uuid(self) -> UUID:
        """Return an id."""
        return UUID(int=self.getrandbits(128))

    def text(self, length: int = 1000) -> str:
        """Return a text, most often an odd one."""
        return self.choice(TEXTS)[:length]

    def moment(self) -> datetime:
        """Return a moment, now and then a placeholder."""
        near = NOW - timedelta(microseconds=self.randrange(10**12))
        return self.choice([near, near, near.replace(microsecond=0), self.choice(MOMENTS)])

    def maybe(self, value: Any, chance: float = 0.7) -> Any:
        """Return a value, or nothing."""
        return value if self.random() < chance else None

    def tracked(self) -> dict[str, Any]:
        """Return the values that portfolio orders and orders have."""
        moments = (
            "created_at",
            "processing_at",
            "filled_at",
            "cancelled_at",
            "missing_since",
            "heard_at",
            "news_at",
        )
        return {
            "id": self.uuid(),
            "status": self.choice(STATUSES),
            "fact": self.choice(["", "3 x"]),
            "account_id": self.maybe(self.uuid()),
            "currency": self.choice(["EUR", "EUR", "GBP", ""]),
            "cash_amount": self.choice(NUMBERS),
            "client_reference": self.text(),
            "initiation_flow": self.text(),
            "cancellation_reason": self.text(),
            "announced": self.choice(["", "NEW", "FILLED NEW PROCESSING"]),
            "problems": self.choice([0, 0, 1, 2, 4, 6, 32]),
            "heard_via": self.choice(["", "WEBHOOK", "POLL"]),
            **{name: self.maybe(self.moment()) for name in moments},
        }


def fill(seed: int, stories: int = 12) -> Reconciliation:
    """Fill the tables; return a reconciliation with findings."""
    odd = Odd(seed)
    parents = [_parent(odd) for _ in range(stories)]
    PortfolioOrder.objects.bulk_create(parents)
    unknown = [odd.uuid() for _ in range(3)]
    stranger: list[UUID | None] = [None, *unknown]
    orders = [
        _order(odd, parent) for it in parents for parent in [it.pk] * odd.choice([0, 1, 2, 5])
    ] + [_order(odd, parent) for parent in stranger for _ in range(3)]
    Order.objects.bulk_create(orders)
    Execution.objects.bulk_create(
        _execution(odd, it) for it in orders for _ in range(odd.choice([0, 0, 1, 1, 1, 2, 3]))
    )
    entries = JournalEntry.objects.bulk_create(
        [_step(odd) for _ in range(40)]
        + [_repeat(odd, order_id=odd.choice(orders).pk) for _ in range(10)]
        + [_repeat(odd, portfolio_order_id=odd.choice(parents).pk) for _ in range(10)]
    )
    kinds = ["", "user", "order", "=odd"]
    StepDetail.objects.bulk_create(
        StepDetail(
            entry_id=it.pk, subject_kind=odd.choice(kinds), subject_id=odd.text(64), address=odd.text(45),
            times=odd.randrange(1, 99), last_at=odd.maybe(odd.moment()),
        )
        for it in odd.sample(entries, 30)
    )  # fmt: skip
    run = Reconciliation.objects.create(
        scope="WINDOW", state="DONE", account_id=odd.maybe(odd.uuid()), since=odd.maybe(odd.moment()),
        until=odd.maybe(odd.moment()), started_at=NOW,
    )  # fmt: skip
    Finding.objects.bulk_create(
        Finding(
            reconciliation=run, verdict="REPAIRED", detail=odd.text(), found_at=odd.moment(),
            entry_id=odd.maybe(odd.randrange(10**9)),
            **odd.choice([
                {"order_id": odd.choice(orders).pk}, {"order_id": odd.uuid()},
                {"portfolio_order_id": odd.choice(parents).pk},
            ]),
        )
        for _ in range(20)
    )  # fmt: skip
    return run


def _parent(odd: Odd) -> PortfolioOrder:
    return PortfolioOrder(
        **odd.tracked() | {"cash_amount": odd.choice(NO_NUMBERS)}, allocation_id=odd.maybe(odd.uuid()),
        type=odd.text(), settled_at=odd.maybe(odd.moment()), cancellation_details=odd.text(),
    )  # fmt: skip


def _order(odd: Odd, parent: UUID | None) -> Order:
    return Order(
        **odd.tracked(), portfolio_order_id=parent, instrument_id=odd.text(), side=odd.text(),
        order_type=odd.choice(["MARKET", "LIMIT", ""]), quantity=odd.choice(NUMBERS), fee=odd.choice(NO_NUMBERS),
    )  # fmt: skip


def _execution(odd: Odd, order: Order) -> Execution:
    day = odd.choice([date(2026, 3, 3), date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31), None])
    return Execution(
        id=odd.uuid(), execution_id=odd.maybe(odd.uuid(), 0.2), order=order,
        status=odd.choice(["FILLED", "SETTLED", "CANCELLED"]), side=odd.text(), currency=odd.choice(["", "EUR", "EUR"]),
        cash_amount=odd.choice(["", *EXACT]), share_quantity=odd.choice(["", *EXACT]), price=odd.choice(["", *EXACT]),
        tax=odd.choice(["", *EXACT]), venue_id=odd.text(), transaction_time=odd.maybe(odd.moment()),
        settlement_date=day,
    )  # fmt: skip


def _step(odd: Odd) -> JournalEntry:
    about = odd.choice(["portfolio_order_id", "order_id", "placement_id", None])
    return JournalEntry(
        source=odd.choice(["STAFF", "STAFF", "REFETCH", "POLL"]),
        outcome=odd.choice(["NOTED", "NOTED", "FAILED", "NO_CHANGE"]),
        type=odd.choice(STEP_TYPES), status=odd.choice(STEP_WORDS), actor=odd.choice(["", "mira", "=mira", "Sent, by"]),
        message=odd.choice([odd.choice(MESSAGES), odd.text()]), occurred_at=odd.moment(), recorded_at=odd.moment(),
        applied_at=odd.maybe(odd.moment()), **({about: odd.uuid()} if about else {}),
    )  # fmt: skip


def _repeat(odd: Odd, **about: UUID) -> JournalEntry:
    return JournalEntry(
        source="WEBHOOK", outcome="APPLIED", event_id=odd.uuid(), repeat_of=odd.uuid(),
        delivery_id=odd.randrange(10**6),
        type=odd.choice(["ORDER.NEW", odd.text()]), status="NEW", occurred_at=odd.moment(), recorded_at=odd.moment(),
        message=odd.text(), **about,
    )  # fmt: skip


WAYS = [
    ["NEW"], ["NEW", "PROCESSING"], ["NEW", "PROCESSING", "FILLED"], ["NEW", "PROCESSING", "CANCELLED"],
    ["NEW", "CANCELLED"], ["NEW", "PROCESSING", "FILLED", "SETTLED"],
]  # fmt: skip
ODDITIES = [
    "late", "repeated", "differing", "elsewhere", "overtaken", "missed", "asked", "noted", "unknown", "refused",
    "pending", "ahead", "placeholder", "said", "reversed", "conflict", "unknown topic", "placed", "lower case", "named",
    "unread", "at once", "again",
]  # fmt: skip
PLAIN = [
    "late",
    "repeated",
    "named",
    "unread",
    "again",
]  # with these a story is still one for PostgreSQL


def fill_histories(seed: int, stories: int = 30) -> None:
    """Fill the tables with histories: most of them plain but for one or two things, some of them very odd."""
    odd = Odd(seed)
    names: list[UUID | None] = [odd.uuid() for _ in range(stories)]
    for number, parent in enumerate([*names, None, None]):
        is_known = parent is not None and number % 5 != 4
        oddities = odd.choice([PLAIN, PLAIN, ODDITIES])
        for _ in range(odd.choice([0, 1, 2, 4]) + 2 * (not is_known)):
            _history_of(odd, Order, parent, oddities)
        if is_known:
            _history_of(odd, PortfolioOrder, parent, oddities)


def _history_of(odd: Odd, model: Any, parent: UUID | None, among: list[str]) -> None:
    is_order = model is Order
    way = [it for it in odd.choice(WAYS) if not (is_order and it == "SETTLED")]
    oddities = set(odd.sample(among, odd.choice([0, 0, 1, 2, len(among) // 3])))
    created = NOW - timedelta(seconds=odd.randrange(3600, 10**6), microseconds=odd.randrange(10**6))
    row = _order(odd, parent) if is_order else _parent(odd)
    for name, value in {
        "id": row.id if is_order else parent,
        "status": way[-1],
        "created_at": created if odd.random() < 0.9 else None,
        "processing_at": created if "PROCESSING" in way else None,
        "announced": " ".join(sorted(way)) if "missed" not in oddities else "NEW",
        "currency": "EUR",
        "cash_amount": odd.choice(["250.00", "1E+5", ""]),
        **(
            {}
            if odd.random() < 0.3
            else {"client_reference": "plan 7", "side": "BUY", "type": "BUY"}
        ),
        **({} if odd.random() < 0.3 else {"instrument_id": "IE00B3XXRP09"}),
    }.items():
        setattr(row, name, value)
    row.save()
    entries = list(_events(odd, "ORDER" if is_order else "PORTFOLIO_ORDER", way, created, oddities))
    if is_order and "FILLED" in way:
        entries += list(_executions(odd, created, oddities))
    about = {"order_id" if is_order else "portfolio_order_id": row.pk}
    odd.shuffle(entries)
    for entry in entries:
        for name, value in about.items():
            setattr(entry, name, value)
    JournalEntry.objects.bulk_create(entries)


def _entry(odd: Odd, type_: str, status: str, at: datetime, **more: Any) -> JournalEntry:
    delay = timedelta(milliseconds=odd.choice([0, 1, 850, 1999, 30_000]))
    given: dict[str, Any] = {
        "source": "WEBHOOK", "outcome": odd.choice(["APPLIED", "NO_CHANGE"]), "event_id": odd.uuid(), "type": type_,
        "status": status, "occurred_at": at, "recorded_at": at + delay, "delivery_id": 1,
    }  # fmt: skip
    return JournalEntry(**given | more)


def _events(
    odd: Odd, topic: str, way: list[str], created: datetime, oddities: set[str]
) -> Iterator[JournalEntry]:
    for step, word in enumerate(way):
        at = created + timedelta(seconds=step * 3, microseconds=odd.randrange(10**6))
        entry = _entry(odd, f"{topic}.{word}", word, at)
        if "at once" in oddities:
            entry.occurred_at = created.replace(microsecond=0)
        hit = oddities if odd.random() < 0.5 else set[str]()
        yield from _made_odd(odd, entry, topic, hit)


def _made_odd(odd: Odd, entry: JournalEntry, topic: str, hit: set[str]) -> Iterator[JournalEntry]:
    at, word = entry.occurred_at, entry.status
    late = timedelta(seconds=odd.choice([61, 400, 90_000]))
    changes: dict[str, dict[str, Any]] = {
        "late": {"recorded_at": at + late},
        "overtaken": {"recorded_at": at + timedelta(seconds=20)},
        "ahead": {"recorded_at": at - timedelta(seconds=2)},
        "placeholder": {"occurred_at": odd.choice(MOMENTS)},
        "said": {"message": odd.choice(["fee: 'x' is no number", odd.text()])},
        "pending": {"outcome": "PENDING"},
        "refused": {
            "outcome": odd.choice(["QUARANTINED", "DISMISSED", "IGNORED"]),
            "message": odd.text(),
        },
        "unknown": {"status": odd.choice(["PAUSED", "=odd", "filled"])},
        "lower case": {"type": entry.type.lower()},
    }
    for name in sorted(hit & changes.keys()):
        for column, value in changes[name].items():
            setattr(entry, column, value)
    yield entry
    yield from (it for name, it in _beside(odd, entry, topic, at, late) if name in hit)
    for name, message, first in (
        ("repeated", "", entry.event_id),
        ("differing", "differs", entry.event_id),
        ("elsewhere", "", odd.uuid()),
    ):
        for _ in range(odd.choice([1, 1, 3]) * (name in hit)):
            yield _entry(
                odd, entry.type, word, at, repeat_of=first, message=message, recorded_at=at + late
            )


def _beside(
    odd: Odd, entry: JournalEntry, topic: str, at: datetime, late: timedelta
) -> Iterator[tuple[str, JournalEntry]]:
    """Yield what may stand beside an event, with the name of its oddity."""
    staff = {"source": "STAFF", "outcome": "NOTED", "event_id": None, "actor": "mira"}
    odd_type = odd.choice(["ODD.THING", "=x", "EXECUTION.odd", topic])
    said = {
        "source": odd.choice(["POLL", "REFETCH"]), "event_id": None, "recorded_at": at + late,
        "actor": odd.choice(["", "mira", "=mira"]), "outcome": odd.choice(["NO_CHANGE", "APPLIED", "FAILED"]),
        "message": odd.choice(["", "request 7f, at 09:00:00 UTC"]),
    }  # fmt: skip
    sent = "Sent to the broker by mira: 250.00 EUR"
    yield "unknown topic", _entry(odd, odd_type, "", at)
    yield "conflict", _entry(odd, f"{topic}.CANCELLED", "CANCELLED", at + timedelta(seconds=1))
    yield (
        "again",
        _entry(odd, entry.type, entry.status, at + timedelta(seconds=odd.choice([0, 0, 1]))),
    )
    yield "asked", _entry(odd, topic, entry.status, at, **said)
    yield (
        "noted",
        _entry(odd, odd.choice(["", "CANCELLATION"]), "", at, **staff, message=odd.text()),
    )
    yield "placed", _entry(odd, "PLACEMENT", "SENT", at, **staff, message=sent)


def _executions(odd: Odd, created: datetime, oddities: set[str]) -> Iterator[JournalEntry]:
    for word in odd.choice([["FILLED"], ["FILLED", "SETTLED"], ["FILLED", "FILLED", "SETTLED"]]):
        said = {
            "side": odd.choice(["BUY", "SELL", "=X"]), "share_quantity": odd.choice(EXACT), "price": odd.choice(EXACT),
            "cash_amount": "250.00", "currency": "EUR", "status": word, "taxes": [{"type": "TOTAL", "amount": "0.10"}],
            "settlement_date": odd.choice([None, "2026-03-03", "odd"]),
        }  # fmt: skip
        if "named" in oddities:
            said["side"] = odd.text()
        payload = json.dumps({"object": said}).encode()
        at = created + timedelta(seconds=odd.choice([5, 6, 7]), microseconds=odd.randrange(10**6))
        word_of = "CANCELLED" if "reversed" in oddities and odd.random() < 0.5 else word
        entry = _entry(odd, f"EXECUTION.{word_of}", word, at, payload=payload)
        if "unread" in oddities:
            entry.payload, entry.message = odd.choice([b"", b"{", b'{"object": 1}']), odd.text()
        if "late" in oddities:
            entry.recorded_at = at + timedelta(hours=1)
        yield entry
