"""Compare our books with the broker's and repair ours: an account, a span of time, or all that is open."""

import sys
import time
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.management import dates
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders.export import files
from orders.management.export import shown, write_whole
from orders.management.ids import id_of
from orders.reconciliation import runs, sentences
from orders.reconciliation.models import Reconciliation, RunState, Scope
from orders.reconciliation.work import LostError, Work

PATIENCE = 20  # times in a row that the broker may ask us to wait
sleep = time.sleep


class Command(MigratedCommand):
    help = (
        "Compare what is held here with what the broker has, and repair what differs here. It can "
        "be stopped with Ctrl-C and continued. Exits with 1 if something differs, is unknown at "
        "the broker, or could not be compared."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--account", type=id_of("an account"), metavar="ID", help="all orders of an account"
        )
        which.add_argument(
            "--since",
            type=dates.moment,
            metavar="DATE",
            help=f"portfolio orders placed from then on, with their orders: {dates.FORMS}",
        )
        which.add_argument(
            "--open", action="store_true", help="all that is open or unsettled here, one by one"
        )
        which.add_argument(
            "--continue", type=int, dest="number", metavar="ID", help="one that was stopped"
        )
        parser.add_argument(
            "--until", type=dates.moment, metavar="DATE", help="with --since: before then"
        )
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write the findings as CSV, too"
        )

    def handle(self, *, output: Path | None, **options: Any) -> None:
        try:
            run = self._begin(**options)
        except (runs.NotPossibleError, Reconciliation.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Reconciliation {run.pk}: {sentences.scope_words(run)}.")
        try:
            self._work(Work(run))
        except LostError:
            self._lost(run)
        except KeyboardInterrupt:
            self._stop(run)
        run.refresh_from_db()
        self._progress("")
        self.stdout.write(f"{sentences.sums(run)}.")
        if output:
            self._write(run, output)
        self._end(run)

    def _begin(
        self,
        *,
        account: UUID | None,
        since: datetime | None,
        until: datetime | None,
        number: int | None,
        **_: Any,
    ) -> Reconciliation:
        if until and not since:
            raise CommandError("--until goes with --since.")
        now = timezone.now()
        if number is not None:
            return runs.go_on(number, actor=who(), now=now, holds=True)
        scope = Scope.ACCOUNT if account else Scope.WINDOW if since else Scope.OPEN
        return runs.start(
            scope, actor=who(), now=now, account_id=account, since=since, until=until, holds=True
        )

    def _work(self, work: Work) -> None:
        waits = 0
        while not work.is_over:
            wait = work.step()
            self._progress(f"{work.run.compared:,} compared, {sentences.progress(work.run)} ...")
            waits = waits + 1 if wait else 0
            if waits > PATIENCE:
                self._stop(work.run)
                return
            if wait:
                seconds = wait.total_seconds()
                self._progress(f"waiting for {seconds:.0f} s: {work.run.reason} ...")
                sleep(min(seconds, runs.LEASE.total_seconds() / 2))

    def _lost(self, run: Reconciliation) -> None:
        run.refresh_from_db()
        if run.state == RunState.RUNNING:
            raise CommandError(f"Another process has taken over reconciliation {run.pk}.") from None

    def _stop(self, run: Reconciliation) -> None:
        """Stop it at once: nobody else works on it."""
        runs.stop(run.pk, actor=who(), now=timezone.now(), at_once=True)

    def _write(self, run: Reconciliation, output: Path) -> None:
        export = files.findings(run)
        try:
            write_whole(output, export.chunks(bom=False))
        except OSError as error:
            raise CommandError(f"The file could not be written: {error}") from error
        finally:
            export.close()
        export.record(
            actor=who(),
            how=f"reconciliation {run.pk} to {shown(output)}",
            asked={"reconciliation": run.pk},
        )
        self.stdout.write(f"{export.rows_in_words} in {shown(output)}.")

    def _end(self, run: Reconciliation) -> None:
        if run.state != RunState.DONE:
            why = f": {run.reason.removesuffix('.')}." if run.reason else "."
            raise CommandError(
                f"{RunState(run.state).label}{why} `reconcile --continue {run.pk}` resumes it."
            )
        if run.reason:
            self.stderr.write(run.reason)
        if sentences.needs_people(run):
            raise CommandError("Not everything could be corrected: see the findings.")

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="")
            self.stderr.flush()
