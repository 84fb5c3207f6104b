"""Write the portfolio orders as CSV: one row for each, as we hold it now."""

from typing import Any

from orders.export.files import Export, portfolio_orders
from orders.export.selection import Selection
from orders.management.export import WHICH, ExportCommand


class Command(ExportCommand):
    help = f"Write the portfolio orders as CSV. {WHICH}"

    def export(self, selection: Selection, **_: Any) -> Export:
        return portfolio_orders(selection)
