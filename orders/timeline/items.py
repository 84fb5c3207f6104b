"""What the history of an order is made of: items, each with both clocks and its source. Pure.

``orders.timeline.steps`` builds them anew whenever they are shown, so the same journal always gives the
same page and the same CSV. Source of every rule: the model's section 4, ux.md section 6.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from orders.lifecycle import Kind
from orders.timeline.seen import CANCELLATION, PLACEMENT, STAFF, Asked, Seen, Subject, Told, Trade


class ItemKind(StrEnum):
    """What an item of the history is; the same words are the CSV's ``entry_type``."""

    TRANSITION = (
        "transition"  # somebody reported, for the first time, that an object is in a status
    )
    MISSED_WEBHOOK = "missed_webhook"  # an expected webhook that is not here
    CHECK = "check"  # we asked upstream by ourselves
    REFETCH = "refetch"  # staff made us ask
    NOTE = "note"  # said by staff or by upstream, and moves nothing
    ANOMALY = "anomaly"  # what should not be: with the reason, and what was done


class Remark(StrEnum):
    """What is worth a sentence about an item; ``orders.timeline.sentences`` has the words."""

    TYPE_DISAGREES = (
        "type disagrees"  # the event's type and its object's status differ: the status counts
    )
    CLOCKS_DIFFER = "clocks differ"  # upstream says it happened after we learned it
    PENDING = "pending"  # recorded, not applied yet
    SAID_AGAIN = "said again"  # another event has reported this status before
    CONTENT_DIFFERS = "content differs"  # a repeat with other content than the original (used)
    BACKWARDS = "backwards"
    CONFLICT = "conflict"  # filled and cancelled were both reported
    UNKNOWN_STATUS = "unknown status"
    MISTRADE = "mistrade"  # an execution was cancelled
    QUARANTINED = "quarantined"  # the entry's message has the reason
    FIRST_COPY_ELSEWHERE = (
        "first copy elsewhere"  # an event id that came before, about another object
    )


class Filter(StrEnum):
    """The chips above the history."""

    ALL = "all"
    PORTFOLIO_ORDER = "portfolio-order"
    ORDERS = "orders"
    PROBLEMS = "problems"
    CHECKS = "checks"  # checks and staff


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened, or that should have.

    ``occurred_at`` is when it happened upstream, or here for what we did ourselves; None where nobody
    told it (the item then stands directly before what told more). ``entry`` is the journal entry
    behind it; None for a missed webhook whose status nobody reported. ``from_status`` and
    ``to_status`` are empty unless an entry reported ``to_status``. ``told`` is who told it before
    ``entry`` did, and always set for a missed webhook of which anything is known.
    """

    kind: ItemKind
    subject: Subject
    occurred_at: datetime | None
    entry: Seen | None = None
    from_status: str = ""
    to_status: str = ""
    deliveries: int = 1  # of the event: 1 and its repeats
    late: timedelta | None = None  # how late the webhook came; None: in time, or no webhook
    expected: str = ""  # type of the missing event: "ORDER.FILLED"
    is_waiting: bool = False  # missing, but within the grace time: "not here yet"
    told: Told | None = None
    remarks: tuple[Remark, ...] = ()
    trade: Trade | None = None  # what an event about an execution says of it

    @property
    def anchor(self) -> str:
        """Return the id of its place on the page; that of a check, refetch, note or event is ``entry-ID``."""
        entry = self.entry
        if entry is None or (entry.source in ASKS and self.kind not in ASKS.values()):
            word = self.to_status or self.expected
            return f"{self.kind}-{self.level}-{self.subject.id}-{word}".lower().replace("_", "-")
        return f"entry-{entry.id}"

    @property
    def level(self) -> str:
        """Return ``portfolio_order`` or ``order``."""
        return self.subject.kind.lower()

    @property
    def is_step(self) -> bool:
        """Return whether an object moved to ``to_status``, as somebody reported."""
        return bool(self.to_status) and self.kind in {ItemKind.TRANSITION, ItemKind.MISSED_WEBHOOK}

    @property
    def learned(self) -> Seen | None:
        """Return the entry by which we learned it: the first that told."""
        return self.told.entry if self.told else self.entry

    @property
    def source(self) -> str:
        """Return where we learned it: WEBHOOK, POLL, REFETCH or STAFF; "" where nothing told it."""
        seen = self.entry or self.learned
        return seen.source if seen else ""

    @property
    def recorded_at(self) -> datetime | None:
        """Return when the entry behind it (for a missed webhook: what told it) was recorded."""
        seen = self.entry or self.learned
        return seen.recorded_at if seen else None

    @property
    def delay(self) -> timedelta | None:
        """Return how long after it happened its entry was recorded, never below zero; None where neither is told."""
        if self.occurred_at is None or self.recorded_at is None or self.is_ours:
            return None
        return max(self.recorded_at - self.occurred_at, timedelta())

    @property
    def was_listed_first(self) -> bool:
        """Return whether its portfolio order's list told it before its own event, which came in time."""
        is_clean = self.kind is ItemKind.TRANSITION and self.late is None
        return is_clean and self.told is not None and self.told.is_listing

    @property
    def was_answered_first(self) -> bool:
        """Return whether the answer to its placement told it before its own event, which came in time."""
        is_clean = self.kind is ItemKind.TRANSITION and self.late is None
        return is_clean and self.told is not None and self.told.entry.source == STAFF

    @property
    def is_ours(self) -> bool:
        """Return whether it is something we did: a check, a refetch, a note or another step of staff."""
        is_said = self.entry is not None and self.entry.source == STAFF and not self.is_step
        return self.kind in ASKS.values() or is_said

    @property
    def is_placing(self) -> bool:
        """Return whether it is a step of the placement that the object came of."""
        return self.entry is not None and self.entry.type == PLACEMENT

    @property
    def is_told_in_full(self) -> bool:
        """Return whether its entry's message is a heading and, behind a colon, what is said below it."""
        return self.is_placing or (self.entry is not None and self.entry.type == CANCELLATION)

    @property
    def is_failed(self) -> bool:
        """Return whether an ask brought no usable answer."""
        return (
            self.kind in ASKS.values()
            and self.entry is not None
            and self.entry.outcome in {"FAILED", "QUARANTINED"}
        )

    @property
    def is_problem(self) -> bool:
        """Return whether it belongs under Problems: gap, late, repeated, failed, cancelled, anomaly."""
        return (
            self.kind is ItemKind.ANOMALY
            or (self.kind is ItemKind.MISSED_WEBHOOK and not self.is_waiting)
            or self.late is not None
            or self.deliveries > 1
            or self.is_failed
            or (self.is_step and self.to_status == "CANCELLED")
        )

    def matches(self, chip: Filter) -> bool:
        """Return whether it is shown under a chip."""
        match chip:
            case Filter.PORTFOLIO_ORDER:
                return not (self.subject.is_order or self.is_ours)
            case Filter.ORDERS:
                return self.subject.is_order and not self.is_ours
            case Filter.PROBLEMS:
                return self.is_problem
            case Filter.CHECKS:
                return self.is_ours
        return True


