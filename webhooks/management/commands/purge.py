"""Delete old deliveries; what they told stays in the journal."""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.management.migrated import MigratedCommand
from webhooks.models import Delivery

BATCH = 1000  # rows in one short transaction


class Command(MigratedCommand):
    help = "Delete deliveries older than --days. The journal is never touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="age in days, 90 unless told")
        parser.add_argument("--no-input", action="store_true", help="do not ask before deleting")

    def handle(self, *, days: int, no_input: bool, **options: Any) -> None:
        if days < 1:
            raise CommandError("--days is at least 1")
        before = timezone.now() - timedelta(days=days)
        old = Delivery.objects.filter(received_at__lt=before)
        number = old.count()
        what = f"deliveries received before {before:%Y-%m-%d %H:%M} UTC"
        if not number:
            self.stdout.write(f"There are no {what}.")
            return
        if not no_input:
            self._ask(
                f"Delete {number} {what}, with their bodies? Their events stay in the journal."
            )
        self.stdout.write(f"Deleted {self._delete(before, number)} {what}.")

    def _ask(self, question: str) -> None:
        self.stdout.write(f"{question} Type yes to go on: ", ending="")
        self.stdout.flush()
        try:
            answer = input()
        except EOFError:
            raise CommandError("nobody answered; use --no-input") from None
        if answer.strip().lower() != "yes":
            raise CommandError("nothing was deleted")

    def _delete(self, before: datetime, number: int) -> int:
        deleted = 0
        old = Delivery.objects.filter(received_at__lt=before).order_by("received_at")
        while ids := list(old.values_list("pk", flat=True)[:BATCH]):
            deleted += Delivery.objects.filter(pk__in=ids).delete()[0]
            if self.stderr.isatty():
                self.stderr.write(f"\r{deleted} of {number}", ending="")
        if self.stderr.isatty():
            self.stderr.write("")
        return deleted
