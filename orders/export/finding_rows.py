"""Findings of a reconciliation -> rows of its CSV. Pure."""

from uuid import UUID

from orders.export.cells import Row, moment, optional
from orders.reconciliation.models import Finding, Reconciliation

COLUMNS = (
    "reconciliation_id", "scope", "account_id", "since", "until", "found_at", "verdict",
    "portfolio_order_id", "order_id", "detail", "journal_entry_id",
)  # fmt: skip


def row(run: Reconciliation, finding: Finding, parent: UUID | None) -> Row:
    """Return one row; ``parent`` is the portfolio order of the order found, None where it is not known."""
    return (
        str(run.pk),
        run.scope,
        optional(run.account_id),
        moment(run.since),
        moment(run.until),
        moment(finding.found_at),
        finding.verdict,
        optional(finding.portfolio_order_id or parent),
        optional(finding.order_id),
        finding.detail,
        optional(finding.entry_id),
    )
