"""Fold the journal anew: compare with the tables, or write over them."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders import journal, rebuild
from orders.scratch import Damage


class Command(MigratedCommand):
    help = (
        "Rebuild the tables of orders from the whole journal; with --check only compare, "
        "and exit with 1 on any difference, or entry that cannot be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only compare, change nothing")
        parser.add_argument("--no-input", action="store_true", help="do not ask before writing")

    def handle(self, *, check: bool, no_input: bool, **_: Any) -> None:
        if not check and not no_input:
            self._confirm()
        found = rebuild.compare() if check else rebuild.rebuild(now=timezone.now())
        count = damaged = 0
        for it in found:
            if isinstance(it, Damage):
                damaged += 1
            else:
                count += 1
            self.stdout.write(str(it))
        if check:
            self._judge(count, damaged)
            return
        said = f"Rebuilt from the journal: {count} differences corrected.{_unread(damaged)}"
        journal.record_step(said, actor=who(), now=timezone.now(), type_="REBUILD")
        self.stdout.write(said)

    def _judge(self, count: int, damaged: int) -> None:
        """Fail if the tables differ from the journal, or if that cannot be told."""
        advice = " `rebuild` without --check corrects them." if count else ""
        if count or damaged:
            raise CommandError(f"{count} differences.{advice}{_unread(damaged)}")
        self.stdout.write("0 differences between the journal and the tables.")

    def _confirm(self) -> None:
        if not sys.stdin.isatty():
            raise CommandError("This overwrites the tables. Use --no-input to skip the question.")
        answer = input(
            "Overwrite the tables with the state from the journal? Drains wait meanwhile. [y/N] "
        )
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")


def _unread(damaged: int) -> str:
    """Return what is said of entries that cannot be read."""
    if not damaged:
        return ""
    entries = "1 journal entry" if damaged == 1 else f"{damaged} journal entries"
    return f" {entries} could not be read: what they are about stays as it is."