@dataclass(frozen=True, slots=True)
class Timeline:
    """The history of one portfolio order with its orders, or of one order: the oldest first."""

    items: tuple[Item, ...]
    now: datetime

    def shown(self, chip: Filter) -> tuple[Item, ...]:
        """Return the items under a chip."""
        return tuple(item for item in self.items if item.matches(chip))

    @property
    def counts(self) -> Mapping[Filter, int]:
        """Return the number of items under each chip."""
        return {chip: sum(item.matches(chip) for item in self.items) for chip in Filter}

    def place_of(self, entry_id: int, chip: Filter) -> int | None:
        """Return the place of an entry under a chip; None where it is not there."""
        anchors = {item.anchor: place for place, item in enumerate(self.shown(chip), start=1)}
        return anchors.get(f"entry-{entry_id}")

    def tellers(self, facts: Collection[str]) -> Iterable[Seen]:
        """Return the entries among which those are that told facts."""
        return [item.entry for item in self.items if item.entry]

    @property
    def missed(self) -> tuple[Item, ...]:
        """Return the webhooks that never arrived."""
        return tuple(
            item
            for item in self.items
            if item.kind is ItemKind.MISSED_WEBHOOK and not item.is_waiting
        )

    @property
    def missed_by(self) -> Mapping[str, int]:
        """Return the number of webhooks that never arrived, by the source that told instead; "" where none did."""
        return Counter(item.told.entry.source if item.told else "" for item in self.missed)

    def asked_since(self, kind: Kind, pk: UUID, moment: datetime | None) -> Asked:
        """Return how often an object itself was asked about after ``moment``."""
        asks = [
            item.entry
            for item in self.items
            if item.kind in ASKS.values() and item.entry
            if (item.subject.kind, item.subject.id) == (kind, pk)
            if moment is None or item.entry.recorded_at > moment
        ]
        polls = sum(entry.source == "POLL" for entry in asks)
        return Asked(len(asks), polls, asks[-1] if asks else None)

    @property
    def impossible(self) -> int:
        """Return the number of steps backwards."""
        return sum(Remark.BACKWARDS in item.remarks for item in self.items)


ASKS: Mapping[str, ItemKind] = {"POLL": ItemKind.CHECK, "REFETCH": ItemKind.REFETCH}
