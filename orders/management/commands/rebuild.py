"""Fold the journal anew: compare with the tables, or write over them."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError
from django.utils import timezone

from backoffice.crew import LostProcessError
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders import journal, rebuild
from orders.rebuild import Progress
from orders.scratch import Damage


class Command(MigratedCommand):
    help = (
        "Rebuild the tables of orders from the whole journal, part by part; with --check only "
        "compare, and exit with 1 on any difference, or entry that cannot be read. Nothing that "
        "arrives meanwhile waits for more than a part. One that was cut short may be started again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only compare, change nothing")
        parser.add_argument("--no-input", action="store_true", help="do not ask before writing")
        parser.add_argument(
            "--processes",
            type=_count,
            metavar="N",
            help="how many share the work on PostgreSQL; by default one for each core",
        )

    def handle(self, *, check: bool, no_input: bool, processes: int | None, **_: Any) -> None:
        if not check and not no_input:
            self._confirm()
        self._progress = Progress()
        differing: Counter[str] = Counter()
        damaged = 0
        try:
            for it in self._found(check=check, processes=processes):
                if isinstance(it, Damage):
                    damaged += 1
                else:
                    differing[f"{it.table}: {it.column}"] += 1
                self._say("")
                self.stdout.write(str(it))
        except (OperationalError, LostProcessError) as error:
            raise CommandError(f"Cut short: {error}. {_left(differing, check=check)}") from error
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {_left(differing, check=check)}") from None
        self._say("")
        self.stdout.write(_done(self._progress))
        for kind, count in sorted(differing.items()):
            self.stdout.write(f"  {kind}: {count:,}")
        if check:
            self._judge(differing.total(), damaged)
            return
        said = f"Rebuilt from the journal: {differing.total()} differences corrected.{_unread(damaged)}"
        journal.record_step(said, actor=who(), now=timezone.now(), type_="REBUILD")
        self.stdout.write(said)

    def _found(self, *, check: bool, processes: int | None) -> Any:
        if check:
            return rebuild.compare(processes=processes, watch=self._watch)
        return rebuild.rebuild(now=timezone.now(), processes=processes, watch=self._watch)

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
            "Write the state from the journal over the rows that differ? Drains go on meanwhile. [y/N] "
        )
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")

    def _watch(self, progress: Progress) -> None:
        self._progress = progress
        self._say(f"{progress.step}: {_done(progress)}")

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="")
            self.stderr.flush()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 64):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _done(progress: Progress) -> str:
    """Return how much was read, and how fast."""
    rate = progress.entries / progress.seconds if progress.seconds else 0
    hands = "1 process" if progress.processes == 1 else f"{progress.processes} processes"
    return (
        f"{progress.entries:,} entries in {progress.parts:,} parts with {hands}, "
        f"{rate:,.0f} entries/s."
    )


def _left(differing: Counter[str], *, check: bool) -> str:
    """Return what stands after a run that was cut short."""
    if check:
        return f"{differing.total():,} differences up to then."
    return f"The {differing.total():,} differences named above are corrected; start it again for the rest."


def _unread(damaged: int) -> str:
    """Return what is said of entries that cannot be read."""
    if not damaged:
        return ""
    entries = "1 journal entry" if damaged == 1 else f"{damaged} journal entries"
    return f" {entries} could not be read: what they are about stays as it is."
