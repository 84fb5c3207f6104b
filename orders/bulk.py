"""Many rows in one statement, without the ORM's work on each cell: a tenth of the CPU.

PostgreSQL takes the columns as binary arrays, SQLite the rows one by one from C. ``any_of`` is
``in`` for many ids, which PostgreSQL gets as one array instead of one by one.
"""

from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.lookups import In
from psycopg import Cursor

ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
READY = (str, int, bool, type(None))  # what SQLite takes as it is


@models.BigAutoField.register_lookup
@models.UUIDField.register_lookup
class AnyOf(In):
    """``pk__any_of=ids``, or a question for ids.

    Of the beginning of a text PostgreSQL expects many, and would read the whole table for them; of
    an array that it makes of the ids first it expects few, and is as right where they are many.
    """

    lookup_name = "any_of"

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the condition with all ids as one parameter; without any nothing is asked at all."""
        if not self.rhs_is_direct_value():
            column, values = self.process_lhs(compiler, connection)
            question, parameters = self.process_rhs(compiler, connection)
            sql = f"{column} IN (SELECT unnest(ARRAY{question}))"
            return sql, [*values, *parameters]
        ids = list(self.rhs)
        if not ids:
            raise EmptyResultSet
        column, _ = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [ids]


def insert(model: type[models.Model], rows: Sequence[Any]) -> int:
    """Insert rows, but for those that conflict with one there is; return how many were inserted.

    A key that the database makes is neither given nor read back.
    """
    return _write(model, rows, "ON CONFLICT DO NOTHING") if rows else 0


def append(model: type[models.Model], rows: Sequence[Any]) -> None:
    """Insert rows that are all new, the fastest way there is: COPY. Raises IntegrityError where one is not.

    A key that the database makes is neither given nor read back.
    """
    if not rows:
        return
    if connection.vendor != "postgresql":
        _write(model, rows, "")
        return
    fields = _fields(model)
    columns = ", ".join(f'"{_column(field)}"' for field in fields)
    cells = map(attrgetter(*(field.attname for field in fields)), rows)
    texts = map(_texts, fields, zip(*cells, strict=True))
    lines = "\n".join(map("\t".join, zip(*texts, strict=True)))
    copy = f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN'  # noqa: SLF001
    with connection.wrap_database_errors, _binary_cursor() as cursor, cursor.copy(copy) as out:
        out.write(f"{lines}\n")


def ask_for_row(statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """Run a statement of PostgreSQL, its parameters beside it in binary; return the first row of its answer."""
    with _binary_cursor() as cursor:
        cursor.execute(statement, parameters)
        found = cursor.fetchone()
    return tuple(found) if found else None


def stream(query: models.QuerySet, *, portion: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a ``values_list`` in a transaction, ``portion`` by ``portion``.

    On PostgreSQL in binary, at half the CPU, and without what Django's fields make of a value.
    """
    if connection.vendor != "postgresql":
        yield from query.iterator(chunk_size=portion)
        return
    try:
        statement, parameters = query.query.sql_with_params()
    except EmptyResultSet:
        return
    with connection.wrap_database_errors, connection.chunked_cursor() as wrapper:
        cursor: Any = wrapper.cursor
        cursor.execute(statement, parameters, binary=True)
        while rows := cursor.fetchmany(portion):
            yield from rows


def upsert(
    model: type[models.Model], rows: Sequence[models.Model], *, but: Collection[str] = ()
) -> None:
    """Insert rows; of one whose id is there write all columns ``but`` those."""
    if rows:
        written = [column for column in map(_column, _fields(model)) if column not in {"id", *but}]
        changes = ", ".join(f'"{column}" = EXCLUDED."{column}"' for column in written)
        _write(model, rows, f'ON CONFLICT ("id") DO UPDATE SET {changes}')


