"""Fold the journal anew: compare with the tables, or write over them."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders import journal, rebuild


class Command(MigratedCommand):
    help = (
        "Fold the whole journal anew and write the result over what the tables hold of orders; "
        "with --check only compare, and exit with 1 on any difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only compare, change nothing")
        parser.add_argument("--no-input", action="store_true", help="do not ask before writing")

    def handle(self, *, check: bool, no_input: bool, **_: Any) -> None:
        if not check and not no_input:
            self._confirm()
        differences = rebuild.compare() if check else rebuild.rebuild(now=timezone.now())
        count = 0
        for difference in differences:
            count += 1
            self.stdout.write(str(difference))
        if check and count:
            raise CommandError(f"{count} differences. `rebuild` without --check mends them.")
        if check:
            self.stdout.write(f"{count} differences between the journal and the tables.")
            return
        said = f"Folded the journal anew: {count} differences mended."
        journal.record_step(said, actor=who(), now=timezone.now(), type_="REBUILD")
        self.stdout.write(said)

    def _confirm(self) -> None:
        if not sys.stdin.isatty():
            raise CommandError("This writes over the tables. Say --no-input to do it unasked.")
        answer = input(
            "Write the fold of the journal over the tables? Drains wait meanwhile. [y/N] "
        )
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")
