"""Journal entries -> the items of a history, in the order in which things happened. Pure.

Each event and each ask is one item; a status that an answer of the API told first is one more, at
the time it happened. Source: the model, section 4; ux.md, section 6b.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from orders.actors import Looks
from orders.lifecycle import Kind, rank
from orders.timeline import gaps
from orders.timeline.items import ASKS, Item, ItemKind, Remark, Timeline
from orders.timeline.reports import first_of_each_status, is_report, moves, order_of_arrival, word
from orders.timeline.seen import PLACEMENT, STAFF, Listed, Rules, Seen, Subject, Told, Trade

# When; portfolio orders first; rank of the status; entry id; the item itself or a gap placed before it.
Place = tuple[datetime, bool, int, int, bool, int]
BEFORE_STEPS = 0  # what an object came of
AFTER_STEPS = 9  # what is no step stands after the steps of the same moment


class Copies(NamedTuple):
    """The repeats of an event: how many, and whether the content of any differs from the first copy."""

    number: int
    differ: bool


def build(
    entries: Iterable[Seen],
    subjects: Iterable[Subject],
    *,
    rules: Rules,
    listings: Iterable[Listed] = (),
    trades: Mapping[int, Trade] | None = None,
) -> Timeline:
    """Build the history of ``subjects`` from the entries about them.

    ``listings`` are needed only where an expected webhook is missing: they tell what a portfolio
    order's list said before any own report of the order.
    """
    found = sorted(
        placed(entries, subjects, rules=rules, listings=listings), key=lambda pair: pair[0]
    )
    return Timeline(tuple(with_trade(item, trades or {}) for _, item in found), rules.now)


def placed(
    entries: Iterable[Seen],
    subjects: Iterable[Subject],
    *,
    rules: Rules,
    listings: Iterable[Listed] = (),
    copies: Mapping[tuple[Kind, UUID], Mapping[UUID, Copies]] | None = None,
) -> Iterator[tuple[Place, Item]]:
    """Yield the items with their places, those of each object by themselves.

    ``copies`` are the repeats of each object's events, where they are not among the entries.
    """
    about: dict[tuple[Kind, UUID], list[Seen]] = defaultdict(list)
    for entry in entries:
        if entry.portfolio_order_id:
            about[Kind.PORTFOLIO_ORDER, entry.portfolio_order_id].append(entry)
        elif entry.order_id:
            about[Kind.ORDER, entry.order_id].append(entry)
    listed: dict[UUID, list[Listed]] = defaultdict(list)
    for line in listings:
        listed[line.order_id].append(line)
    for subject in subjects:
        lines = listed.get(subject.id, []) if subject.is_order else []
        known = (copies or {}).get((subject.kind, subject.id), {})
        yield from _Story(subject, about[subject.kind, subject.id], lines, rules, known).items()


def with_trade(item: Item, trades: Mapping[int, Trade]) -> Item:
    """Return an item with what its event says of an execution, where it is about one."""
    trade = trades.get(item.entry.id) if item.entry else None
    return replace(item, trade=trade) if trade else item


class _Story:
    """What the journal says about one object."""

    def __init__(
        self,
        subject: Subject,
        entries: Iterable[Seen],
        listed: Sequence[Listed],
        rules: Rules,
        copies: Mapping[UUID, Copies],
    ) -> None:
        self.subject, self.kind, self.listed, self.rules = subject, subject.kind, listed, rules
        self.entries: list[Seen] = []
        self.repeats: dict[UUID, list[Seen]] = {}
        for entry in sorted(entries, key=lambda entry: order_of_arrival(entry, self.kind)):
            if entry.repeat_of:
                self.repeats.setdefault(entry.repeat_of, []).append(entry)
            else:
                self.entries.append(entry)
        self.copies = copies or {
            event_id: Copies(len(repeats), any(repeat.message for repeat in repeats))
            for event_id, repeats in self.repeats.items()
        }
        reports = [entry for entry in self.entries if is_report(entry, self.kind)]
        self.reports = {entry.id: entry for entry in reports}
        self.first = first_of_each_status(reports)
        self.missing = gaps.missing(subject, self.entries, rules)

    def items(self) -> Iterator[tuple[Place, Item]]:
        """Yield all items with their places."""
        missing = set(self.missing)
        for entry, before, why in moves(self.kind, sorted(self.first.values(), key=self._place)):
            yield self._place(entry), self._step(entry, before, why)
            if why is None:
                missing.discard(entry.status)
        for status in missing:
            yield self._gap(status)
        yield from self._others()
        first_copies = {entry.event_id for entry in self.entries}
        for event_id in self.repeats.keys() - first_copies:
            for repeat in self.repeats[event_id]:
                yield self._aside(repeat, ItemKind.ANOMALY, Remark.FIRST_COPY_ELSEWHERE)

    def _others(self) -> Iterator[tuple[Place, Item]]:
        """Yield the asks, and the entries that are no step."""
        known = ""  # the status as we learned it, in order of arrival
        looks = Looks()
        for entry in self.entries:
            is_look = looks.is_look(entry)
            if entry.source in ASKS:
                ask = entry._replace(source="POLL", actor="") if is_look else entry
                yield self._ask(ask, known)
            elif self.first.get(entry.status) is not entry:
                yield self._aside(entry, *self._sort(entry))
            if entry.id in self.reports and rank(self.kind, entry.status) >= rank(self.kind, known):
                known = entry.status

    def _step(self, entry: Seen, before: str, why: Remark | None) -> Item:
        told = gaps.told(self.kind, entry.status, self.reports.values(), self.listed)
        is_missed = why is None and entry.status in self.missing
        if why or (told and told.entry.recorded_at >= entry.recorded_at and not is_missed):
            told = None  # nobody told it before this entry did
        kind = ItemKind.MISSED_WEBHOOK if is_missed else ItemKind.TRANSITION
        return Item(
            kind=ItemKind.ANOMALY if why else kind,
            subject=self.subject,
            occurred_at=entry.occurred_at,
            entry=entry,
            from_status=before,
            to_status=entry.status,
            deliveries=self._deliveries(entry),
            late=gaps.lateness(entry, self.rules),
            expected=f"{self.kind}.{entry.status}" if is_missed else "",
            is_waiting=is_missed and self._is_waiting(told),
            told=told,
            remarks=(*([why] if why else []), *self._remarks(entry)),
        )

    def _gap(self, status: str) -> tuple[Place, Item]:
        """Return a missing webhook of a status to which no report moved the object to."""
        told = gaps.told(self.kind, status, self.reports.values(), self.listed)
        time = self.subject.created_at if status == "NEW" else None
        if told and time is None:
            place = (*self._place_of(told)[:4], False, rank(self.kind, status))
        else:
            at = self.subject.created_at or self.rules.now
            place = (at, self.subject.is_order, rank(self.kind, status), 0, False, 0)
        return place, Item(
            kind=ItemKind.MISSED_WEBHOOK,
            subject=self.subject,
            occurred_at=time,
            expected=f"{self.kind}.{status}",
            is_waiting=self._is_waiting(told),
            told=told,
        )

    def _ask(self, entry: Seen, known: str) -> tuple[Place, Item]:
        """Return what an ask of ours brought, at the time of the ask."""
        says = entry.id in self.reports
        return self._place(entry, entry.recorded_at), Item(
            kind=ASKS[entry.source],
            subject=self.subject,
            occurred_at=entry.recorded_at,
            entry=entry,
            from_status=known if says else "",
            to_status=entry.status if says else "",
        )

    def _sort(self, entry: Seen) -> tuple[ItemKind, *tuple[Remark, ...]]:
        """Return what an entry is that is neither a step nor an ask."""
        if entry.outcome == "QUARANTINED":
            return ItemKind.ANOMALY, Remark.QUARANTINED
        if entry.source == STAFF:
            return (ItemKind.NOTE,)
        if entry.id in self.reports:
            return ItemKind.NOTE, Remark.SAID_AGAIN
        if entry.type == "EXECUTION.CANCELLED":
            return ItemKind.ANOMALY, Remark.MISTRADE
        return (ItemKind.NOTE,)

    def _aside(self, entry: Seen, kind: ItemKind, *remarks: Remark) -> tuple[Place, Item]:
        """Return what moves nothing: a note, an execution, a status said again, an entry in quarantine.

        What the broker answered to staff stands where it was answered, after what was sent.
        """
        at = entry.recorded_at if entry.source == STAFF else entry.occurred_at
        return self._place(entry, at), Item(
            kind=kind,
            subject=self.subject,
            occurred_at=at,
            entry=entry,
            to_status=entry.status if entry.id in self.reports else "",
            deliveries=self._deliveries(entry),
            late=gaps.lateness(entry, self.rules),
            remarks=(*remarks, *self._remarks(entry)),
        )

    def _place(self, entry: Seen, at: datetime | None = None) -> Place:
        is_step = at is None and self.first.get(entry.status) is entry
        order = rank(self.kind, entry.status) if is_step else AFTER_STEPS
        order = BEFORE_STEPS if entry.type == PLACEMENT else order
        return at or entry.occurred_at, self.subject.is_order, order, entry.id, True, 0

    def _place_of(self, told: Told) -> Place:
        """Return where the item of what told it stands."""
        if not told.is_listing:
            return self._place(self.first[told.status])
        entry = told.entry
        if entry.source in ASKS:
            return entry.recorded_at, False, AFTER_STEPS, entry.id, True, 0
        return entry.occurred_at, False, rank(Kind.PORTFOLIO_ORDER, entry.status), entry.id, True, 0

    def _is_waiting(self, told: Told | None) -> bool:
        return told is not None and self.rules.now - told.entry.recorded_at <= self.rules.gap_grace

    def _deliveries(self, entry: Seen) -> int:
        copies = self.copies.get(entry.event_id) if entry.event_id else None
        return 1 + copies.number if copies else 1

    def _remarks(self, entry: Seen) -> Iterator[Remark]:
        announced = word(entry)
        if entry.id in self.reports and announced and announced != entry.status:
            yield Remark.TYPE_DISAGREES
        if entry.recorded_at < entry.occurred_at:
            yield Remark.CLOCKS_DIFFER
        if entry.outcome == "PENDING":
            yield Remark.PENDING
        copies = self.copies.get(entry.event_id) if entry.event_id else None
        if copies and copies.differ:
            yield Remark.CONTENT_DIFFERS
