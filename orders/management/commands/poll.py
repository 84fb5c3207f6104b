"""Ask the broker about all that is due, once; or list what it has since a date and record what is unknown."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.management import dates
from backoffice.management.migrated import MigratedCommand
from orders.asking import asks, discovery, polling
from orders.asking.feedback import Result, Verdict
from orders.cancelling import sending as cancelling
from orders.placing import sending as placing


class Command(MigratedCommand):
    help = (
        "Send what is due to be sent and ask the broker about all that is due, once. With --since, "
        "list the portfolio orders created from then on instead, and record those unknown here. "
        "Exits with 1 if anything failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            type=dates.moment,
            metavar="DATE",
            help=dates.FORMS,
        )

    def handle(self, *, since: datetime | None, **_: Any) -> None:
        try:
            if since is not None:
                return self._list(since)
            self._send()
            self._poll()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    def _send(self) -> None:
        """Send what workers would: people wait for these first."""
        self._send_each("placement", placing.due(now=timezone.now()), placing.send)
        self._send_each("cancellation", cancelling.due(now=timezone.now()), cancelling.send)

    def _send_each(self, what: str, due: list[Any], send: Callable[[Any], object]) -> None:
        for number, pk in enumerate(due, 1):
            send(pk)
            self._progress(f"{number} of {len(due)} {what}s ...")
        self._progress("")
        if due:
            plural = "" if len(due) == 1 else "s"
            self.stdout.write(f"Sent or followed up {len(due)} {what}{plural}.")

    def _poll(self) -> None:
        counts: Counter[str] = Counter()

        def tell(result: Result) -> None:
            counts["asked"] += result.verdict not in {Verdict.BUSY, Verdict.SKIPPED}
            counts["changed"] += result.updated
            counts["failed"] += bool(result.reason)
            self._progress(f"{counts['asked']} checked, {counts['failed']} failed ...")

        polling.poll(now=timezone.now(), tell=tell)
        self._progress("")
        self.stdout.write(
            f"Checked {counts['asked']} that were due: {counts['changed']} with new details, "
            f"{counts['failed']} failed."
        )
        if until := asks.paused_until():
            raise CommandError(
                f"The broker asked us to wait until {timezone.localtime(until):%H:%M:%S}."
            )
        if until := asks.shut_until():
            raise CommandError(
                f"The broker does not answer; the next try is at {timezone.localtime(until):%H:%M:%S}."
            )
        if counts["failed"]:
            raise CommandError(f"{counts['failed']} could not be checked; the journal says why.")

    def _list(self, since: datetime) -> None:
        try:
            listed = discovery.record_created(
                since=since, progress=lambda so_far: self._progress(f"{so_far} ...")
            )
        except InvestmentAPIError as error:
            raise CommandError(
                f"The broker's list could not be read to its end: {error}"
            ) from error
        self._progress("")
        self.stdout.write(f"{str(listed).capitalize()}, recorded.")

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="")
            self.stderr.flush()
