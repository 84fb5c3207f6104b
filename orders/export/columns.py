"""Columns of the CSV files: each has a form in Python and one in SQL, side by side. Pure.

Python's form gives the cell from what a row is made of: an object with a member for each table, by the
alias that the statement gives it too, so that ``text("side", "o.side")`` is both forms. SQL's is for
PostgreSQL, which then writes whole lines itself; NULL is for what only Python can tell, and such a row
is written by Python. A file with a column without SQL's form is written by Python altogether.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from backoffice.moments import EARLIEST, LATEST
from orders.export import cells
from orders.export.cells import DELIMITERS, Form, Row

MARK = "\x01"  # before each of several cells that are looked at as one text
# What has to be quoted or made text, or may have to: rather too much, for Python decides. A cell
# begins with a letter or a digit, and holds neither a quote nor what a spreadsheet splits it at.
ODD = r'[",;|\u0009-\u000d\u001c-\u001e\u0085\u2028\u2029]|\u0001[^0-9A-Za-z\u00c0-\u024f\u0001]'
NUMBERS = r"^(?:\u0001(?:-?[0-9]+(?:\.[0-9]+)?)?)*$"
ISO = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""


class Kind(StrEnum):
    """What may stand in the cells of a column."""

    PLAIN = "plain"  # ids, moments, counts, words of ours: never quoted
    TEXT = "text"  # anything
    NUMBER = "number"  # what should be a number, or nothing
    SUM = "sum"  # a number that we worked out, or nothing


class Column(NamedTuple):
    """A column: its name, its two forms, and what may stand in it."""

    name: str
    value: Callable[[Any], str]
    sql: str = ""
    kind: Kind = Kind.PLAIN


def names(columns: Sequence[Column]) -> Row:
    """Return the header."""
    return tuple(column.name for column in columns)


def row_of(columns: Sequence[Column], it: object) -> Row:
    """Return the row of what ``it`` has, in Python."""
    return tuple(column.value(it) for column in columns)


def text(name: str, path: str) -> Column:
    """Return a column of texts as they are stored; "" where there is no row."""
    get = _reader(path)
    return Column(name, lambda it: get(it) or "", f"COALESCE({path}, '')", Kind.TEXT)


def ident(name: str, path: str) -> Column:
    """Return a column of ids."""
    get = _reader(path)
    return Column(name, lambda it: cells.optional(get(it)), f"COALESCE({path}::text, '')")


def number(name: str, path: str) -> Column:
    """Return a column of amounts, stored as texts."""
    get = _reader(path)
    return Column(
        name, lambda it: cells.number(get(it) or ""), f"COALESCE({path}, '')", Kind.NUMBER
    )


def moment(name: str, path: str) -> Column:
    """Return a column of moments that may be unknown; a placeholder is."""
    get = _reader(path)
    return Column(name, lambda it: cells.moment(get(it)), moment_sql(path))


def certain_moment(name: str, path: str) -> Column:
    """Return a column of moments that are always known: a placeholder is the nearest of our time."""
    get = _reader(path)
    near = f"LEAST(GREATEST({path}, '{EARLIEST.isoformat()}'), '{LATEST.isoformat()}')"
    return Column(name, lambda it: cells.moment(get(it)), iso(near))


def any_moment(name: str, path: str) -> Column:
    """Return a column of moments that are written as they are: far away ones by Python."""
    get = _reader(path)
    sql = f"CASE WHEN {path} IS NULL THEN '' WHEN {is_sane(path)} THEN {iso(path)} END"
    return Column(name, lambda it: cells.moment(get(it)), sql)


def day(name: str, path: str) -> Column:
    """Return a column of days that may be unknown; a placeholder is."""
    get = _reader(path)
    return Column(name, lambda it: cells.optional(get(it)), day_sql(path))


def moment_sql(path: str) -> str:
    """Return SQL's form of a moment that may be unknown."""
    return f"CASE WHEN {is_sane(path)} THEN {iso(path)} ELSE '' END"


def iso(path: str) -> str:
    """Return SQL for a moment of our time, cut to milliseconds."""
    return f"to_char({path} AT TIME ZONE 'UTC', {ISO})"


