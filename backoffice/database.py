"""What can be told of the database, what an error of it asks for, and one state of it to read."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

TOO_LARGE = "54"  # the class of PostgreSQL's codes for what exceeds one of its limits


def may_pass(error: Exception) -> bool:
    """Return whether the same may succeed later: the database is away, locked, or full.

    Both databases call a statement that is too large for them an operational error, too: that
    fails whenever it is tried, and what waits for it would wait for ever.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    code = getattr(error.__cause__, "sqlstate", None) or ""
    return not (code.startswith(TOO_LARGE) or "too many SQL variables" in str(error))


def unapplied_migrations() -> int:
    """Return how many migrations of this release the database lacks. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def require_migrated() -> None:
    """Raise ImproperlyConfigured where the database lacks migrations.

    Against older tables every entry would fail and be quarantined one by one.
    """
    if waiting := unapplied_migrations():
        raise ImproperlyConfigured(
            f"The database lacks {waiting} migrations. Run `manage.py migrate` first."
        )


@contextmanager
def snapshot() -> Iterator[None]:
    """Read one state of the database, whatever is written meanwhile; within a transaction that one's.

    It blocks no writer. Nothing can be written inside.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:  # atomic() would begin IMMEDIATE, and shut out every writer to the end of the file
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