def update(model: type[models.Model], rows: Sequence[Any], columns: Sequence[str]) -> None:
    """Write some columns of rows that are there, all rows in one statement."""
    if not rows:
        return
    fields = {it.attname: it for it in model._meta.concrete_fields}  # noqa: SLF001
    used = [fields[name] for name in ("id", *columns)]
    cells = map(attrgetter(*(field.attname for field in used)), rows)
    table = f'"{model._meta.db_table}"'  # noqa: SLF001
    if connection.vendor == "postgresql":
        names = ", ".join(f'"{_column(field)}"' for field in used)
        changes = ", ".join(f'"{_column(it)}" = it."{_column(it)}"' for it in used[1:])
        arrays = ", ".join(f"%b::{_type(field)}[]" for field in used)
        values = [_plain(column) for column in zip(*cells, strict=True)]
        # Nothing but names of our own is written into it.
        statement = (
            f"UPDATE {table} SET {changes} FROM unnest({arrays}) AS it({names})"  # noqa: S608
            f' WHERE {table}."id" = it."id"'
        )
        with _binary_cursor() as cursor:
            cursor.execute(statement, values)
        return
    changes = ", ".join(f'"{_column(it)}" = %s' for it in used[1:])
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        lines = (_adapted(used, line) for line in cells)
        ordered = [[*line[1:], line[0]] for line in lines]
        cursor.executemany(f'UPDATE {table} SET {changes} WHERE "id" = %s', ordered)  # noqa: S608


def _write(model: type[models.Model], rows: Sequence[Any], on_conflict: str) -> int:
    fields = _fields(model)
    columns = ", ".join(f'"{_column(field)}"' for field in fields)
    into = f'INSERT INTO "{model._meta.db_table}" ({columns})'  # noqa: SLF001
    cells = map(attrgetter(*(field.attname for field in fields)), rows)
    if connection.vendor == "postgresql":
        arrays = ", ".join(f"%b::{_type(field)}[]" for field in fields)
        values = [_plain(column) for column in zip(*cells, strict=True)]
        with _binary_cursor() as cursor:
            # Nothing but names of our own is written into it.
            cursor.execute(f"{into} SELECT * FROM unnest({arrays}) {on_conflict}", values)  # noqa: S608
            return int(cursor.rowcount)
    marks = ", ".join(["%s"] * len(fields))
    # Each row is a statement of its own here: all of them or none.
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        lines = [_adapted(fields, line) for line in cells]
        cursor.executemany(f"{into} VALUES ({marks}) {on_conflict}", lines)
        return int(cursor.rowcount)


def _texts(field: Any, column: Sequence[Any]) -> list[str]:
    """Return a column as COPY reads it."""
    if isinstance(field, models.BinaryField):
        return [r"\N" if value is None else rf"\\x{value.hex()}" for value in column]
    if isinstance(field, models.CharField | models.TextField):
        return [r"\N" if value is None else _escaped(str(value)) for value in column]
    return [r"\N" if value is None else str(value) for value in column]


def _escaped(text: str) -> str:
    """Return a text without what means something to COPY."""
    if "\\" in text or not text.isprintable():
        return text.translate(ESCAPED)
    return text


def _binary_cursor() -> CursorWrapper:
    """Return a cursor whose parameters travel beside the statement: Django's writes them into it as text."""
    connection.cursor().close()  # connects, looks whether the connection lives, tells it its limits
    cursor: Any = Cursor(connection.connection)
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return wrap(cursor)


def _fields(model: type[models.Model]) -> list[Any]:
    return [it for it in model._meta.concrete_fields if not isinstance(it, models.AutoField)]  # noqa: SLF001


def _column(field: Any) -> str:
    return str(field.column)


def _type(field: Any) -> str:
    """Return the type of a column without its length: a cast to it would cut silently."""
    return str(field.db_type(connection)).partition("(")[0]


def _plain(column: Sequence[Any]) -> list[Any]:
    """Return a column with its choices as plain text: an array is of one type."""
    return [str(value) if isinstance(value, str) else value for value in column]


def _adapted(fields: Sequence[Any], line: Sequence[Any]) -> list[Any]:
    """Return a row as SQLite takes it."""
    return [
        value
        if isinstance(value, READY)
        else value.hex
        if isinstance(value, UUID)
        else field.get_db_prep_save(value, connection)
        for field, value in zip(fields, line, strict=True)
    ]
