"""Findings of a reconciliation -> rows of its CSV. Pure."""

from typing import NamedTuple
from uuid import UUID

from orders.export.cells import Row, optional
from orders.export.columns import Column, any_moment, ident, moment, row_of, text
from orders.reconciliation.models import Finding, Reconciliation


class Found(NamedTuple):
    """What a row is made of; ``parent`` is the portfolio order of the order found, None where it is not known."""

    r: Reconciliation
    f: Finding
    parent: UUID | None


COLUMNS = (
    ident("reconciliation_id", "r.id"),
    text("scope", "r.scope"),
    ident("account_id", "r.account_id"),
    moment("since", "r.since"),
    moment("until", "r.until"),
    any_moment("found_at", "f.found_at"),
    text("verdict", "f.verdict"),
    Column(
        "portfolio_order_id",
        lambda it: optional(it.f.portfolio_order_id or it.parent),
        "COALESCE(f.portfolio_order_id::text, o.portfolio_order_id::text, '')",
    ),
    ident("order_id", "f.order_id"),
    text("detail", "f.detail"),
    ident("journal_entry_id", "f.entry_id"),
)


def row(run: Reconciliation, finding: Finding, parent: UUID | None) -> Row:
    """Return one row."""
    return row_of(COLUMNS, Found(run, finding, parent))
