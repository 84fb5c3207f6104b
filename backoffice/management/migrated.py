"""Commands that need our tables."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from backoffice.database import require_migrated


class MigratedCommand(BaseCommand):
    """A command that says in one sentence when the database was not migrated."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command on a database that has our tables."""
        try:
            require_migrated()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except DatabaseError:  # it is away: what the command makes of that is its own
            connection.close()
        return super().execute(*args, **options)
