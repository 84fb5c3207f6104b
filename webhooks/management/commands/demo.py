"""The whole desk in one process: site, worker, beat, and the sandbox in the broker's place."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backoffice.demo import COLLEAGUE, AlreadyRunningError, Demo, PortTakenError
from webhooks.demo.day import furnish

HIGHEST_PORT = 65535


class Command(BaseCommand):
    help = "Run the order desk with a stand-in broker, sample orders and log-ins. Ctrl-C ends it."
    requires_migrations_checks = False
    requires_system_checks = ()  # they may open the database, which --fresh is about to remove

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=_port, default=8000, help="port of the site, on loopback"
        )
        parser.add_argument(
            "--orders", type=int, default=40, help="how many to place quickly; then one a minute"
        )
        parser.add_argument(
            "--fresh", action="store_true", help="forget the orders of earlier runs"
        )

    def handle(self, *, port: int, orders: int, fresh: bool, **_: Any) -> None:
        try:
            demo = Demo(port=port, orders=orders, fresh=fresh, furnish=furnish)
        except AlreadyRunningError as error:
            raise CommandError(
                f"A demo of this folder is already running at {error}. Use that one, or stop it first: "
                "two would share one database."
            ) from None
        except PortTakenError as error:
            raise CommandError(
                f"Port {error.port} is in use. Stop what uses it, or choose --port {error.port + 1}."
            ) from None
        except PermissionError:
            raise CommandError(
                f"No permission to use port {port}. Choose another with --port."
            ) from None
        with demo:
            self.stdout.write(
                f"Order Desk is running at {demo.url}\n"
                f"Log in as {demo.user} with the password {demo.password}\n"
                f"A second person is {COLLEAGUE}, a trader, with the same password.\n"
                "Orders are moving now: some webhooks arrive late, twice or never. Watch one that has "
                f"all three within half a minute:\n{demo.first}\n"
                "Ctrl-C ends it."
            )
            self.stdout.flush()
            demo.wait()
        self.stdout.write("Stopped. The orders are kept; --fresh forgets them.")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text[:6]) > HIGHEST_PORT:
        raise ArgumentTypeError(f"{text!r} is not a port: those are 0 to {HIGHEST_PORT}")
    return int(text)
