"""Words for the items of a history: the page and the CSV say the same. Pure.

Source: ux.md, section 6b. Times of day are those of the ``zone`` that is given.
"""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from statistics import median

from orders.facts import topic
from orders.lifecycle import KNOWN_STATUSES
from orders.timeline import staff, trades
from orders.timeline.durations import SECOND, duration
from orders.timeline.items import ASKS, Item, ItemKind, Remark
from orders.timeline.plain import plain
from orders.timeline.reports import word
from orders.timeline.runs import Run
from orders.timeline.seen import STAFF, WEBHOOK, Seen

ABOUT = {"EXECUTION": "execution", "REBALANCING_EXECUTION_ORDER": "rebalancing execution order"}


def status_word(status: str) -> str:
    """Return a status as people read it; one that we do not know as the broker wrote it."""
    return status.capitalize() if status in KNOWN_STATUSES else status


def opening(reason: str) -> str:
    """Return a reason as the beginning of a sentence; a field's name in front stays as it is."""
    first, _, rest = reason.partition(" ")
    is_field = (
        "_" in first or first.endswith(":") or rest.startswith(("'", '"', "…"))
    )  # followed by what it holds
    return reason if is_field else f"{reason[:1].upper()}{reason[1:]}"


def title(item: Item, *, count: int = 1, orders: int = 1, times: int = 1) -> str:
    """Return the heading of an item that is no step: "Checked 7 times, no change", "Note by mira".

    ``count`` is the number of items in its run, ``orders`` of how many orders they tell, the
    portfolio order among them, and ``times`` how often of each. "" for a step, whose heading is its
    object and statuses.
    """
    entry = item.entry
    if entry is None or item.is_step:
        return ""
    if item.kind in ASKS.values():
        return _asked(item, entry, _often(item, orders, times))
    if entry.source == STAFF:
        return staff.heading(item, entry)
    if topic(entry.type) in ABOUT:
        what = ABOUT[topic(entry.type)]
        counted = f"{count} {what}s" if count > 1 else what.capitalize()
        return f"{counted} {entry.type.rpartition('.')[2].lower()}"
    if entry.type == "ORDER_CANCELLATION.REJECTED":
        what = "order" if item.subject.is_order else "portfolio order"
        return f"The broker refused to cancel the {what}"
    return entry.type if item.kind is ItemKind.NOTE or Remark.QUARANTINED in item.remarks else ""


def sentence(item: Item, zone: tzinfo, *, count: int = 1) -> str:
    """Return what is to be said about an item beside its heading, statuses and times; "" for a clean step.

    ``count`` is the number of orders in its run.
    """
    return " ".join(_sentences(item, zone, count))


def headline(item: Item, *, count: int = 1) -> str:
    """Return the sentence that a webhook is not here, with which all about it begins; "" for other items."""
    if item.kind is not ItemKind.MISSED_WEBHOOK:
        return ""
    orders = f" for {count} orders" if count > 1 else ""
    if item.is_waiting:
        return f"Webhook {item.expected}{orders} has not arrived yet."
    return f"Expected webhook {item.expected} never arrived{orders}."


def told_by(entry: Seen) -> str:
    """Return how an entry reached us, as part of a sentence."""
    if entry.source == "WEBHOOK":
        return f"webhook {entry.type}"
    if entry.source == STAFF:
        return staff.ANSWER
    how = "check" if entry.source == "POLL" else "refetch"
    return f"{how} by {entry.actor}" if entry.actor else how


def message(item: Item, zone: tzinfo) -> str:
    """Return all words about an item in one, for the CSV; a note of staff is only its text."""
    text = " ".join([*_sentences(item, zone, 1), *_asides(item, zone)])
    if item.late is not None and item.told is None:
        text = f"Arrived {duration(item.late)} late. {text}".strip()
    if item.kind is ItemKind.NOTE and item.is_ours and item.entry:
        return staff.whole(item, item.entry, text)
    heading = title(item)
    return f"{heading}. {text}".strip() if heading else text


def arrival(run: Run, zone: tzinfo) -> str:
    """Return how fast a webhook came: "arrived after 1.6 s", "arrived after 1.3 s median, 2.4 s worst"."""
    item = run.item
    delays = [item.delay for item in run.items if item.delay is not None]
    if item.source != "WEBHOOK" or item.entry is None or not delays:
        return ""
    if not run.is_single:
        typical = median(delay / SECOND for delay in delays) * SECOND
        return f"arrived after {duration(typical)} median, {duration(max(delays))} worst"
    if item.late is None:
        return f"arrived after {duration(delays[0])}"
    return f"arrived {duration(item.late)} late, at {_at(item.entry.recorded_at, zone, item)}"


def copies(run: Run) -> str:
    """Return how often it came: "delivered 3x, applied once"; "" where once."""
    repeats = sum(item.deliveries - 1 for item in run.items)
    if not repeats:
        return ""
    if run.is_single:
        return f"delivered {run.item.deliveries}x, applied once"
    return f"{repeats} duplicate{'s' if repeats > 1 else ''} ignored"


def aside(run: Run, zone: tzinfo) -> str:
    """Return what only those need who look closely; "" where there is nothing."""
    if run.is_single:
        return " ".join(_asides(run.item, zone))
    listed = sum(item.was_listed_first for item in run.items)
    return f"{listed} already known from the portfolio order's list" if listed else ""


def _often(item: Item, orders: int, times: int) -> str:
    """Return of what an item's run tells: " 7 times", " 10 orders", " 7 times with 10 orders"."""
    often = f" {times} times" if times > 1 else ""
    if orders == 1:
        return often
    if item.subject.is_order:
        return f" {orders} orders{often}"
    return f"{often} with {orders - 1} order{'s' if orders > 2 else ''}"


