"""Moments as PostgreSQL writes them, read by the standard library: ten times faster than Django's own way.

A page, a file or a batch reads tens of thousands of them; they were a fifth of its work.
"""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from psycopg import DataError
from psycopg.adapt import Buffer, Loader


class MomentLoader(Loader):
    """Reads ``2026-03-02 09:00:00.5+00``; connections of Django's are in UTC."""

    timezone = UTC  # Django looks here for what it would set itself

    def load(self, data: Buffer) -> datetime:
        """Return the moment. Raises DataError for what Python cannot hold: infinity, years before 1."""
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise DataError(f"{text!r} is not a moment that Python can hold") from error


@receiver(connection_created)
def read_moments_fast(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let a new connection to PostgreSQL read moments our way."""
    if connection.vendor == "postgresql" and connection.timezone == UTC:
        connection.connection.adapters.register_loader("timestamptz", MomentLoader)
