"""Write the history of orders as CSV: one row for each thing that happened."""

from argparse import ArgumentParser
from typing import Any

from orders.export.files import Export, order_history
from orders.export.selection import Selection
from orders.management.export import WHICH, ExportCommand


class Command(ExportCommand):
    help = f"Write the history of orders as CSV. {WHICH}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--transitions-only", action="store_true", help="only the steps from status to status"
        )

    def export(self, selection: Selection, **options: Any) -> Export:
        return order_history(selection, transitions_only=options["transitions_only"])
