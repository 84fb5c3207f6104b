"""What both engines share: the work that a connection serves at the moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from backoffice.limits import Limits, NoPatienceError, Work, default_work


class LimitedWrapper(BaseDatabaseWrapper):
    """A connection that knows whose work it does, and keeps the limits of its role."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._work: Work | None = None
        self._told: Limits | None = None  # what the session has been told

    @property
    def work(self) -> Work:
        """Return the work in hand."""
        if self._work is None:
            self._work = default_work()
        return self._work

    @contextmanager
    def limited(self, limits: Limits) -> Iterator[Work]:
        """Do one piece of work under ``limits``. The session is told when it next begins something."""
        before, self._work = self._work, Work(limits)
        work = self._work
        try:
            yield work
        finally:
            self._work = before
            work.leave()

    def close_if_unusable_or_obsolete(self) -> None:
        """Close a connection that had errors, without a question to a server that may hang.

        Called at the begin and end of each request, also of one that needs no database.
        """
        if self.connection is not None and self.errors_occurred and not self.in_atomic_block:
            self.close()
        super().close_if_unusable_or_obsolete()

    def is_lost(self) -> bool:
        """Return whether the connection was there and is no more."""
        return bool(getattr(self.connection, "closed", False))

    def ensure_connection(self) -> None:
        """Connect, where there is no connection."""
        self._enter()
        super().ensure_connection()

    def set_autocommit(self, *args: Any, **kwargs: Any) -> None:
        """Begin or end what Django calls a transaction."""
        self._enter()
        super().set_autocommit(*args, **kwargs)

    def _cursor(self, name: str | None = None) -> Any:
        self._enter()
        return super()._cursor(name)  # type: ignore[misc] # Django's, but not its stubs'

    def _enter(self) -> None:
        try:
            self.work.enter()
        except NoPatienceError as error:
            raise OperationalError(str(error)) from None
