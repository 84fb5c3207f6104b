"""Reports: the journal entries that say in which status an object is, and which of them count. Pure."""

from collections.abc import Iterable, Iterator

from orders.facts import topic
from orders.lifecycle import KNOWN_STATUSES, Kind, rank
from orders.timeline.items import Remark
from orders.timeline.seen import WEBHOOK, Seen

ENDS = frozenset({"FILLED", "SETTLED", "CANCELLED"})


def word(entry: Seen) -> str:
    """Return the status that a webhook event announces by its type; "" for other entries and words."""
    announced = entry.type.rpartition(".")[2].upper() if entry.source == "WEBHOOK" else ""
    return announced if announced in KNOWN_STATUSES else ""


def is_about(entry: Seen, kind: Kind) -> bool:
    """Return whether an entry speaks of the object itself, not of an execution or cancellation of it."""
    return topic(entry.type) == kind


def order_of_arrival(entry: Seen, kind: Kind) -> tuple[object, ...]:
    """Return what entries are sorted by to see who told first; those of one delivery came together."""
    return entry.recorded_at, entry.occurred_at, rank(kind, entry.status), entry.id


def is_report(entry: Seen, kind: Kind) -> bool:
    """Return whether an entry says in which status the object is."""
    usable = entry.outcome not in {"FAILED", "QUARANTINED", "DISMISSED"}
    return usable and bool(entry.status) and is_about(entry, kind)


def is_answer(entry: Seen) -> bool:
    """Return whether upstream said it when it was called: asked, or given an order."""
    return entry.source != WEBHOOK


def first_of_each_status(reports: Iterable[Seen]) -> dict[str, Seen]:
    """Return the report that stands for each status: the earliest version, best the event that announces it."""
    first: dict[str, Seen] = {}
    for entry in reports:
        held = first.get(entry.status)
        if held is None or _preference(entry) < _preference(held):
            first[entry.status] = entry
    return first


def _preference(entry: Seen) -> tuple[object, ...]:
    return (
        entry.occurred_at,
        is_answer(entry),
        word(entry) != entry.status,
        entry.recorded_at,
        entry.id,
    )


def moves(kind: Kind, first: Iterable[Seen]) -> Iterator[tuple[Seen, str, Remark | None]]:
    """Yield the first report of each status with the status before, and why it cannot have moved there.

    ``first`` are in the order in which they happened. Nothing moves to an unknown status, backwards,
    or from one end to the other.
    """
    before = ""
    for entry in first:
        yield entry, before, _doubt(kind, before, entry.status)
        if rank(kind, entry.status) >= rank(kind, before):
            before = entry.status


def _doubt(kind: Kind, before: str, status: str) -> Remark | None:
    """Return why an object cannot have moved from ``before`` to ``status``; None where it can."""
    if not rank(kind, status):
        return Remark.UNKNOWN_STATUS
    if before in ENDS and status in ENDS and "CANCELLED" in {before, status}:
        return Remark.CONFLICT
    return Remark.BACKWARDS if rank(kind, status) < rank(kind, before) else None
