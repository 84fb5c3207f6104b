"""The list of journal entries and the page of one."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import search
from orders.admin.filters import OutcomeFilter, RecordedFilter, SourceFilter
from orders.admin.pages import PAYLOAD, PageAdmin
from orders.models import JournalEntry, Outcome
from orders.templatetags.desk import ago, duration, outcome_badge, short_id, source_mark
from orders.tracked import Source

OUTCOMES = {
    Outcome.PENDING: "Stored; it will be applied in a moment.",
    Outcome.APPLIED: "Applied: it changed what we hold of an order.",
    Outcome.NO_CHANGE: "No change: it told nothing that we did not know.",
    Outcome.IGNORED: "Ignored: the order desk does not follow this kind of event.",
    Outcome.QUARANTINED: "Quarantined: stored, but it could not be applied. Nothing else was held up.",
    Outcome.FAILED: "Failed: the broker gave no usable answer. Nothing was changed.",
    Outcome.NOTED: "Noted: a step of staff.",
}


class JournalChangeList(ChangeList):
    """The list of entries with the deliveries of the events on the page, read with one query."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then the repeats of its events."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        repeats = repeats_of(row.event_id for row in rows)
        for row in rows:
            row.deliveries = 1 + repeats.get(row.event_id, 0) if row.event_id else None
        self.result_list = rows


@admin.register(JournalEntry)
class JournalEntryAdmin(PageAdmin):
    """Browse, search and filter what we learned, tried and did."""

    change_form_template = "admin/orders/journalentry/change_form.html"
    list_display = [
        "number", "outcome_badge", "type_text", "about", "source_mark", "received", "behind",
        "times",
    ]  # fmt: skip
    list_filter = [OutcomeFilter, SourceFilter, RecordedFilter]
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = "Event or order ID, or its first characters"
    ordering = ["-id"]  # newest first, from the primary key

    @admin.display(description="Event")
    def number(self, row: JournalEntry) -> SafeString | str:
        """The event's id; what is no event has its number in the journal."""
        return (
            short_id(row.event_id or row.repeat_of)
            if row.event_id or row.repeat_of
            else f"No. {row.pk}"
        )

    @admin.display(description="Outcome")
    def outcome_badge(self, row: JournalEntry) -> SafeString:
        """What became of it."""
        return outcome_badge(row.outcome)

    @admin.display(description="Type")
    def type_text(self, row: JournalEntry) -> str:
        """The event's type as sent."""
        return row.type or row.message[:60]

    @admin.display(description="About")
    def about(self, row: JournalEntry) -> SafeString | str:
        """The portfolio order or order it tells of."""
        return about(row) or self.empty_value_display

    @admin.display(description="Source")
    def source_mark(self, row: JournalEntry) -> SafeString:
        """Where we learned it."""
        return source_mark(row.source)

    @admin.display(description="Received")
    def received(self, row: JournalEntry) -> SafeString | str:
        """When we learned it."""
        return ago(row.recorded_at)

    @admin.display(description="Behind event")
    def behind(self, row: JournalEntry) -> str:
        """How long after the fact an event came."""
        if row.source != Source.WEBHOOK:
            return self.empty_value_display
        return duration(row.recorded_at - row.occurred_at)

    @admin.display(description="Deliveries")
    def times(self, row: Any) -> str:
        """How often the event came."""
        return str(row.deliveries) if row.deliveries else "repeat" if row.repeat_of else "—"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows deliveries."""
        return JournalChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        """Return the entries; a list needs no payloads."""
        return super().get_queryset(request).defer("payload")

    def page(self, request: HttpRequest, row: JournalEntry) -> dict[str, Any]:
        """Return what became of it and why, its repeats, and its payload to those who may see it."""
        again = JournalEntry.objects.filter(repeat_of=row.event_id) if row.event_id else None
        return {
            "about": about(row),
            "outcome_sentence": outcome_sentence(row),
            "payload": readable(row.payload) if request.user.has_perm(PAYLOAD) else "",
            "repeats": again.order_by("pk").defer("payload") if again is not None else [],
            "history_url": f"{url}#entry-{row.pk}" if (url := subject_url(row)) else "",
        }

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.entries(queryset, search_term), False


def outcome_sentence(entry: JournalEntry) -> str:
    """Return what became of an entry, with the reason where it is plain."""
    if entry.repeat_of:
        return "No change: this event came before, and is applied once."
    return OUTCOMES[Outcome(entry.outcome)]


def readable(payload: bytes | memoryview) -> str:
    """Return a payload with line breaks; as it came where it cannot be read."""
    text = bytes(payload).decode("ascii", "backslashreplace")
    try:
        return json.dumps(json.loads(text), indent=2)
    except (ValueError, RecursionError):
        return text


def subject_url(entry: JournalEntry) -> str:
    """Return the page of what an entry is about; "" where it is about no order."""
    if entry.portfolio_order_id:
        return reverse("admin:orders_portfolioorder_change", args=[entry.portfolio_order_id])
    return reverse("admin:orders_order_change", args=[entry.order_id]) if entry.order_id else ""


def about(entry: JournalEntry) -> SafeString | str:
    """Return a link to what an entry is about; "" where it is about no order."""
    url = subject_url(entry)
    kind = "Portfolio order" if entry.portfolio_order_id else "Order"
    pk = entry.portfolio_order_id or entry.order_id
    return format_html('<a href="{}">{} {}</a>', url, kind, short_id(pk)) if url else ""


def repeats_of(event_ids: Any) -> dict[Any, int]:
    """Return how often each of these events came again, with one query."""
    wanted = [event_id for event_id in event_ids if event_id]
    again = JournalEntry.objects.filter(repeat_of__in=wanted).order_by()
    return dict(again.values_list("repeat_of").annotate(n=Count("pk")))
