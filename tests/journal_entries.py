"""Journal entries and objects for tests of the history: plain values, no database."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid5

from orders.lifecycle import Kind
from orders.timeline.seen import Listed, Rules, Seen, Subject
from orders.timeline.steps import build

START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
P = UUID("2b638635-b848-44c6-8e59-09e5fec17c8f")
A = UUID("5cc32fc0-9b8a-40f1-94e9-f543178aa1af")
B = UUID("d1c1395e-ca89-4b8e-88c1-04b25a7d7e3e")
RULES = Rules(
    now=START + timedelta(hours=2),
    gap_grace=timedelta(minutes=15),
    late_after=timedelta(seconds=60),
    first_webhook_at=START - timedelta(days=1),
)
IDS = count(1)


def at(seconds):
    return START + timedelta(seconds=seconds)


def subject(pk=A, status="NEW", *, announced="NEW PROCESSING FILLED CANCELLED SETTLED", **more):
    kind = Kind.PORTFOLIO_ORDER if pk == P else Kind.ORDER
    return Subject(
        **{"kind": kind, "id": pk, "status": status, "created_at": START, "announced": announced}
        | more
    )


def entry(pk, happened, learned, **more):
    return Seen(
        **{
            "id": next(IDS),
            "portfolio_order_id": pk if pk == P else None,
            "order_id": None if pk == P else pk,
            "source": "WEBHOOK",
            "outcome": "APPLIED",
            "event_id": None,
            "repeat_of": None,
            "delivery_id": None,
            "type": "PORTFOLIO_ORDER" if pk == P else "ORDER",
            "status": "",
            "occurred_at": at(happened),
            "recorded_at": at(learned),
            "actor": "",
            "message": "",
        }
        | more
    )


def webhook(status, happened, learned=None, pk=A, word=None, **more):
    """Return an event about an object in ``status`` that came one second after the fact."""
    topic = "PORTFOLIO_ORDER" if pk == P else "ORDER"
    made = {"type": f"{topic}.{word or status}", "status": status}
    made["event_id"] = uuid5(pk, f"{word} {status} {happened}")
    return entry(pk, happened, happened + 1 if learned is None else learned, **made | more)


def poll(status, happened, learned, pk=A, **more):
    return entry(pk, happened, learned, **{"source": "POLL", "status": status} | more)


def refetch(status, happened, learned, pk=A, **more):
    more = {"source": "REFETCH", "status": status, "actor": "mira"} | more
    return entry(pk, happened, learned, **more)


def again(event, learned, **more):
    """Return the same event, delivered once more."""
    return event._replace(
        id=next(IDS),
        event_id=None,
        repeat_of=event.event_id,
        recorded_at=at(learned),
        outcome="NO_CHANGE",
        **more,
    )


def listed(status, by, pk=A):
    return Listed(pk, status, by)


def items(*entries, of=None, rules=RULES, listings=()):
    """Return the items of a history; of one order unless told otherwise."""
    return build(entries, of or [subject()], rules=rules, listings=listings).items


def steps(found):
    return [(item.from_status, item.to_status) for item in found if item.is_step]


def kinds(found):
    return [item.kind.value for item in found]
