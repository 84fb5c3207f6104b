"""PostgreSQL with limits by role: the session's, and the client's own for a server that is frozen."""

import re
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Self, TypeVar, cast

import psycopg
from django.db.backends.postgresql import base as django
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from backoffice.engines.limited import LimitedWrapper
from backoffice.limits import Limits, NoPatienceError, Process, Wait

T = TypeVar("T")

_connecting: ContextVar[Wait] = ContextVar("connecting")


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that waits for the server no longer than the work in hand may."""

    owner: "DatabaseWrapper"

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Self]:
        # Counted over all hosts: one that answers at once is taken, however long the others took.
        return _patient(super()._connect_gen(*args, **kwargs), _connecting.get())

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for what ``gen`` wants of the server; on giving up, close the connection."""
        work = self.owner.work
        try:
            with work.waiting() as wait:
                return super().wait(_patient(gen, wait), *args, **kwargs)
        except NoPatienceError as error:
            self.close()
            raise psycopg.OperationalError(str(error)) from None
        except psycopg.OperationalError:  # also the server's own limits
            work.is_well = False
            self._leave()
            raise
        except psycopg.Error:
            raise
        except BaseException:  # a task's time is up: nobody reads the answer any more
            self._leave()
            raise

    def _leave(self) -> None:
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.close()


class DatabaseWrapper(LimitedWrapper, django.DatabaseWrapper):
    """A connection of Django to PostgreSQL under the limits of the work in hand."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with; what the operator's address says comes after ours, and wins."""
        given = super().get_connection_params()
        limits = self.work.limits
        ours = " ".join(f"-c {name}={value}" for name, value in _session(limits).items())
        return {
            "connect_timeout": limits.connect,
            "application_name": _name(limits),
            **given,
            "options": f"{ours} {given.get('options', '')}".strip(),
        }

    def get_new_connection(self, conn_params: dict[str, Any]) -> LimitedConnection:
        """Connect, within the limits of the work in hand."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        try:
            with self.work.waiting() as wait:
                connection = _connect(wait, conn_params)
        except NoPatienceError as error:
            raise psycopg.OperationalError(str(error)) from None
        except psycopg.OperationalError:
            self.work.is_well = False
            raise
        connection.owner, self._told = self, self.work.limits
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor of a session that keeps the limits of the work in hand."""
        self._tell()
        return super().create_cursor(name)

    def _set_autocommit(self, *to: bool) -> None:
        if to == (False,):
            self._tell()
        super()._set_autocommit(*to)  # type: ignore[misc] # Django's, but not its stubs'

    def _tell(self) -> None:
        """Tell the session its limits where another role used it before; never within a transaction."""
        limits = self.work.limits
        if self._told is limits or self.in_atomic_block or not self.connection.autocommit:
            return
        given = self.settings_dict["OPTIONS"]
        theirs = set(re.findall(r"(?:-c\s*|--)([\w.]+)\s*=", given.get("options", "")))
        session = {**_session(limits), "application_name": _name(limits)}
        wanted = {name: value for name, value in session.items() if name not in theirs | set(given)}
        settings = ", ".join(f"set_config('{name}', '{wanted[name]}', false)" for name in wanted)
        if settings:
            with self.wrap_database_errors:
                self.connection.execute(f"SELECT {settings}")
        self._told = limits


def _connect(wait: Wait, params: dict[str, Any]) -> LimitedConnection:
    token = _connecting.set(wait)
    try:
        return LimitedConnection.connect(**params)
    finally:
        _connecting.reset(token)


def _patient(gen: Generator[Any, Any, T], wait: Wait) -> Generator[Any, Any, T]:
    """Run ``gen``; each time that nothing came for a moment, see whether to wait on."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready:
                wait.go_on()
            state = gen.send(ready)
    except StopIteration as end:
        return cast(T, end.value)
    except NoPatienceError as error:
        raise psycopg.OperationalError(str(error)) from None


def _session(limits: Limits) -> dict[str, str]:
    """Return PostgreSQL's settings for these limits."""
    return {
        "statement_timeout": f"{limits.statement}s",
        "lock_timeout": f"{limits.lock}s",
        "idle_in_transaction_session_timeout": f"{limits.idle}s",
    }


def _name(limits: Limits) -> str:
    return f"order-desk {Process.name()} {limits.role}"[:63]
