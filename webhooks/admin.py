"""The list of deliveries and the page of one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import search
from orders.admin.columns import DeskList
from orders.admin.filters import ChoiceFilter, MomentFilter
from orders.models import JournalEntry
from orders.templatetags.desk import ago, duration, exact, pill
from webhooks import contents
from webhooks.models import Delivery, Verdict

BADGES = {
    Verdict.ACCEPTED: ("filled", "filled"),
    Verdict.UNREADABLE: ("failed", "failed"),
    Verdict.REFUSED: ("failed", "slash"),
}
OLD = timedelta(minutes=10)  # the longest pause between two attempts of upstream
AHEAD = timedelta(seconds=60)  # further than clocks should differ
MOST_MATCHES = 1000  # deliveries found by the id of an order


class VerdictFilter(ChoiceFilter):
    """By what we made of it."""

    title, parameter_name = "Verdict", "verdict"
    choices_given = Verdict.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the deliveries with the verdict chosen."""
        chosen = self.chosen()
        if not chosen:
            return queryset
        # The index on problems leaves out accepted ones; saying so here lets it serve.
        is_problem = ~Q(verdict=Verdict.ACCEPTED) if chosen != Verdict.ACCEPTED else Q()
        return queryset.filter(is_problem, verdict=chosen)


class ReceivedFilter(MomentFilter):
    """By when it came."""

    title, parameter_name, column = "Received", "received", "received_at"


@admin.register(Delivery)
class DeliveryAdmin(DeskList):
    """What came in over HTTP, whether we took it or not."""

    list_display = [
        "received", "number", "verdict_badge", "events", "new", "size_text", "key_id",
        "signature_age",
    ]  # fmt: skip
    list_display_links = ["received", "number"]
    list_filter = [VerdictFilter, ReceivedFilter]
    search_fields = ["pk"]  # shows the box; what is searched is decided below
    search_help_text = "Delivery number, event, order or key ID"
    ordering = ["-received_at", "-id"]
    fields = [
        "received_exactly", "verdict_badge", "reason", "key_id", "signature_age", "size_text", "events",
        "new",
    ]  # fmt: skip

    @admin.display(description="Received")
    def received(self, row: Delivery) -> SafeString | str:
        """When it came."""
        return ago(row.received_at)

    @admin.display(description="Received")
    def received_exactly(self, row: Delivery) -> SafeString | str:
        """When it came, to the second."""
        return exact(row.received_at)

    @admin.display(description="Number")
    def number(self, row: Delivery) -> str:
        """Its number here."""
        return str(row.pk)

    @admin.display(description="Verdict")
    def verdict_badge(self, row: Delivery) -> SafeString:
        """What we made of it."""
        verdict = Verdict(row.verdict)
        return pill(*BADGES[verdict], str(verdict.label))

    @admin.display(description="Of these new")
    def new(self, row: Delivery) -> int:
        """How many of its events had not come before."""
        return row.events - row.repeats

    @admin.display(description="Size")
    def size_text(self, row: Delivery) -> str:
        """The size of the body."""
        return filesizeformat(row.size)

    @admin.display(description="Age of signature")
    def signature_age(self, row: Delivery) -> SafeString | str:
        """How old the signature was when it came; amber where that is odd."""
        if row.signed_at is None:
            return self.empty_value_display
        age = row.received_at - row.signed_at
        words = duration(age) if age >= timedelta() else f"{duration(-age)} in the future"
        return (
            format_html('<span class="late">{}</span>', words)
            if age > OLD or age < -AHEAD
            else words
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries; a list needs neither bodies nor headers."""
        return super().get_queryset(request).defer("body", "headers")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by a delivery's number, by what its events are about, or by a key."""
        return _found(queryset, search_term.strip()), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a delivery with its headers, its events, and to those who may its body."""
        context = {**(extra_context or {}), "title": f"Delivery {object_id}"}
        delivery = self.get_object(request, object_id)
        if delivery is not None and self.has_view_permission(request, delivery):
            context |= {"headers": sorted(delivery.headers.items())}
            context |= {"contents": contents.contents_of(delivery)}
            if request.user.has_perm("orders.view_payload"):
                context |= {"body": contents.text_of(delivery)}
        return super().change_view(request, object_id, form_url, context)


def _found(rows: QuerySet, term: str) -> QuerySet:
    if term.isascii() and term.isdecimal() and len(term) <= 18:
        return rows.filter(pk=int(term))
    try:
        UUID(term)
    except ValueError:
        return rows.filter(key_id=term) if term else rows
    entries = search.entries(JournalEntry.objects.all(), term).filter(delivery_id__isnull=False)
    ids = list(entries.order_by("-pk").values_list("delivery_id", flat=True)[:MOST_MATCHES])
    return rows.filter(pk__in=ids) if ids else rows.filter(key_id=term)
