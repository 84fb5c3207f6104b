"""Findings of a reconciliation -> rows of its CSV. Pure."""

from orders.export.cells import Row, free_text, moment, optional
from orders.reconciliation.models import Finding, Reconciliation

COLUMNS = (
    "reconciliation_id", "scope", "account_id", "since", "until", "found_at", "verdict",
    "portfolio_order_id", "order_id", "detail", "journal_entry_id",
)  # fmt: skip


def row(run: Reconciliation, finding: Finding) -> Row:
    """Return one row."""
    return (
        str(run.pk),
        run.scope,
        optional(run.account_id),
        moment(run.since),
        moment(run.until),
        moment(finding.found_at),
        finding.verdict,
        optional(finding.portfolio_order_id),
        optional(finding.order_id),
        free_text(finding.detail),
        optional(finding.entry_id),
    )