def _asked(item: Item, entry: Seen, often: str) -> str:
    """Return what an ask brought: "Checked, no change", "Checked: Processing → Filled", "Check failed"."""
    by = f" by {entry.actor}" if entry.actor else ""
    polled = item.kind is ItemKind.CHECK
    if item.is_failed:
        return f"Check{by} failed" if polled else f"Refetch{by} failed"
    asked = f"Checked{often}{by}" if polled else f"Refetched{often}{by}"
    if entry.outcome == "NO_CHANGE":
        return f"{asked}, no change"
    before, now = status_word(item.from_status), status_word(item.to_status)
    if before == now:
        return f"{asked}: new details" if entry.outcome == "APPLIED" else asked
    return f"{asked}: {before} → {now}" if before else f"{asked}: {now}"


def _sentences(item: Item, zone: tzinfo, count: int) -> Iterator[str]:
    if item.kind is ItemKind.MISSED_WEBHOOK:
        yield from _gap(item, zone, count)
    elif item.told and not (item.was_listed_first or item.was_answered_first):
        yield _known_before(item, zone)
    if item.trade and item.entry and count == 1:
        yield trades.sentence(item.trade, word(item.entry))
    if item.entry and item.entry.message and not (item.is_step or _is_answer(item)):
        is_refused = Remark.QUARANTINED in item.remarks
        said = opening(item.entry.message) if is_refused else staff.said(item, item.entry)
        is_note = item.entry.source == STAFF and not item.entry.type
        yield said if is_note else plain(said, zone, said_at=item.entry.recorded_at)
    for remark in item.remarks:
        yield _remark(item, remark)


def _asides(item: Item, zone: tzinfo) -> Iterator[str]:
    if item.was_listed_first or item.was_answered_first:
        yield _known_before(item, zone)
    if item.entry and _is_answer(item):
        yield plain(item.entry.message, zone, said_at=item.entry.recorded_at)  # the request id
    elif item.entry and item.is_step and item.entry.source == WEBHOOK and item.entry.message:
        yield opening(item.entry.message)  # which attributes could not be read


def _is_answer(item: Item) -> bool:
    return (
        (item.kind in ASKS.values() or bool(item.to_status and item.source == STAFF))
        and not item.is_failed
        and bool(item.entry and item.entry.message)
    )


def _gap(item: Item, zone: tzinfo, count: int) -> Iterator[str]:
    yield headline(item, count=count)
    if item.told is None:
        return
    teller, at = item.told.entry, _at(item.told.entry.recorded_at, zone, item)
    if item.told.is_listing:
        yield f"Known from the portfolio order's list, by the {told_by(teller)} at {at}."
    elif teller.source in ASKS and not item.is_waiting:
        yield f"Recovered by {told_by(teller)} at {at}{_after_the_fact(item, teller)}."
    else:
        yield f"Known from the {told_by(teller)} at {at}."


def _known_before(item: Item, zone: tzinfo) -> str:
    """Return who told a step before the entry did that stands for it."""
    told = item.told
    if told is None:
        return ""
    teller, at = told.entry, _at(told.entry.recorded_at, zone, item)
    if told.is_listing:
        return f"Already known from the portfolio order's list, by the {told_by(teller)} at {at}."
    if teller.source == WEBHOOK:
        return f"Out of order: {status_word(told.status)} was already known from the {told_by(teller)} at {at}."
    if item.late is None:
        return f"Already known from the {told_by(teller)} at {at}."
    known = f"Recovered by {told_by(teller)} at {at}{_after_the_fact(item, teller)}"
    if teller.source == STAFF:
        known = f"Already known from the {told_by(teller)} at {at}"
    return f"{known}; the webhook arrived {duration(item.late)} late."


def _after_the_fact(item: Item, teller: Seen) -> str:
    if item.occurred_at is None:
        return ""
    return f", {duration(teller.recorded_at - item.occurred_at)} after the fact"


def _remark(item: Item, remark: Remark) -> str:
    before, now = status_word(item.from_status), status_word(item.to_status)
    if remark is Remark.TYPE_DISAGREES and item.entry:
        return f"The event's type says {status_word(word(item.entry))}, its object {now}: the object counts."
    if remark is Remark.CLOCKS_DIFFER and item.entry:
        ahead = item.entry.occurred_at - item.entry.recorded_at
        return f"The broker's clock is {duration(ahead)} ahead of ours."
    if remark is Remark.BACKWARDS:
        return f"{now} cannot follow {before}: kept {before}."
    if remark is Remark.UNKNOWN_STATUS:
        is_kept = item.from_status in KNOWN_STATUSES
        kept = f"kept {before}" if is_kept else "shown as the broker wrote it"
        return f"Unknown status {now}: {kept}."
    if remark is Remark.CONFLICT:
        return f"{before} and {now} were both reported; we ask the broker which is right."
    return {
        Remark.PENDING: "Recorded, not applied yet.",
        Remark.SAID_AGAIN: "Already reported; nothing changed.",
        Remark.CONTENT_DIFFERS: "Delivered again with different content; the original is used.",
        Remark.MISTRADE: "The broker cancelled this execution.",
        Remark.QUARANTINED: "Stored, but it could not be applied. No other event was delayed.",
        Remark.FIRST_COPY_ELSEWHERE: "This event ID came before for another object; the original is used.",
    }.get(remark, "")


def _at(moment: datetime, zone: tzinfo, item: Item) -> str:
    """Return a time of day; with its date where that is another than where the item stands."""
    local = moment.astimezone(zone)
    near = item.occurred_at or (item.told and item.told.entry.occurred_at)
    if near and near.astimezone(zone).date() == local.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%H:%M:%S} on {local.day} {local:%b %Y}"
