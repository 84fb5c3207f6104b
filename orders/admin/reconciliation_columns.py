"""Columns of the list of reconciliations."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin.pages import PageAdmin
from orders.models import Reconciliation
from orders.reconciliation.sentences import scope_words, state_words
from orders.templatetags.desk import ago, duration, pill

BADGES = {
    "Running": pill("processing", "processing", "Running"),
    "Waiting": pill("stale", "stale", "Waiting"),
    "Stopping": pill("new", "processing", "Stopping"),
    "Stopped": pill("new", "slash", "Stopped"),
    "Failed": pill("failed", "failed", "Failed"),
    "Done": pill("filled", "filled", "Done"),
}


class ReconciliationList(PageAdmin):
    """The list: what was compared, when, and what came of it."""

    list_display = [
        "number", "what", "state_badge", "by", "started", "took", "count_compared", "count_equal",
        "count_repaired", "count_differing", "count_here", "count_there",
    ]  # fmt: skip
    list_display_links = ["number"]
    ordering = ["-id"]

    @admin.display(description="No.")
    def number(self, row: Reconciliation) -> int:
        """Its number."""
        return int(row.pk)

    @admin.display(description="What")
    def what(self, row: Reconciliation) -> str:
        """What is compared."""
        return scope_words(row)

    @admin.display(description="State")
    def state_badge(self, row: Reconciliation) -> SafeString:
        """Whether it is under way, or how it ended."""
        return BADGES[state_words(row)]

    @admin.display(description="By")
    def by(self, row: Reconciliation) -> str:
        """Who started it."""
        return row.started_by or "nightly"

    @admin.display(description="Started")
    def started(self, row: Reconciliation) -> SafeString | str:
        """When it began."""
        return ago(row.started_at)

    @admin.display(description="Took")
    def took(self, row: Reconciliation) -> str:
        """How long it took."""
        return duration(row.ended_at - row.started_at if row.ended_at else None)

    @admin.display(description="Compared")
    def count_compared(self, row: Reconciliation) -> str:
        """How many objects were compared."""
        return f"{row.compared:,}"

    @admin.display(description="Equal")
    def count_equal(self, row: Reconciliation) -> str:
        """How many were equal on both sides."""
        return f"{row.equal:,}"

    @admin.display(description="Repaired")
    def count_repaired(self, row: Reconciliation) -> str:
        """How many were wrong here and are right now."""
        return f"{row.repaired:,}"

    @admin.display(description="Differing")
    def count_differing(self, row: Reconciliation) -> SafeString | str:
        """How many differ still."""
        return _worry(row.differing)

    @admin.display(description="Unknown here")
    def count_here(self, row: Reconciliation) -> str:
        """How many were not here, and are now."""
        return f"{row.unknown_here:,}"

    @admin.display(description="Unknown there")
    def count_there(self, row: Reconciliation) -> SafeString | str:
        """How many the broker does not know."""
        return _worry(row.unknown_there)


def _worry(count: int) -> SafeString | str:
    """Return a count that people should look at where it is not 0."""
    return format_html('<span class="late">{}</span>', f"{count:,}") if count else "0"
