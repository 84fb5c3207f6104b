"""Read kept deliveries again, any number of them: after a release that reads what an earlier one could not."""

import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseTrouble
from django.utils import timezone

from backoffice.management import dates
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders import projection
from webhooks import replay
from webhooks.models import Delivery, DeliveryQuerySet, Verdict

BATCHES = 5  # of the drain, between two reports of progress


class Command(MigratedCommand):
    help = (
        "Read kept deliveries again and apply what that brings: those that could not be read, or "
        "all. What is in the journal already is not recorded twice. Exits with 1 if any of them "
        "still cannot be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=dates.moment, metavar="DATE", help=dates.FORMS)
        parser.add_argument("--until", type=dates.moment, metavar="DATE", help=dates.FORMS)
        parser.add_argument(
            "--verdict",
            type=str.upper,
            choices=[Verdict.UNREADABLE.value, Verdict.ACCEPTED.value],
            help="only those with this verdict",
        )

    def handle(
        self, *, since: datetime | None, until: datetime | None, verdict: str | None, **_: Any
    ) -> None:
        rows = Delivery.objects.exclude(verdict=Verdict.REFUSED)
        if since is not None:
            rows = rows.filter(received_at__gte=since)
        if until is not None:
            rows = rows.filter(received_at__lt=until)
        if verdict is not None:
            rows = rows.filter(verdict=verdict)
        ids = replay.request(rows, actor=who(), now=timezone.now())
        if not ids:
            self.stdout.write("There are no such deliveries.")
            return
        self._drain(len(ids))
        self._report(ids)

    def _drain(self, number: int) -> None:
        is_more = True
        while is_more:
            try:
                is_more = projection.drain(now=timezone.now(), most=BATCHES).is_cut_short
            except DatabaseTrouble as error:
                raise CommandError(
                    f"{error}. The deliveries stay marked: workers read them, or "
                    "`manage.py drain` does."
                ) from error
            left = Delivery.objects.unread().count() if sys.stderr.isatty() else 0
            self._progress(f"{number - min(left, number):,} of {number:,} read ..." if left else "")

    def _report(self, ids: list[int]) -> None:
        bad = sum(
            _of(chunk).filter(verdict=Verdict.UNREADABLE).count() for chunk in replay.chunks(ids)
        )
        waiting = sum(_of(chunk).unread().count() for chunk in replay.chunks(ids))
        said = f"{len(ids):,} deliveries read again, {bad:,} of them still cannot be read."
        if waiting:
            said += f" {waiting:,} wait for another process that is reading them."
        self.stdout.write(said)
        if bad:
            raise SystemExit(1)

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="")


def _of(ids: list[int]) -> DeliveryQuerySet:
    return Delivery.objects.filter(pk__in=ids)
