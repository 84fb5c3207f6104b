"""Delete old deliveries; what they told stays in the journal."""

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils import timezone

from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders import journal
from webhooks import inbox
from webhooks.models import Delivery

BATCH = 1000  # rows in one short transaction
LONGEST = 36_500  # days; before them lies nothing


class Command(MigratedCommand):
    help = "Delete deliveries older than --days. What is in the journal stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="age in days (default: 90)")
        parser.add_argument("--no-input", action="store_true", help="do not ask before deleting")

    def handle(self, *, days: int, no_input: bool, **options: Any) -> None:
        if not 1 <= days <= LONGEST:
            raise CommandError(f"--days is at least 1 and at most {LONGEST:,}")
        before = timezone.now() - timedelta(days=days)
        old = _old(before)
        number = old.count()
        what = f"deliveries received before {before:%Y-%m-%d %H:%M} UTC"
        if not number:
            self.stdout.write(f"There are no {what}.")
            return
        if not no_input:
            self._ask(
                f"Delete {number} {what}, with their bodies? Their events stay in the journal."
            )
        self.stdout.write(self._delete(before, number, what))

    def _ask(self, question: str) -> None:
        self.stdout.write(f"{question} Type yes to go on: ", ending="")
        self.stdout.flush()
        try:
            answer = input()
        except EOFError:
            raise CommandError("nobody answered; use --no-input") from None
        if answer.strip().lower() != "yes":
            raise CommandError("nothing was deleted")

    def _delete(self, before: datetime, number: int, what: str) -> str:
        """Delete them and return what to say; the journal is told the same, also of a part of them."""
        deleted = 0
        try:
            for ids in _batches(before):
                deleted += inbox.delete(ids)
                if self.stderr.isatty():
                    self.stderr.write(f"\r{deleted} of {number}", ending="")
        finally:  # what is deleted is deleted, whoever ended it half way
            said = f"Deleted {deleted} {what}."
            journal.record_step(said, actor=who(), now=timezone.now(), type_="PURGE")
        if self.stderr.isatty():
            self.stderr.write("")
        return said


def _old(before: datetime) -> QuerySet[Delivery]:
    """Return what may go: what is unread is only in the inbox, however old it is."""
    unread = Delivery.objects.unread()
    return Delivery.objects.filter(received_at__lt=before).exclude(pk__in=unread.values("pk"))


def _batches(before: datetime) -> Iterator[list[int]]:
    old = _old(before).order_by("received_at")
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        yield ids
