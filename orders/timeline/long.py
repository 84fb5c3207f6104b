"""A long history: a page of it at a time, from the places that the database works out.

Of the objects on a page only those entries are read that stand on it, or that decide what is said of these.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max, Q

from orders.clocks import kind_of
from orders.fold import told_by
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.timeline.history import EXECUTION, history_of, history_of_order, rules, subject
from orders.timeline.items import ASKS, Filter, Item, Timeline
from orders.timeline.places import Key, Places, Sums
from orders.timeline.seen import PLACEMENT, Asked, Rules, Seen, Subject, Trade
from orders.timeline.statements import COLUMNS, REPORTS
from orders.timeline.steps import Copies, Place, placed, with_trade
from orders.timeline.trades import trade_of

LONG = 500  # entries: the history of more is not read whole
MANY = 100  # orders: the same
ARRIVAL = "recorded_at, occurred_at, rank, id"
# What decides about others: the first report of each status, by version and by arrival, each
# rise of what was known, and one event of each type.
DECIDING = f"""{REPORTS},
arrivals AS (
    SELECT sorted.*, row_number() OVER (PARTITION BY is_order, about, status ORDER BY {ARRIVAL}) AS arrival,
        max(rank) OVER (
            PARTITION BY is_order, about ORDER BY {ARRIVAL} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS known
    FROM sorted WHERE is_report = 1
),
rises AS (
    SELECT id, status, lag(status) OVER (PARTITION BY is_order, about ORDER BY {ARRIVAL}) AS before
    FROM arrivals WHERE rank >= COALESCE(known, 0)
)
SELECT id FROM sorted WHERE preference = 1
UNION SELECT id FROM arrivals WHERE arrival = 1
UNION SELECT id FROM rises WHERE before IS NULL OR before <> status
UNION SELECT min(id) FROM entries WHERE source = 'WEBHOOK' AND repeat_of IS NULL
    GROUP BY is_order, about, upper(type)"""


def told(
    row: PortfolioOrder | Order,
    orders: Sequence[Order],
    *,
    entries: int,
    orders_in_all: int = 0,
) -> "Timeline | LongHistory":
    """Return the history of a row with its ``orders``: read whole, unless it is long or these are not all."""
    if entries > LONG or orders_in_all > MANY:
        return LongHistory(row, rules())
    return history_of(row, orders) if isinstance(row, PortfolioOrder) else history_of_order(row)


class LongHistory:
    """The history of one portfolio order with its orders, or of one order, that is too long to be read whole."""

    def __init__(self, row: PortfolioOrder | Order, rules: Rules) -> None:
        self.row, self.rules, self.now = row, rules, rules.now
        self.sums, self.keys = Sums({}, 0, {}), list[Key]()
        self.places = Places(kind_of(row), row.pk, rules)

    def turn_to(self, chip: Filter, place: int, size: int, *, newest_first: bool) -> None:
        """Open the page that begins at a place; a page that is not there is the first."""
        self.sums, self.keys = self.places.page(chip, place, size, newest_first=newest_first)
        if place > self.sums.counts[chip]:
            self.turn_to(chip, 0, size, newest_first=newest_first)

    @property
    def items(self) -> Sequence[Item]:
        """Return the items of the page that is open."""
        return self._at(self.keys, _rows({(key.kind, key.about) for key in self.keys}))

    @property
    def counts(self) -> Mapping[Filter, int]:
        """Return the number of items under each chip."""
        return self.sums.counts

    @property
    def missed_by(self) -> Mapping[str, int]:
        """Return the number of webhooks that never arrived, by the source that told instead."""
        return self.sums.missed

    @property
    def impossible(self) -> int:
        """Return the number of steps backwards."""
        return self.sums.impossible

    def place_of(self, entry_id: int, chip: Filter) -> int | None:
        """Return the place of an entry under a chip; None where it is not there."""
        return self.places.place_of(entry_id, chip)

    def asked_since(self, kind: Kind, pk: UUID, moment: datetime | None) -> Asked:
        """Return how often an object itself was asked about after ``moment``."""
        name = "order_id" if kind is Kind.ORDER else "portfolio_order_id"
        asks = JournalEntry.objects.filter(**{name: pk}, source__in=list(ASKS))
        asks = asks.filter(recorded_at__gt=moment) if moment else asks
        found = asks.aggregate(
            count=Count("pk"), polls=Count("pk", filter=Q(source="POLL")), last=Max("recorded_at")
        )
        last = asks.filter(recorded_at=found["last"]).order_by("-pk")
        seen = last.values_list(*Seen._fields)[:1]
        return Asked(found["count"], found["polls"], next((Seen(*row) for row in seen), None))

    def tellers(self, facts: Collection[str]) -> Iterable[Seen]:
        """Return the entries among which those are that told facts, by the keys of these."""
        keys = [told_by(fact) for fact in facts if fact]
        events = [tie for _, is_answer, tie in keys if not is_answer]
        versions = [version for version, is_answer, _ in keys if is_answer]
        own = JournalEntry.objects.filter(order_id=self.row.pk)
        events_of = own.filter(event_id__in=events)
        answers = own.filter(source__in=list(ASKS), occurred_at__in=versions)
        found = (events_of | answers).values_list(*Seen._fields)
        return [Seen(*row) for row in found]

    def every(
        self, at_once: int
    ) -> Iterator[tuple[Sequence[PortfolioOrder | Order], Sequence[Item]]]:
        """Yield all items, the oldest first, so many at once, with the rows that they are about."""
        for keys in self.places.every(at_once):
            rows = _rows({(key.kind, key.about) for key in keys})
            yield rows, self._at(keys, rows)

    def _at(self, keys: Sequence[Key], rows: Iterable[PortfolioOrder | Order]) -> Sequence[Item]:
        found = self._built(rows, {key.id for key in keys})
        by_key = {_key(place, item): item for place, item in found}
        return [by_key[key] for key in keys if key in by_key]

    def steps_of(self, rows: Iterable[PortfolioOrder | Order]) -> Sequence[Item]:
        """Return the steps of some of the objects, in the order in which they happened."""
        found = sorted(self._built(rows, ()), key=lambda pair: pair[0])
        return [item for _, item in found]

    def _built(
        self, rows: Iterable[PortfolioOrder | Order], ids: Collection[int]
    ) -> list[tuple[Place, Item]]:
        subjects = [subject(row) for row in rows]
        if not subjects:
            return []
        seen, trades = self._seen({*ids, *_deciding(subjects)})
        copies = _copies(seen)
        found = placed(seen, subjects, rules=self.rules, copies=copies)
        return [(place, with_trade(item, trades)) for place, item in found]

    def _seen(self, ids: Collection[int]) -> tuple[list[Seen], dict[int, Trade]]:
        entries: list[Seen] = []
        trades: dict[int, Trade] = {}
        found = JournalEntry.objects.filter(pk__in=list(ids))
        for *columns, payload in found.values_list(*Seen._fields, EXECUTION):
            entry = Seen._make(columns)
            if entry.type == PLACEMENT:
                entry = entry._replace(portfolio_order_id=self.row.pk)
            entries.append(entry)
            if payload and (trade := trade_of(bytes(payload))):
                trades[entry.id] = trade
        return entries, trades


def _key(place: Place, item: Item) -> Key:
    _, _, order, entry_id, not_gap, gap = place
    return Key(item.subject.kind, item.subject.id, order, entry_id, not_gap, gap)


def _rows(objects: Collection[tuple[Kind, UUID]]) -> list[PortfolioOrder | Order]:
    ids: dict[Kind, list[UUID]] = {Kind.PORTFOLIO_ORDER: [], Kind.ORDER: []}
    for kind, pk in objects:
        ids[kind].append(pk)
    return [
        *PortfolioOrder.objects.filter(pk__in=ids[Kind.PORTFOLIO_ORDER]),
        *Order.objects.filter(pk__in=ids[Kind.ORDER]),
    ]


def _deciding(subjects: Iterable[Subject]) -> list[int]:
    """Return the ids of the entries that decide what is said of the others about these objects."""
    given: dict[str, Any] = {}
    names: dict[bool, list[str]] = {True: [], False: []}
    for number, known in enumerate(subjects):
        given[f"pk{number}"] = (
            known.id if connection.features.has_native_uuid_field else known.id.hex
        )
        names[known.is_order].append(f"%(pk{number})s")
    parts = [
        f"SELECT j.{column} AS about, {int(is_order)} AS is_order, {COLUMNS} "
        f"FROM orders_journalentry j WHERE j.{column} IN ({', '.join(names[is_order])})"
        for column, is_order in (("portfolio_order_id", False), ("order_id", True))
        if names[is_order]
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH entries AS ({' UNION ALL '.join(parts)}),{DECIDING}", given)
        return [pk for (pk,) in cursor.fetchall()]


def _copies(seen: Iterable[Seen]) -> dict[tuple[Kind, UUID], dict[UUID, Copies]]:
    """Return the repeats of events, by the object that they are about: one query."""
    events = [entry.event_id for entry in seen if entry.event_id]
    repeats = JournalEntry.objects.filter(repeat_of__in=events).order_by()
    rows = repeats.values_list("portfolio_order_id", "order_id", "repeat_of").annotate(
        count=Count("pk"), differ=Count("pk", filter=~Q(message=""))
    )
    found: dict[tuple[Kind, UUID], dict[UUID, Copies]] = defaultdict(dict)
    for portfolio_order_id, order_id, event_id, count, differ in rows:
        kind = Kind.PORTFOLIO_ORDER if portfolio_order_id else Kind.ORDER
        found[kind, portfolio_order_id or order_id][event_id] = Copies(count, bool(differ))
    return found
