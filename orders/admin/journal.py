"""The list of journal entries and the page of one; webhook events have a list of their own like it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backoffice.foreign_json import is_deep, parse
from orders import actors, search
from orders.admin.downloads import ExportList, exports
from orders.admin.filters import (
    OutcomeFilter,
    RecordedFilter,
    RecoveredFilter,
    SourceFilter,
    TopicFilter,
)
from orders.admin.pages import PAYLOAD, PageAdmin
from orders.admin.sorting import DeskChangeList, by, indexed
from orders.attributes import moment
from orders.audit.about import link
from orders.audit.kinds import PRIVATE, VIEW_STAFF
from orders.audit.subjects import Subject
from orders.audited import note_view
from orders.export.held import held_by_file
from orders.models import JournalEntry, Outcome
from orders.templatetags.desk import duration, outcome_badge, short_id, source_mark, when
from orders.timeline.outcomes import Dealt, why
from orders.timeline.seen import Seen
from orders.tracked import Source


class JournalChangeList(DeskChangeList):
    """The list of entries, each with how often its event came again: ``again``."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page and the repeats of its events with one query."""
        again = JournalEntry.objects.filter(repeat_of=OuterRef("event_id")).order_by()
        count = again.values("repeat_of").annotate(n=Count("pk")).values("n")
        self.queryset = self.queryset.annotate(again=Coalesce(Subquery(count), 0))
        super().get_results(request)

    def url_for_result(self, result: Any) -> str:
        """Return the page of an entry, one for whichever list has it."""
        return reverse("admin:orders_journalentry_change", args=[result.pk])


class EntryAdmin(ExportList, PageAdmin):
    """Columns of a list of entries, and the page of one."""

    change_form_template = "admin/orders/journalentry/change_form.html"
    actions: Sequence[Any] = exports("export_entries")
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = (
        "ID (whole or its first characters) of the event, its order, execution or placement, or of a request to the "
        "broker; number of the entry; ISIN; client reference. Several at once."
    )
    preview = ["outcome_badge", "type_text", "about", "source_mark", "received"]
    sorted_by = "-received"
    ordering = ["-id"]  # newest first, from the primary key

    @admin.display(description="Event")
    def number(self, row: JournalEntry) -> SafeString | str:
        """The event's id; what is no event has its number in the journal."""
        event_id = row.event_id or row.repeat_of
        return short_id(event_id) if event_id else f"No. {row.pk}"

    @admin.display(description="Outcome", ordering=by("outcome"))
    def outcome_badge(self, row: JournalEntry) -> SafeString:
        """What became of it."""
        return outcome_badge(row.outcome)

    @admin.display(description="Type", ordering=by("type"))
    def type_text(self, row: JournalEntry) -> str:
        """The event's type as sent."""
        return row.type or row.message[:60]

    @admin.display(description="Related to")
    def about(self, row: JournalEntry) -> SafeString | str:
        """The portfolio order or order it tells of."""
        return about(row) or self.empty_value_display

    @admin.display(description="Source", ordering=by("source"))
    def source_mark(self, row: JournalEntry) -> SafeString:
        """Where we learned it."""
        return source_mark(row.source)

    @admin.display(description="Received", ordering=indexed("pk"))
    def received(self, row: JournalEntry) -> SafeString | str:
        """When we learned it."""
        return when(row.recorded_at)

    @admin.display(description="Delay")
    def behind(self, row: JournalEntry) -> str:
        """How long after the fact an event came."""
        if row.source != Source.WEBHOOK:
            return self.empty_value_display
        return duration(row.recorded_at - row.occurred_at)

    @admin.display(description="Deliveries")
    def times(self, row: Any) -> str:
        """How often the event came."""
        if row.repeat_of:
            return "repeat"
        return str(1 + row.again) if row.event_id else self.empty_value_display

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows deliveries."""
        return JournalChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the entries; a list needs no payloads. Log-ins and the like are for fewer people."""
        entries = super().get_queryset(request).defer("payload")
        return entries if request.user.has_perm(VIEW_STAFF) else entries.exclude(type__in=PRIVATE)

    def page(self, request: HttpRequest, row: JournalEntry) -> dict[str, Any]:
        """Return what became of it and why, each receipt, and its payload to those who may see it."""
        receipts = receipts_of(row)
        event_id = row.event_id or row.repeat_of
        named = {"title": f"Event {str(event_id)[:8]}"} if event_id else {}
        may_read = request.user.has_perm(PAYLOAD)
        if may_read and row.payload:
            note_view(request.user, f"the payload of entry {row.pk}", Subject("entry", str(row.pk)))
        return {
            **named,
            "about": about(row) or link(row, request.user),
            "detail": getattr(row, "detail", None),
            "by": actors.person(row),
            "sentence": why(_dealt(row), _others(row), timezone.get_current_timezone()),
            "created_at": created_at(bytes(row.payload)),
            "receipts": receipts,
            "held": held_by_file(bytes(row.payload)) if row.type == "EXPORT" else [],
            "payload": readable(row.payload) if may_read else "",
            "history_url": _history_url(row, receipts),
        }

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        if not search_term.strip():
            return queryset, False
        found = search.entries(JournalEntry.objects.all(), search_term)
        return queryset.filter(pk__in=found.order_by().values("pk")), False


