"""What can be told of the database, what an error of it asks for, and one state of it to read."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from backoffice.engines.limited import LimitedWrapper
from backoffice.interruptions import is_interruption
from backoffice.limits import ROLES, Process

T = TypeVar("T")

# Classes of PostgreSQL's codes that speak of the values of a row: out of range, over a limit, against a rule.
OF_THE_DATA = ("22", "23", "54")
NOT_NULL = "23502"  # of a column that this release does not know: the schema is a newer one
UNIQUE = "23505"
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
# SQLite has no codes; these are errors of its own that speak of a row, by their beginnings.
TOO_LARGE = ("too many SQL variables", "string or blob too big")


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of an error; "" where it has none."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def is_taken(error: IntegrityError, column: str) -> bool:
    """Return whether a row could not be inserted because there is one with the same value in ``column``."""
    if sqlstate(error) == UNIQUE:
        rule = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
        return column in str(rule)
    return str(error).startswith("UNIQUE constraint failed") and str(error).endswith(f".{column}")


def may_pass(error: Exception) -> bool:
    """Return whether the same may succeed later, or elsewhere: nothing is wrong with the rows themselves.

    So it is where the database is away, locked, or full, where its schema is not that of this
    release, and where the work was interrupted. What is wrong with a row fails whenever it is tried,
    and what waits for it would wait for ever.
    """
    if is_interruption(error):
        return True
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    if code := sqlstate(error):
        return code == NOT_NULL or _is_key_of_ours(error) or not code.startswith(OF_THE_DATA)
    if isinstance(error, IntegrityError):
        return str(error).startswith("NOT NULL constraint failed")
    return isinstance(error, OperationalError | InterfaceError) and not any(
        words in str(error) for words in (*TOO_LARGE, "Error binding parameter")
    )


def _is_key_of_ours(error: Exception) -> bool:
    """Return whether a key that the database made is taken: its sequence is behind, as after a restore."""
    rule = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return sqlstate(error) == UNIQUE and str(rule).endswith("_pkey")


@contextmanager
def limits(role: str) -> Iterator[None]:
    """Do one piece of work on the database under the limits of a role (``limits.ROLES``).

    Beyond a limit, and where too many of a role already wait, statements raise OperationalError.
    """
    # The very connection: a file that is streamed may be ended by another thread.
    wrapper = cast(LimitedWrapper, connections[DEFAULT_DB_ALIAS])
    with wrapper.limited(ROLES[role]):
        yield


def once_more(work: Callable[[], T]) -> T:
    """Do work of one statement, again on a new connection where the one at hand turns out to be lost.

    So the server need not be asked first whether the connection lives, which is a question for each
    piece of work. What was done and not answered may be done twice. Raises what the second try does.
    A connection that was given up because the server hangs is no lost one: nobody waits again.
    """
    wrapper = cast(LimitedWrapper, connections[DEFAULT_DB_ALIAS])
    if wrapper.in_atomic_block:
        return work()
    wrapper.health_check_done = True  # type: ignore[attr-defined] # Django's, but not its stubs'
    try:
        return work()
    except (OperationalError, InterfaceError):
        if wrapper.work.has_given_up or not wrapper.is_lost():
            raise
        wrapper.close()
        wrapper.work.is_well = True
        return work()


def take_role(role: str) -> None:
    """Have all work of this process that says nothing else keep the limits of ``role``."""
    Process.role = role


def unapplied_migrations() -> int:
    """Return how many migrations of this release the database lacks. Raises DatabaseError."""
    return len(_release() - MigrationRecorder(connection).applied_migrations().keys())


@cache
def _release() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


def require_writable(tables: Iterable[str]) -> None:
    """Raise DatabaseError where ``tables`` cannot be written to now: locked, or on a replica."""
    with transaction.atomic():  # SQLite takes its one lock here
        if connection.vendor == "postgresql" and tables:
            names = ", ".join(map(connection.ops.quote_name, sorted(tables)))
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {names} IN ROW EXCLUSIVE MODE")


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
