"""SQLite with limits by role: the wait for the one writer is ours, so that it can be given up."""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.backends.sqlite3 import base as django

from backoffice.engines.limited import LimitedWrapper
from backoffice.limits import NoPatienceError, Wait, Work

T = TypeVar("T")


class PatientCursor(django.SQLiteCursorWrapper):
    """A cursor that tries again while another writes, as long as the work in hand may wait."""

    work: Work

    def execute(self, query: str, params: Any = None) -> Any:
        """Execute, when the database is free."""
        return self._when_free(lambda: super(PatientCursor, self).execute(query, params))

    def executemany(self, query: str, param_list: Any) -> Any:
        """Execute many, when the database is free."""
        params = list(param_list)
        return self._when_free(lambda: super(PatientCursor, self).executemany(query, params))

    def _when_free(self, execute: Callable[[], Any]) -> Any:
        # Within a transaction the lock is held, or cannot be had however long it is waited for.
        return execute() if self.connection.in_transaction else when_free(self.work, execute)


class DatabaseWrapper(LimitedWrapper, django.DatabaseWrapper):
    """A connection of Django to SQLite under the limits of the work in hand."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Open the file: its first process sets the mode of its journal, others wait for that."""
        connect = super().get_new_connection
        connection: sqlite3.Connection = when_free(self.work, lambda: connect(conn_params))
        return connection

    def create_cursor(self, name: str | None = None) -> PatientCursor:
        """Return a cursor that waits as the work in hand may."""
        cursor: PatientCursor = self.connection.cursor(factory=PatientCursor)
        cursor.work = self.work
        return cursor


def when_free(work: Work, execute: Callable[[], T]) -> T:
    """Return what ``execute`` does; as long as ``work`` may wait, try again while the file is locked."""
    try:
        with work.waiting() as wait:
            return _tried(execute, wait, work)
    except NoPatienceError as error:
        raise sqlite3.OperationalError(f"database is locked: {error}") from None


def _tried(execute: Callable[[], T], wait: Wait, work: Work) -> T:
    limit = work.limits.lock
    while True:
        try:
            return execute()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        wait.go_on()
        if limit and wait.waited > limit:
            work.is_well = False
            raise NoPatienceError(
                f"another has written for {wait.waited:.1f} s ({work.limits.role})"
            )
