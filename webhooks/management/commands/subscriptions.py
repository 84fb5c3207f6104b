"""The webhook subscriptions at the broker: list, set ours up, test, delete."""

from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.utils import timezone

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders.management.ids import id_of
from webhooks.subscriptions import registry, setup, trial, watch
from webhooks.subscriptions.wanted import Registered, leading_to, marks, same_url


class Command(MigratedCommand):
    help = (
        "The webhook subscriptions at the broker. `ensure` makes ours what it should be and may be "
        "run again at any time. Exits with 1 if it failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True, metavar="list|ensure|test|delete")
        steps.add_parser("list", help="list what is registered, and compare ours")
        steps.add_parser("ensure", help="create, correct and enable the one to WEBHOOK_PUBLIC_URL")
        test = steps.add_parser("test", help="have a test event sent, and wait for it")
        test.add_argument("id", nargs="?", type=id_of("a subscription"), help="default: ours")
        test.add_argument(
            "--wait", type=int, default=30, metavar="SECONDS", help="longest wait (default: 30)"
        )
        delete = steps.add_parser("delete", help="delete a subscription and what it has queued")
        delete.add_argument("id", type=id_of("a subscription"))
        delete.add_argument("--yes", action="store_true", help="do not ask before deleting")

    def handle(self, *, step: str, **options: Any) -> None:
        steps: dict[str, Callable[..., None]] = {
            "list": self._list,
            "ensure": self._ensure,
            "test": self._test,
            "delete": self._delete,
        }
        try:
            steps[step](**options)
        except (setup.NotPossibleError, InvestmentAPIError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _list(self, **_: Any) -> None:
        found = _listed()
        ours, _twins = leading_to(settings.WEBHOOK_PUBLIC_URL, found)
        for it in found:
            said = marks(
                it, url=settings.WEBHOOK_PUBLIC_URL, ours=ours.id if ours else None, is_gone=False
            )
            self.stdout.write(f"{it.id}  {', '.join(said)}\n  {it.url}\n  {it.topics_text}")
        if not found:
            self.stdout.write("The broker has no subscription.")
        self.stdout.write(watch.current(now=timezone.now()).sentence)

    def _ensure(self, **_: Any) -> None:
        result = setup.ensure(actor=who())
        self.stdout.write(result.sentence)
        if result.left:
            raise CommandError("The subscription is not what it should be.")

    def _test(self, *, wait: int, **options: Any) -> None:
        pk = options["id"] or _ours().id
        patience = timedelta(seconds=max(wait, 1))
        result = trial.test(pk, patience=patience, actor=who())
        if not result.is_passed:
            raise CommandError(result.sentence)
        self.stdout.write(result.sentence)

    def _delete(self, *, yes: bool, **options: Any) -> None:
        pk: UUID = options["id"]
        if not yes:
            self._ask(pk)
        self.stdout.write(setup.delete(pk, actor=who()))

    def _ask(self, pk: UUID) -> None:
        """Ask before deleting; for the live one as the page does, by its URL."""
        listed = _listed()
        found = next((it for it in listed if it.id == pk), None)
        if found is None:
            raise CommandError(f"The broker has no subscription {pk}.")
        ours, _twins = leading_to(settings.WEBHOOK_PUBLIC_URL, listed)
        is_live = ours is not None and ours.id == pk
        live = "This is the live subscription: no more webhooks arrive here. " if is_live else ""
        wanted = "Type its URL to delete it: " if is_live else "Type yes to go on: "
        typed = self._typed(
            f"Delete subscription {pk}, {found.title!r} to {found.url}? {live}{setup.LOSS} {wanted}"
        )
        if not (same_url(typed, found.url) if is_live else typed.lower() == "yes"):
            raise CommandError("nothing was deleted")

    def _typed(self, question: str) -> str:
        self.stdout.write(question, ending="")
        self.stdout.flush()
        try:
            return input().strip()
        except EOFError:
            raise CommandError("nobody answered; use --yes") from None


def _listed() -> list[Registered]:
    found = registry.listed(urgency=Urgency.PERSON)
    watch.keep(found, now=timezone.now())
    return found


def _ours() -> Registered:
    ours, _twins = leading_to(setup.our_url(), _listed())
    if ours is None:
        raise setup.NotPossibleError(
            "We have no subscription to test: run `subscriptions ensure` first."
        )
    return ours
