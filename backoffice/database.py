"""What can be told of the database: whether it has our tables, and what an error of it asks for."""

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection
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