def is_sane(path: str) -> str:
    """Return the condition that a stored moment is known, and no placeholder."""
    return f"({path} >= '{EARLIEST.isoformat()}' AND {path} < '{LATEST.isoformat()}')"


def day_sql(path: str) -> str:
    """Return SQL's form of a day that may be unknown."""
    sane = f"{path} >= '{EARLIEST.date()}' AND {path} < '{LATEST.date()}'"
    return f"CASE WHEN {sane} THEN to_char({path}, 'YYYY-MM-DD') ELSE '' END"


def seconds_sql(later: str, earlier: str) -> str:
    """Return SQL's form of ``cells.seconds`` of the time between two moments that may be unknown."""
    milliseconds = f"GREATEST({_milliseconds(later, earlier)}, 0)"
    return (
        f"CASE WHEN {is_sane(later)} AND {is_sane(earlier)} THEN {milliseconds} / 1000 || '.' || "
        f"lpad(mod({milliseconds}, 1000)::text, 3, '0') ELSE '' END"
    )


def between_sql(later: str, earlier: str) -> str:
    """Return SQL's form of ``cells.milliseconds`` of the time between two moments of an entry."""
    milliseconds = _milliseconds(later, earlier)
    return f"CASE WHEN {is_sane(later)} AND {is_sane(earlier)} THEN {milliseconds}::text END"


def _milliseconds(later: str, earlier: str) -> str:
    # Up to PostgreSQL 13 these are floats: exact to the microsecond, once rounded.
    return f"floor((extract(epoch FROM {later} - {earlier}) * 1000000)::bigint / 1000.0)::bigint"


def choice_sql(value: str, words: Mapping[str, str]) -> str:
    """Return SQL for the word that a value is given here; NULL for a value that is not known."""
    choices = " ".join(f"WHEN {quoted(key)} THEN {quoted(word)}" for key, word in words.items())
    return f"CASE {value} {choices} END"


def quoted(value: str) -> str:
    """Return a text as a literal of SQL."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def listed(values: Collection[str]) -> str:
    """Return texts as a list of SQL."""
    return f"({', '.join(map(quoted, sorted(values)))})"


def line_sql(columns: Sequence[Column], form: Form, key: str) -> str:
    """Return SQL for the line of a row without its end, or, for Python, for its cells and ``key`` as JSON.

    A line begins with no bracket, as JSON does: the first column is a plain one. Of the cells that
    only Python can tell JSON has null.
    """
    of_text = [it.sql for it in columns if it.kind is Kind.TEXT]
    of_number = [it.sql for it in columns if it.kind is Kind.NUMBER]
    rules = [f"{_marked(of_text)} !~ {quoted(ODD)}"] if of_text else []
    rules += [f"{_marked(of_number)} ~ {quoted(NUMBERS)}"] if of_number else []
    line = f" || '{DELIMITERS[form.delimiter]}' || ".join(_written(it, form) for it in columns)
    whole = f"CASE WHEN {' AND '.join(rules)} THEN {line} END" if rules else line
    raw = ", ".join(it.sql for it in columns)
    return f"COALESCE({whole}, json_build_array({raw}, {key})::text)"


def from_cells(columns: Sequence[Column], given: Sequence[str]) -> Row:
    """Return the row of cells that SQL told."""
    is_number = {Kind.NUMBER, Kind.SUM}
    return tuple(
        cells.number(cell) if column.kind in is_number else cell
        for column, cell in zip(columns, given, strict=True)
    )


def _written(column: Column, form: Form) -> str:
    sql = f"({column.sql})"
    if column.kind not in {Kind.NUMBER, Kind.SUM} or form.decimal == "point":
        return sql
    german = f"replace({sql}, '.', ',')"
    if form.delimiter == "semicolon":
        return german
    return f"CASE WHEN strpos({sql}, '.') > 0 THEN '\"' || {german} || '\"' ELSE {sql} END"


def _marked(of: Sequence[str]) -> str:
    return "(" + " || ".join(f"'{MARK}' || ({sql})" for sql in of) + ")"


def _reader(path: str) -> Callable[[Any], Any]:
    alias, _, name = path.partition(".")
    source, member = attrgetter(alias), attrgetter(name)

    def read(it: object) -> Any:
        found = source(it)
        return None if found is None else member(found)

    return read
