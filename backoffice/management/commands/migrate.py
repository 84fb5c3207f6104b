"""Django's migrate, which never lets the desk wait behind it for a lock."""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError

from backoffice.database import limits

LOCKED = "55P03"  # PostgreSQL's code for a lock that was not had in time
TRIES = 10
PAUSE = 2  # seconds between two tries, in which those who waited behind us go on


class Command(migrate.Command):
    """Wait for a lock for a few seconds only, for everybody else waits behind us; then try again."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; what is done already is not done again."""
        for left in reversed(range(TRIES)):
            if self._is_done(*args, **options):
                return
            if left:
                self.stderr.write(f"A table is in use; {left} more tries.")
                time.sleep(PAUSE)
        raise CommandError(GIVEN_UP)

    def _is_done(self, *args: Any, **options: Any) -> bool:
        try:
            with limits("migration"):
                super().handle(*args, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCKED:
                raise
            return False
        return True


GIVEN_UP = (
    "A table was in use all the time, by a transaction that somebody left open (pg_stat_activity "
    "shows whose). What is done so far is kept; run `manage.py migrate` again."
)