@admin.register(JournalEntry)
class JournalEntryAdmin(EntryAdmin):
    """Browse, search and filter what we learned, tried and did."""

    list_display = [
        "number", "outcome_badge", "type_text", "about", "source_mark", "received", "behind",
        "times",
    ]  # fmt: skip
    list_filter = [OutcomeFilter, SourceFilter, TopicFilter, RecordedFilter, RecoveredFilter]


def readable(payload: bytes | memoryview) -> str:
    """Return a payload with line breaks; as it came where it cannot be read."""
    text = bytes(payload).decode("ascii", "backslashreplace")
    try:
        return text if is_deep(text) else json.dumps(json.loads(text), indent=2)
    except ValueError:
        return text


def created_at(payload: bytes) -> datetime | None:
    """Return when upstream made an event, as its payload says; None where it does not."""
    try:
        event = parse(payload)
        return moment(event, "created_at") if isinstance(event, dict) else None
    except ValueError:
        return None


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


def receipts_of(entry: JournalEntry) -> Sequence[Any]:
    """Return the entries of each time the same event came, the first one first; none where it is no event.

    Each has how far it was ``behind`` the event.
    """
    event_id: UUID | None = entry.event_id or entry.repeat_of
    if event_id is None or entry.source != Source.WEBHOOK:
        return []
    same = JournalEntry.objects.filter(Q(event_id=event_id) | Q(repeat_of=event_id))
    receipts: list[Any] = list(same.order_by("pk").defer("payload"))
    for receipt in receipts:
        receipt.behind = receipt.recorded_at - receipt.occurred_at
    return receipts


def _history_url(entry: JournalEntry, receipts: Sequence[JournalEntry]) -> str:
    """Return its place in the history; a repeat has that of the first copy, where that is about the same."""
    url = subject_url(entry)
    first = next((each for each in receipts if each.event_id), entry)
    anchor = first if subject_url(first) == url else entry
    return f"{url}?entry={anchor.pk}#entry-{anchor.pk}" if url else ""


def _others(entry: JournalEntry) -> list[Dealt]:
    """Return the entries about the same object that were applied up to then: one query, from an index."""
    if entry.applied_at is None or not subject_url(entry):
        return []
    same = JournalEntry.objects.filter(
        portfolio_order_id=entry.portfolio_order_id,
        order_id=entry.order_id,
        repeat_of=None,
        outcome__in=[Outcome.APPLIED, Outcome.NO_CHANGE],
        applied_at__lte=entry.applied_at,
    ).exclude(pk=entry.pk)
    rows = same.values_list(*Seen._fields, "applied_at")
    return [Dealt(Seen._make(row[:-1]), row[-1]) for row in rows]


def _dealt(entry: JournalEntry) -> Dealt:
    return Dealt(Seen(*(getattr(entry, name) for name in Seen._fields)), entry.applied_at)
