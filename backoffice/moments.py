"""Moments: which ones say when something happened, and how stored ones are read.

What lies far outside our time is a placeholder for an unknown moment (year 1, 1970, 9999): it is
read as unknown, also from rows that earlier releases stored, so that no page, file or command has
to convert it to a zone in which it does not exist.

PostgreSQL's are read by the standard library, ten times faster than Django's own way: a page, a
file or a batch reads tens of thousands of them; they were a fifth of its work.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.ddl_references import Statement
from django.db.backends.signals import connection_created
from django.db.models.expressions import OrderBy
from django.dispatch import receiver
from psycopg.adapt import Buffer, Loader

EARLIEST = datetime(
    2002, 1, 1, tzinfo=UTC
)  # behind the zeros of all clocks: 1, 1601, 1900, 1970, 2000, 2001
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=366)  # clocks differ by hours, placeholders by years


def sane(moment: datetime, known_at: datetime | None = None) -> datetime | None:
    """Return a moment; None for a placeholder: out of our time, or far ahead of when it was told."""
    if not EARLIEST <= moment < LATEST or (known_at and moment > known_at + AHEAD):
        return None
    return moment


class MomentField(models.DateTimeField):
    """A moment in UTC. A stored placeholder is read as NULL; where there is no NULL, as the nearest of our time."""

    def from_db_value(self, value: datetime | None, *_: object) -> datetime | None:
        """Return what is stored, or what stands for it."""
        if value is None or EARLIEST <= value < LATEST:
            return value
        return None if self.null else min(max(value, EARLIEST), LATEST)

    def deconstruct(self) -> Any:
        """Return what migrations see: the column is Django's own."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs


class DayField(models.DateField):
    """A calendar date that may be unknown; a stored placeholder is read as NULL."""

    def from_db_value(self, value: date | None, *_: object) -> date | None:
        """Return what is stored, but for a placeholder."""
        return value if value and EARLIEST.date() <= value < LATEST.date() else None

    def deconstruct(self) -> Any:
        """Return what migrations see: the column is Django's own."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateField", args, kwargs


def newest_first(name: str) -> OrderBy:
    """Return how to sort by a moment: the newest first and unknown ones last, on every database."""
    return models.F(name).desc(nulls_last=True)


class MomentIndex(models.Index):
    """An index that ``newest_first`` is answered from.

    SQLite sorts NULL last by itself here, and cannot be told so in an index.
    """

    def create_sql(
        self, model: type[models.Model], schema_editor: Any, using: str = "", **more: Any
    ) -> Any:
        """Return the statement that builds it."""
        statement: Any = super().create_sql(model, schema_editor, using, **more)
        if schema_editor.connection.vendor != "sqlite":
            return statement
        return _WithoutNulls(statement.template, **statement.parts)


class _WithoutNulls(Statement):
    """A statement still, no text: where SQLite copies a table, Django renames the table in it."""

    def __str__(self) -> str:
        return super().__str__().replace(" NULLS LAST", "")


class MomentLoader(Loader):
    """Reads ``2026-03-02 09:00:00.5+00``; connections of Django's are in UTC.

    What Python cannot hold is as early or late as it can: before year 1, after 9999, infinity.
    """

    timezone = UTC  # Django looks here for what it would set itself

    def load(self, data: Buffer) -> datetime:
        """Return the moment."""
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            day = date.min if _is_early(text) else date.max
            return datetime.combine(day, time.min, UTC)


class DayLoader(Loader):
    """Reads ``2026-03-02``, and what Python cannot hold as above."""

    def load(self, data: Buffer) -> date:
        """Return the date."""
        text = bytes(data).decode()
        try:
            return date.fromisoformat(text)
        except ValueError:
            return date.min if _is_early(text) else date.max


def _is_early(text: str) -> bool:
    return text.startswith("-") or text.endswith("BC")


@receiver(connection_created)
def read_moments_fast(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let a new connection to PostgreSQL read moments our way."""
    if connection.vendor == "postgresql" and connection.timezone == UTC:
        connection.connection.adapters.register_loader("timestamptz", MomentLoader)
        connection.connection.adapters.register_loader("date", DayLoader)
