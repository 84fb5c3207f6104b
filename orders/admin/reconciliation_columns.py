"""Columns of the list of reconciliations."""

from collections.abc import Mapping

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backoffice.together import first
from orders import search
from orders.admin.pages import PageAdmin
from orders.models import Reconciliation
from orders.reconciliation.sentences import scope_words, state_words
from orders.templatetags.desk import duration, pill, when

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
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "Number of the reconciliation; ID (whole or its first characters) of the account, or of the request "
        "that ended it."
    )
    preview = ["what", "state_badge", "by", "started"]
    ordering = ["-id"]

    def freshness(self) -> Mapping[str, Combinable]:
        """Return what changes with the newest one; those before it have ended."""
        newest = Reconciliation.objects.order_by("-pk")
        return {f"newest_{name}": first(newest, name) for name in ("pk", "state", "compared")}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.reconciliations(queryset, search_term), False

    @admin.display(description="No.")
    def number(self, row: Reconciliation) -> int:
        """Its number."""
        return int(row.pk)

    @admin.display(description="Scope")
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
        return when(row.started_at)

    @admin.display(description="Duration")
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

    @admin.display(description="Corrected")
    def count_repaired(self, row: Reconciliation) -> str:
        """How many were wrong here and are right now."""
        return f"{row.repaired:,}"

    @admin.display(description="Still different")
    def count_differing(self, row: Reconciliation) -> SafeString | str:
        """How many differ still."""
        return _worry(row.differing)

    @admin.display(description="Missing here, added")
    def count_here(self, row: Reconciliation) -> str:
        """How many were not here, and are now."""
        return f"{row.unknown_here:,}"

    @admin.display(description="Not known at broker")
    def count_there(self, row: Reconciliation) -> SafeString | str:
        """How many the broker does not know."""
        return _worry(row.unknown_there)


def _worry(count: int) -> SafeString | str:
    """Return a count that people should look at where it is not 0."""
    return format_html('<span class="late">{}</span>', f"{count:,}") if count else "0"
