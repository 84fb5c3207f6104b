"""Ask the broker about portfolio orders at once, due or not."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders.asking import checking
from orders.asking.feedback import sentence
from orders.lifecycle import Kind
from orders.management.ids import id_of


class Command(MigratedCommand):
    help = (
        "Ask the broker about portfolio orders at once, known here or not, and print the result "
        "for each. Exits with 1 if any could not be refetched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "ids", metavar="PORTFOLIO_ORDER_ID", nargs="+", type=id_of("a portfolio order")
        )

    def handle(self, *, ids: list[UUID], **_: Any) -> None:
        actor, failed = who(), 0
        for pk in dict.fromkeys(ids):
            try:
                result = checking.refetch(Kind.PORTFOLIO_ORDER, pk, actor=actor)
            except ImproperlyConfigured as error:
                raise CommandError(str(error)) from error
            said = sentence(result, now=timezone.now())
            self.stdout.write(f"{pk}: {said}" + (f" ({result.detail})" if result.detail else ""))
            failed += not result.is_complete
        if failed:
            raise CommandError(f"{failed} of {len(dict.fromkeys(ids))} could not be refetched.")
