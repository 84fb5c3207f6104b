"""Write the executions of orders as CSV: one row for each, cancelled ones too."""

from typing import Any

from orders.export.files import Export, executions
from orders.export.selection import Selection
from orders.management.export import WHICH, ExportCommand


class Command(ExportCommand):
    help = f"Write the executions of orders as CSV. {WHICH}"

    def export(self, selection: Selection, **_: Any) -> Export:
        return executions(selection)
