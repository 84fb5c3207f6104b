"""The places of a long history: what stands where and under which chip, worked out by the database.

A history of thousands of entries is not read whole for a page of it. The rules are those of
``orders.timeline.steps``, but for one thing: what a portfolio order's list told is not looked up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from orders.lifecycle import Kind
from orders.timeline.items import Filter
from orders.timeline.seen import Rules
from orders.timeline.statements import OF_ORDER, OF_PORTFOLIO_ORDER, items

MICROSECOND = timedelta(microseconds=1)
PLACE = "at, is_order, ord, id, not_gap, gap"
BACKWARDS_PLACE = "at DESC, is_order DESC, ord DESC, id DESC, not_gap DESC, gap DESC"
CHIPS: Mapping[Filter, str] = {
    Filter.ALL: "1 = 1",
    Filter.PORTFOLIO_ORDER: "is_order = 0 AND is_ours = 0",
    Filter.ORDERS: "is_order = 1 AND is_ours = 0",
    Filter.PROBLEMS: "is_problem = 1",
    Filter.CHECKS: "is_ours = 1",
}


class Key(NamedTuple):
    """What tells an item of a history from all others: its object, and its place but for the moment."""

    kind: Kind
    about: UUID
    ord: int
    id: int
    not_gap: bool
    gap: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The numbers of a whole history: items under each chip, impossible steps, missed webhooks by who told instead."""

    counts: Mapping[Filter, int]
    impossible: int
    missed: Mapping[str, int]


class Places:
    """The places of the history of one portfolio order with its orders, or of one order."""

    def __init__(self, kind: Kind, pk: UUID, rules: Rules) -> None:
        self.kind, self.pk = kind, pk
        never = datetime.max.replace(tzinfo=rules.now.tzinfo)
        self._of = OF_ORDER if kind is Kind.ORDER else OF_PORTFOLIO_ORDER
        self._given: dict[str, Any] = {
            "pk": _id(pk),
            "first_webhook_at": _moment(rules.first_webhook_at or never),
            "grace": _moment(rules.now - rules.gap_grace),
            "late_after": rules.late_after // MICROSECOND,
        }

    def page(
        self, chip: Filter, place: int, size: int, *, newest_first: bool
    ) -> tuple[Sums, list[Key]]:
        """Return the numbers of the whole history, and the items of a page, the oldest first: one statement.

        The page begins at ``place``, the oldest has 1; 0 is the first page. A place beyond the end has no items.
        """
        from_end = newest_first and not place
        first = max(place - size, 0) if newest_first else max(place - 1, 0)
        order = BACKWARDS_PLACE if from_end else PLACE
        shown = f"""
            SELECT about, row_number() OVER (ORDER BY {order}) AS number, is_order, ord, id, not_gap, gap, '' AS label
            FROM items WHERE {CHIPS[chip]} ORDER BY {order} LIMIT %(limit)s OFFSET %(skipped)s"""
        counted = ", ".join(f"SUM(CASE WHEN {of} THEN 1 ELSE 0 END)" for of in CHIPS.values())
        rows = self._ask(
            f"SELECT * FROM ({shown}) shown "
            f"UNION ALL SELECT NULL, {counted}, SUM(is_backwards), 'counts' FROM items "
            "UNION ALL SELECT NULL, COUNT(*), 0, 0, 0, 0, 0, COALESCE(source, '') FROM missed "
            "WHERE is_waiting = 0 GROUP BY source",
            limit=min(size, place) if newest_first and place else size,
            skipped=0 if from_end else first,
        )
        numbers = next(row for row in rows if row[-1] == "counts")[1:]
        counts = {chip: int(number or 0) for chip, number in zip(CHIPS, numbers, strict=False)}
        missed = {row[-1]: row[1] for row in rows if row[0] is None and row[-1] != "counts"}
        found = sorted((row for row in rows if row[0] is not None), key=lambda row: row[1])
        keys = [_key((row[2], row[0], *row[3:7])) for row in found]
        sums = Sums(counts, int(numbers[-2] or 0), missed)
        return sums, keys[::-1] if from_end else keys

    def place_of(self, entry_id: int, chip: Filter) -> int | None:
        """Return the place of an entry under a chip; None where it is not there."""
        rows = self._ask(
            "SELECT place FROM (SELECT id, not_gap, is_ours, "
            f"row_number() OVER (ORDER BY {PLACE}) AS place FROM items WHERE {CHIPS[chip]}) numbered "
            "WHERE id = %(id)s AND not_gap = 1 ORDER BY is_ours DESC LIMIT 1",  # an ask, not the step it told
            id=entry_id,
        )
        return rows[0][0] if rows else None

    def every(self, at_once: int) -> Iterator[list[Key]]:
        """Yield all items, the oldest first, so many at once; only these are in memory."""
        columns = "is_order, about, ord, id, not_gap, gap"
        statement = f"WITH {self._of},{items()} SELECT {columns} FROM items ORDER BY {PLACE}"
        with connection.chunked_cursor() as cursor:
            cursor.execute(statement, self._given)
            while rows := cursor.fetchmany(at_once):
                yield [_key(row) for row in rows]

    def _ask(self, statement: str, **given: object) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(f"WITH {self._of},{items()} {statement}", self._given | given)
            found: list[Any] = cursor.fetchall()
            return found


def _key(row: Sequence[Any]) -> Key:
    is_order, about, ord_, id_, not_gap, gap = row
    kind = Kind.ORDER if is_order else Kind.PORTFOLIO_ORDER
    pk = about if isinstance(about, UUID) else UUID(about)
    return Key(kind, pk, ord_, id_, bool(not_gap), gap)


def _id(pk: UUID) -> object:
    return pk if connection.features.has_native_uuid_field else pk.hex


def _moment(moment: datetime) -> object:
    return connection.ops.adapt_datetimefield_value(moment)
