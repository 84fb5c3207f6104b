"""One CSV file on its way out, of whatever rows: read it to its end, then record who took it.

To give any list a file: ``of_rows("staff steps", COLUMNS, rows)``, where ``rows`` is a function that
yields texts (``cells.moment``, ``cells.number`` and the like make them), and
``orders.admin.downloads.download`` to send it, or ``orders.management.export`` to write it. Where
each column has a form in SQL too (``orders.export.columns``), ``Straight`` has PostgreSQL write the
lines: two to ten times as fast, and the same to the byte.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from backoffice.database import limits, snapshot
from orders import journal
from orders.audit.subjects import Subject
from orders.export.cells import Form, Row, encode, line_of
from orders.export.columns import Column, from_cells, line_sql, names

VERSION = "v1"  # of the columns: they are only added to, at the end
SIZES = (100, 500, 2000)  # of the parts that PostgreSQL writes; the first comes at once
AT_ONCE = 100  # lines
# Each part is a range of an index, and small: no plan for all rows is any good for it.
PLANS = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('random_page_cost', '1.1', true), "
    "set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
)


@dataclass(frozen=True, slots=True)
class Straight:
    """How PostgreSQL writes a file: part by part, each of them one statement.

    ``parts`` yields "FROM ... ORDER BY ..." of each in the order of the file, or the rows of a part that
    Python writes. Where SQL cannot tell a cell, ``completed`` gets all cells, None for that one, and behind
    them ``key``, an expression of SQL; of each it returns the rows that stand there.
    """

    columns: Sequence[Column]
    parts: Callable[[], Iterator[str | Iterator[Row]]]
    key: str
    completed: Callable[[list[list[Any]]], Iterable[Sequence[Row]]]

    def lines(self, form: Form) -> Generator[list[str]]:
        """Yield the lines of each part, without the header and without their ends."""
        select = f"SELECT {line_sql(self.columns, form, self.key)} "
        with limits("export"), snapshot(), connection.cursor() as cursor:
            cursor.execute(PLANS)
            for part in self.parts():
                if isinstance(part, str):
                    cursor.execute(select + part)
                    yield self.finished([text for (text,) in cursor.fetchall()], form)
                    continue
                while some := [line_of(row, form) for row in islice(part, AT_ONCE)]:
                    yield some

    def finished(self, texts: list[str], form: Form) -> list[str]:
        """Return the lines of a part, those included that Python has to write."""
        odd = {place: json.loads(text) for place, text in enumerate(texts) if text[0] == "["}
        if not odd:
            return texts
        unfinished = {place: it for place, it in odd.items() if None in it[:-1]}
        found = iter(self.completed([*unfinished.values()])) if unfinished else iter(())
        lines: list[str] = []
        for place, text in enumerate(texts):
            if place in unfinished:
                lines += [line_of(row, form) for row in next(found)]
            elif place in odd:
                lines.append(line_of(from_cells(self.columns, odd[place][:-1]), form))
            else:
                lines.append(text)
        return lines


def by_key(
    rows: Callable[[list[Any]], Mapping[Any, Sequence[Row]]],
) -> Callable[[list[list[Any]]], Iterable[Sequence[Row]]]:
    """Return ``Straight.completed`` of a function that returns the rows for each of several keys."""

    def completed(unfinished: list[list[Any]]) -> Iterator[Sequence[Row]]:
        found = rows([it[-1] for it in unfinished])
        return (found[it[-1]] for it in unfinished)

    return completed


def walk(
    rows: QuerySet[Any], name: str = "pk", sizes: Sequence[int] = SIZES
) -> Iterator[list[Any]]:
    """Yield the values of a column that rows are told by, in their order, part by part."""
    values = rows.order_by(name).values_list(name, flat=True)
    part, found = 0, list(values[: sizes[0]])
    while found:
        yield found
        part = min(part + 1, len(sizes) - 1)
        found = list(values.filter(**{f"{name}__gt": found[-1]})[: sizes[part]])


def within(alias: str, rows: QuerySet[Any], first: object, last: object, name: str = "id") -> str:
    """Return the condition that a row of table ``alias`` is one of ``rows``, from ``first`` to ``last`` by a column."""
    is_there = f"{alias}.{name} BETWEEN '{first}' AND '{last}'"
    if not rows.query.has_filters():
        return is_there
    chosen = rows.filter(**{f"{name}__gte": first, f"{name}__lte": last}).order_by().values("pk")
    try:
        return f"{is_there} AND {alias}.id IN ({written(chosen)})"
    except EmptyResultSet:
        return "FALSE"


def written(rows: QuerySet[Any]) -> str:
    """Return the statement of a query with its parameters. Raises EmptyResultSet where it has no rows."""
    operations: Any = connection.ops
    statement: str = operations.compose_sql(*rows.query.sql_with_params())
    return statement


@dataclass
class Export:
    """One CSV file: read ``chunks`` to the end, then ``record`` it.

    ``rows`` begin with the header, which stays as ``columns``; ``count`` is the number of rows that
    went out, the header aside.
    """

    what: str  # "order history", "orders"
    rows: Generator[Row]
    now: datetime = field(default_factory=timezone.now)
    count: int = 0
    form: Form = field(default_factory=Form)
    columns: Row = ()
    subject: Subject | None = None  # the one row that the file is about
    straight: Straight | None = None  # how PostgreSQL writes it
    lines: Generator[list[str]] | None = None

    @property
    def filename(self) -> str:
        """Return the name of the file, with the version of its columns: ``orders_v1_20261122T0645Z.csv``."""
        return (
            f"{self.what.replace(' ', '-')}_{VERSION}_{self.now.astimezone(UTC):%Y%m%dT%H%MZ}.csv"
        )

    @property
    def rows_in_words(self) -> str:
        """Return how many rows went out: "1 row", "1,234 rows"."""
        return "1 row" if self.count == 1 else f"{self.count:,} rows"

    def chunks(
        self, *, bom: bool, delimiter: str = "comma", decimal: str = "point"
    ) -> Iterator[bytes]:
        """Yield the file; raise what goes wrong, so that the caller can break the connection."""
        self.form = Form(delimiter, decimal, bom)
        if self.straight and self.is_straight:
            return self._straight(self.straight)
        return encode(self._counted(), bom=bom, delimiter=delimiter, decimal=decimal)

    @property
    def is_straight(self) -> bool:
        """Return whether PostgreSQL writes the lines."""
        has_forms = self.straight is not None and all(it.sql for it in self.straight.columns)
        return has_forms and connection.vendor == "postgresql"

    def close(self) -> None:
        """End the snapshot of a file that is not read to its end: nothing can be written inside it."""
        if self.lines:
            self.lines.close()
        self.rows.close()

    def record(
        self, *, actor: str, how: str, asked: Mapping[str, Any] | None = None, broken: str = ""
    ) -> None:
        """Note in the journal who took what.

        ``how`` says in words which rows and where to, ``asked`` the same so that the selection can be
        made again: filters, search, ids. With the columns and the form of the file it is kept in the
        entry, whose page shows it. ``broken`` is why the file broke off.
        """
        said = (
            f"Export of {self.what}, {how}: broken off after {self.rows_in_words} ({broken})"
            if broken
            else f"Exported {self.what}, {how}: {self.rows_in_words}"
        )
        held = {
            "file": self.what,
            "version": VERSION,
            "made_at": self.now.astimezone(UTC).isoformat(),
            "selection": {"words": how, **(asked or {})},
            "columns": list(self.columns),
            "delimiter": self.form.delimiter,
            "decimal": self.form.decimal,
            "byte_order_mark": self.form.bom,
            "rows": self.count,
            "is_whole": not broken,
        }
        journal.record_step(
            said, actor=actor, now=timezone.now(), type_="EXPORT", held=held, subject=self.subject
        )

    def _straight(self, straight: Straight) -> Iterator[bytes]:
        self.columns = names(straight.columns)
        mark = "\ufeff" if self.form.bom else ""
        yield f"{mark}{line_of(self.columns, self.form)}\r\n".encode()
        self.lines = straight.lines(self.form)
        for lines in self.lines:
            for first in range(0, len(lines), AT_ONCE):
                some = lines[first : first + AT_ONCE]
                self.count += len(some)
                yield ("\r\n".join(some) + "\r\n").encode()

    def _counted(self) -> Iterator[Row]:
        for number, row in enumerate(self.rows):
            if not number:
                self.columns = row
            self.count = number
            yield row


def of_rows(
    what: str,
    columns: Row,
    rows: Callable[[], Iterable[Row]],
    straight: Straight | None = None,
) -> Export:
    """Return the file of these rows under these columns; ``what`` names it: "staff steps".

    ``rows`` is called when the file is read, within one snapshot of the database and the limits of
    exports. It should read in batches (``in_batches``), so that memory stays flat.
    """

    def read() -> Generator[Row]:
        yield columns
        with limits("export"), snapshot():
            yield from rows()

    return Export(what, read(), straight=straight)


def in_batches(rows: QuerySet[Any], size: int) -> Iterator[list[Any]]:
    """Yield rows by id, each batch starting after the last: no cursor is held, nothing is counted."""
    rows, last = rows.order_by("pk"), None
    while batch := list((rows if last is None else rows.filter(pk__gt=last))[:size]):
        yield batch
        last = batch[-1].pk
