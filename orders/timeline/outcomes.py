"""Why an entry had the outcome it had, from the entries about the same object. Pure.

Source: the model, sections 2 and 3; ux.md, section 5. Times of day are those of the ``zone`` given.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple
from uuid import UUID

from orders.fold import Fact
from orders.lifecycle import Kind, rank
from orders.timeline.reports import ENDS, is_answer, is_report
from orders.timeline.seen import Seen
from orders.timeline.sentences import status_word, told_by

PLAIN = {
    "PENDING": "Stored; it will be applied in a moment.",
    "APPLIED": "Applied: it updated an order.",
    "NO_CHANGE": "No change: we already knew all of it.",
    "IGNORED": "Ignored: the order desk does not follow this kind of event.",
    "QUARANTINED": "Quarantined: stored, but it could not be applied. No other event was delayed.",
    "DISMISSED": "Dismissed: it could not be applied, and staff decided to leave it out.",
    "FAILED": "Failed: the broker gave no usable answer. Nothing was changed.",
    "NOTED": "Noted: recorded only; no order was changed.",
}
NOUNS = {Kind.PORTFOLIO_ORDER: "portfolio order", Kind.ORDER: "order"}
ANY = UUID(int=0)  # all are about the same object
ASKED = "Both were reported; we ask the broker which is right."


class Dealt(NamedTuple):
    """An entry and when it was applied; None where it was not."""

    entry: Seen
    applied_at: datetime | None


def why(this: Dealt, others: Iterable[Dealt], zone: tzinfo) -> str:
    """Return what became of an entry, and why. ``others`` are those about the same object, repeats aside."""
    entry, kind = this.entry, _kind(this.entry)
    if entry.repeat_of:
        return "No change: a duplicate of an event that was received before."
    is_dealt_with = this.applied_at and entry.outcome in {"APPLIED", "NO_CHANGE"}
    if not (is_dealt_with and is_report(entry, kind)):
        return PLAIN[entry.outcome]
    before = [
        other.entry
        for other in sorted(others, key=_order)
        if other.applied_at and is_report(other.entry, kind) and _order(other) < _order(this)
    ]
    tell = _applied if entry.outcome == "APPLIED" else _no_change
    return tell(entry, before, kind, zone)


def _applied(entry: Seen, before: Sequence[Seen], kind: Kind, zone: tzinfo) -> str:
    noun, now = NOUNS[kind], status_word(entry.status)
    if not before:
        return f"Applied: our first report of this {noun}. It says {now}."
    held = max(before, key=lambda seen: _weight(seen, kind))
    then, source = status_word(held.status), _source(held, entry, zone)
    wins = _weight(entry, kind) > _weight(held, kind)
    if (
        {entry.status, held.status} <= ENDS
        and "CANCELLED" in {entry.status, held.status}
        and now != then
    ):
        moved = f"it moved the {noun} from {then} to {now}"
        kept = f"it says {now}; we kept {then} {source}"
        return f"Applied: {moved if wins else kept}. {ASKED}"
    if not rank(kind, entry.status):
        return f"Applied: {now} is an unknown status; the last known one was {then} {source}."
    if wins and now != then:
        return f"Applied: it moved the {noun} from {then} to {now}."
    if wins:
        return f"Applied: it brought newer details; we already knew {now} {source}."
    return f"Applied: it added details of {now}; we already knew {then} {source}."


def _no_change(entry: Seen, before: Sequence[Seen], kind: Kind, zone: tzinfo) -> str:
    if not before:
        return PLAIN["NO_CHANGE"]
    now = status_word(entry.status)
    held = max(before, key=lambda seen: _weight(seen, kind))
    same = [seen for seen in before if seen.status == entry.status]
    # The first that told as much; one of an older version did not.
    teller = next((seen for seen in same if seen.occurred_at >= entry.occurred_at), None)
    if teller:
        return f"No change: we already knew {now} {_source(teller, entry, zone)}."
    then, source = status_word(held.status), _source(held, entry, zone)
    if held.status == entry.status:
        return f"No change: we already knew {now} {source}."
    return f"No change: it says {now}, but we already knew {then} {source}."


def _kind(entry: Seen) -> Kind:
    return Kind.PORTFOLIO_ORDER if entry.portfolio_order_id else Kind.ORDER


def _order(dealt: Dealt) -> tuple[object, ...]:
    """Return the order in which entries were applied; those of one batch by the time they happened."""
    return dealt.applied_at, dealt.entry.occurred_at, dealt.entry.id


def _weight(entry: Seen, kind: Kind) -> str:
    """Return what the fold compares, as far as an entry without its payload tells."""
    return Fact(
        kind=kind,
        id=ANY,
        status=entry.status,
        version=entry.occurred_at,
        is_answer=is_answer(entry),
        tie=str(entry.event_id or ""),
    ).key


def _source(teller: Seen, entry: Seen, zone: tzinfo) -> str:
    """Return who told: "from the check of 06:29:46"; with the day where it is another than the entry's."""
    at = teller.recorded_at.astimezone(zone)
    is_near = at.date() == entry.recorded_at.astimezone(zone).date()
    day = "" if is_near else f" on {at.day} {at:%b %Y}"
    return f"from the {told_by(teller)} of {at:%H:%M:%S}{day}"
