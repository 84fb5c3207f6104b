"""Check that migrations neither stop a desk that is in use nor break the release before."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backoffice.schema import linter


class Command(BaseCommand):
    help = "Name every migration that would lock a table for long, or break the release before."

    def handle(self, **_: Any) -> None:
        if found := list(linter.problems()):
            raise CommandError("\n".join(found))
        self.stdout.write("The migrations can be applied while the desk is in use.")
