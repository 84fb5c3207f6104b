"""The rows of the history file: by Python from the items of each history, by PostgreSQL where a story is plain.

A story is that of a portfolio order, known here or not, with its orders, or that of an order without one.
It is plain where it consists of events alone, each status was told in its turn and before any later one,
and none is missing. Repeats, executions, late events and what was said again may be among them; all else
is for Python.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from datetime import UTC
from itertools import count
from typing import Any
from uuid import UUID

from backoffice.database import limits, snapshot
from orders.clocks import kind_of
from orders.export import history_rows
from orders.export.cells import Row, optional
from orders.export.columns import from_cells, is_sane, listed, names, quoted
from orders.export.selection import OF_KNOWN, Batch, Part, Selection
from orders.export.table import Straight
from orders.lifecycle import KNOWN_STATUSES, Kind, expected
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.timeline import gaps, history
from orders.timeline.items import Item, ItemKind, Remark
from orders.timeline.long import LongHistory
from orders.timeline.seen import Rules, Seen, Subject
from orders.timeline.sentences import message
from orders.timeline.statements import RANK
from orders.timeline.trades import trade_of

AT_ONCE = 500  # items of a long history
SIZES = (20, 200, 400)  # portfolio orders of a part
PLACE = {name: place for place, name in enumerate(names(history_rows.COLUMNS))}
SEQUENCE, MESSAGE = PLACE["sequence"], PLACE["message"]
EXECUTIONS = ("EXECUTION.FILLED", "EXECUTION.SETTLED")
OBJECT = "{0}.status AS object_status, {0}.account_id, {0}.currency, {0}.cash_amount, {0}.client_reference"
# An entry, with the number of its repeats about the same object.
ENTRY = """
    j.id, j.source, j.outcome, j.event_id, j.repeat_of, j.type, j.status, j.actor, j.message, j.occurred_at,
    j.recorded_at, (
        SELECT count(*) FROM orders_journalentry r WHERE r.repeat_of = j.event_id AND r.{0} = j.{0}
    ) AS copies"""
IS_REPORT = f"""
    COALESCE(source = 'WEBHOOK' AND repeat_of IS NULL AND status IN {listed(KNOWN_STATUSES)}
        AND type = CASE is_order WHEN 1 THEN 'ORDER.' ELSE 'PORTFOLIO_ORDER.' END || status, FALSE)"""
IS_EXECUTION = f"is_order = 1 AND type IN {listed(EXECUTIONS)}"
LAGS = """
    lag(status, 1, '') OVER steps AS before, lag(rank, 1, 0) OVER steps AS before_rank,
    lag(recorded_at) OVER steps AS before_recorded"""
# What leaves a story plain: no entry at all, a repeat of the same content, an execution, a report in its turn.
IS_FINE = """
    is_quiet AND (id IS NULL OR (repeat_of IS NOT NULL AND message = '') OR (is_event AND (is_execution OR (
        is_report AND (before = '' OR (before_recorded <= recorded_at AND (
            before = status OR (before_rank < rank AND before <> 'CANCELLED')
        )))
    ))))"""


def rows(selection: Selection, *, transitions_only: bool) -> Generator[Row]:
    """Yield the header and all rows, by Python."""
    yield names(history_rows.COLUMNS)
    with limits("export"), snapshot():
        rules = history.rules()
        alone = count(1)  # the rows of orders without a portfolio order are numbered through
        for batch in selection.batches():
            if batch.is_long:
                yield from _rows_of_long(batch, rules, transitions_only=transitions_only)
                continue
            yield from _rows_of(batch, rules, alone, transitions_only=transitions_only)


class Histories:
    """The same rows for PostgreSQL, and what Python adds to them."""

    rules: Rules
    alone: "count[int]"

    def __init__(self, selection: Selection, *, transitions_only: bool) -> None:
        self.selection, self.transitions_only = selection, transitions_only

    @property
    def straight(self) -> Straight:
        """Return how PostgreSQL writes the file."""
        key = (
            "CASE WHEN h.is_plain THEN json_build_array(h.id) "
            "ELSE json_build_array(h.story, h.parent IS NULL) END"
        )
        return Straight(history_rows.COLUMNS, self.parts, key, self.completed)

    def parts(self) -> Iterator[str | Iterator[Row]]:
        """Yield the statement of each part; of a portfolio order whose history is long its rows."""
        self.rules, self.alone = history.rules(), count(1)
        for part in self.selection.parts(SIZES, long_apart=True):
            if part.long:
                row = PortfolioOrder.objects.get(pk=part.long)
                batch = Batch({row.pk: row}, [], is_long=True)
                yield _rows_of_long(batch, self.rules, transitions_only=self.transitions_only)
            else:
                yield _statement(part, self.rules, transitions_only=self.transitions_only)

    def completed(self, odd: Sequence[list[Any]]) -> Iterator[Sequence[Row]]:
        """Yield the rows of each that SQL could not tell: of an item without its message, or of a whole story."""
        entries = _entries([it[-1][0] for it in odd if len(it[-1]) == 1])
        stories = self._stories([it[-1] for it in odd if len(it[-1]) > 1])
        for *cells, key in odd:
            if len(key) == 1:
                yield [self._finished(cells, *entries[key[0]])]
            else:
                story, is_alone = key
                yield [self._numbered(row) if is_alone else row for row in stories[story]]

    def _finished(self, cells: list[str], entry: Seen, payload: bytes) -> Row:
        """Return the row of an item of which the message is for Python, or the number."""
        if cells[MESSAGE] is None:
            cells[MESSAGE] = message(self._item(cells, entry, payload), UTC)
        if cells[SEQUENCE] is None:
            cells[SEQUENCE] = str(next(self.alone))
        return from_cells(history_rows.COLUMNS, cells)

    def _item(self, cells: Sequence[str], entry: Seen, payload: bytes) -> Item:
        kind = Kind.ORDER if entry.order_id else Kind.PORTFOLIO_ORDER
        about = entry.order_id or entry.portfolio_order_id
        is_again = cells[PLACE["entry_type"]] == ItemKind.NOTE and bool(cells[PLACE["to_status"]])
        return Item(
            kind=ItemKind(cells[PLACE["entry_type"]]),
            subject=Subject(kind, about or UUID(int=0)),
            occurred_at=entry.occurred_at,
            entry=entry,
            from_status=cells[PLACE["from_status"]],
            to_status=cells[PLACE["to_status"]],
            deliveries=int(cells[PLACE["deliveries"]]),
            late=gaps.lateness(entry, self.rules),
            remarks=(Remark.SAID_AGAIN,) if is_again else (),
            trade=trade_of(payload) if payload else None,
        )

    def _numbered(self, row: Row) -> Row:
        return (*row[:SEQUENCE], str(next(self.alone)), *row[SEQUENCE + 1 :])

    def _stories(self, keys: Sequence[tuple[str, bool]]) -> Mapping[str, list[Row]]:
        """Return the rows of whole stories, by the id of the portfolio order or of the order without one."""
        found: dict[str, list[Row]] = {story: [] for story, _ in keys}
        ids = [UUID(story) for story, is_alone in keys if not is_alone]
        alone = [UUID(story) for story, is_alone in keys if is_alone]
        for batch in [self.selection.batch_of(ids)] * bool(ids) + [
            Batch({}, [*Order.objects.filter(pk__in=alone)])
        ] * bool(alone):
            for row in _rows_of(
                batch, self.rules, count(1), transitions_only=self.transitions_only
            ):
                found[row[0] or row[2]].append(row)
        return found


def _entries(ids: Collection[int]) -> dict[int, tuple[Seen, bytes]]:
    """Return entries, and the payloads of those about executions, by their ids: one query."""
    found = JournalEntry.objects.filter(pk__in=ids) if ids else JournalEntry.objects.none()
    return {
        row[0]: (Seen._make(row[:-1]), bytes(row[-1] or b""))
        for row in found.values_list(*Seen._fields, history.EXECUTION)
    }


def _statement(part: Part, rules: Rules, *, transitions_only: bool) -> str:
    """Return "FROM ... ORDER BY ..." of the items of plain stories, and of one row for each other story, as ``h``."""
    is_event = f"""source = 'WEBHOOK' AND outcome IN ('APPLIED', 'NO_CHANGE') AND repeat_of IS NULL
        AND recorded_at >= occurred_at AND {is_sane("occurred_at")} AND {is_sane("recorded_at")}"""
    late = f"interval '{rules.late_after.total_seconds()} s'"
    is_shown = "id IS NOT NULL AND repeat_of IS NULL" + " AND is_step" * transitions_only
    return f"""FROM (
        SELECT * FROM (
            SELECT shown.*, row_number() OVER (
                    PARTITION BY story ORDER BY is_hidden, occurred_at, is_order, ord, id
                ) AS number,
                bool_and(is_fine) OVER whole AND sum(copies) OVER whole = count(repeat_of) OVER whole AS is_plain
            FROM (
                SELECT weighed.*, CASE WHEN {is_shown} THEN 0 ELSE 1 END AS is_hidden,
                    CASE WHEN is_step THEN rank ELSE 9 END AS ord,
                    CASE WHEN is_event THEN recorded_at - occurred_at > {late} END AS is_late
                FROM (
                    SELECT sorted.*, is_report AND before <> status AS is_step, {IS_FINE} AS is_fine
                    FROM (
                        SELECT told.*, {LAGS} FROM (
                            SELECT told.*, {IS_REPORT} AS is_report, {IS_EXECUTION} AS is_execution,
                                {is_event} AS is_event, {RANK.format("status")} AS rank
                            FROM ({_told(part, rules)}) told OFFSET 0
                        ) told WINDOW steps AS (
                            PARTITION BY story, order_id, is_report ORDER BY occurred_at, rank, recorded_at, id)
                    ) sorted OFFSET 0
                ) weighed OFFSET 0
            ) shown WINDOW whole AS (PARTITION BY story)
        ) numbered WHERE CASE WHEN is_plain THEN is_hidden = 0 ELSE number = 1 END
    ) h ORDER BY h.story, h.is_hidden, h.occurred_at, h.is_order, h.ord, h.id"""


def _told(part: Part, rules: Rules) -> str:
    """Return the entries of a part, each with its object; of an object without entries one row."""
    by_order = "LEFT JOIN orders_journalentry j ON j.order_id = o.id"
    of_order = f"""o.id AS order_id, 1 AS is_order, o.side, o.instrument_id, {OBJECT.format("o")},
        {_quiet("o", Kind.ORDER, rules)} AS is_quiet, {ENTRY.format("order_id")}"""
    selects = []
    if part.known:
        selects.append(f"""
            SELECT p.id AS story, p.id AS parent, p.status AS parent_status, p.type AS portfolio_order_type,
                NULL::uuid AS order_id, 0 AS is_order, '' AS side, '' AS instrument_id, {OBJECT.format("p")},
                {_quiet("p", Kind.PORTFOLIO_ORDER, rules)} AND NOT EXISTS (
                    SELECT 1 FROM orders_placement WHERE portfolio_order_id = p.id
                ) AS is_quiet, {ENTRY.format("portfolio_order_id")}
            FROM orders_portfolioorder p LEFT JOIN orders_journalentry j ON j.portfolio_order_id = p.id
            WHERE {part.known}""")
        selects.append(f"""
            SELECT p.id, p.id, p.status, p.type, {of_order}
            FROM {OF_KNOWN} {by_order} WHERE {part.known} AND o.id IS NOT NULL""")
    if part.single:
        selects.append(f"""
            SELECT COALESCE(o.portfolio_order_id, o.id) AS story, o.portfolio_order_id AS parent,
                COALESCE(p.status, '') AS parent_status, COALESCE(p.type, '') AS portfolio_order_type, {of_order}
            FROM orders_order o LEFT JOIN orders_portfolioorder p ON p.id = o.portfolio_order_id {by_order}
            WHERE {part.single}""")
    return " UNION ALL ".join(selects)


def _quiet(alias: str, kind: Kind, rules: Rules) -> str:
    """Return the condition that no expected webhook of an object is missing, as ``gaps.missing`` has it."""
    if rules.first_webhook_at is None:
        return "TRUE"
    cases = []
    for status in KNOWN_STATUSES:
        for was_processing in (True, False):
            words = sorted(expected(kind, status, was_processing=was_processing))
            processing = is_sane(f"{alias}.processing_at")
            when = f"COALESCE({processing}, FALSE) = {was_processing}"
            array = f"ARRAY[{', '.join(map(quoted, words))}]::text[]"
            cases.append(f"WHEN {alias}.status = {quoted(status)} AND {when} THEN {array}")
    words_of = f"CASE {' '.join(cases)} ELSE ARRAY[]::text[] END"
    is_asked = f"{is_sane(f'{alias}.created_at')} AND {alias}.created_at >= '{rules.first_webhook_at.isoformat()}'"
    return f"(NOT COALESCE({is_asked}, FALSE) OR string_to_array({alias}.announced, ' ') @> {words_of})"


def _rows_of_long(batch: Batch, rules: Rules, *, transitions_only: bool) -> Iterator[Row]:
    """Yield the rows of one portfolio order whose history is not to be read whole."""
    (row,) = batch.portfolio_orders.values()
    cells: dict[tuple[Kind, UUID], tuple[Row, Row]] = {}

    def items() -> Iterator[Item]:
        for rows, part in LongHistory(row, rules).every(AT_ONCE):
            cells.clear()
            cells.update({(kind_of(it), it.pk): _cells(it, batch.parents) for it in rows})
            yield from part

    entries = history_rows.entries(items(), transitions_only=transitions_only)
    for sequence, item in enumerate(entries, start=1):
        identity, described = cells[item.subject.kind, item.subject.id]
        yield history_rows.row(item, sequence, identity, described)


def _rows_of(
    batch: Batch, rules: Rules, alone: "count[int]", *, transitions_only: bool
) -> Iterator[Row]:
    """Yield the rows of a batch; ``alone`` numbers those of orders without a portfolio order."""
    rows: list[PortfolioOrder | Order] = [*batch.portfolio_orders.values(), *batch.orders]
    parents = batch.parents
    cells = {(kind_of(row), row.pk): _cells(row, parents) for row in rows}
    # A story is that of a portfolio order, known here or not, with its orders, or of an order without one.
    story_of = {(kind_of(row), row.pk): _story(row) for row in rows}
    stories: dict[tuple[UUID, bool], list[Item]] = {it: [] for it in sorted({*story_of.values()})}
    for item in history.items_of(rows, rules):
        stories[story_of[item.subject.kind, item.subject.id]].append(item)
    for (_, is_alone), items in stories.items():
        numbers = alone if is_alone else count(1)
        for item in history_rows.entries(items, transitions_only=transitions_only):
            identity, described = cells[item.subject.kind, item.subject.id]
            yield history_rows.row(item, next(numbers), identity, described)


def _story(row: PortfolioOrder | Order) -> tuple[UUID, bool]:
    """Return the portfolio order of whose history a row is a part; or its own id, and that it has none."""
    if isinstance(row, PortfolioOrder):
        return row.pk, False
    return row.portfolio_order_id or row.pk, row.portfolio_order_id is None


def _cells(
    row: PortfolioOrder | Order, portfolio_orders: Mapping[UUID, PortfolioOrder]
) -> tuple[Row, Row]:
    """Return the cells of an object before ``sequence``, and those of its attributes."""
    if isinstance(row, PortfolioOrder):
        identity = (str(row.pk), row.status, "", Kind.PORTFOLIO_ORDER.lower())
        return identity, history_rows.attributes(row, type_=row.type)
    parent = portfolio_orders.get(row.portfolio_order_id) if row.portfolio_order_id else None
    status, type_ = (parent.status, parent.type) if parent else ("", "")
    identity = (optional(row.portfolio_order_id), status, str(row.pk), Kind.ORDER.lower())
    return identity, history_rows.attributes(
        row, type_=type_, side=row.side, instrument_id=row.instrument_id
    )
