"""The list of deliveries and the page of one."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import search
from orders.admin.filters import ChoiceFilter, MomentFilter
from orders.admin.pages import PAYLOAD, PageAdmin
from orders.models import JournalEntry
from orders.templatetags.desk import ago, duration, pill
from webhooks import contents, evidence, replay
from webhooks.models import Delivery, Verdict

BADGES = {
    Verdict.ACCEPTED: ("filled", "filled"),
    Verdict.UNREADABLE: ("failed", "failed"),
    Verdict.REFUSED: ("failed", "slash"),
}
REPLAY = "webhooks.replay_delivery"
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
class DeliveryAdmin(PageAdmin):
    """What came in over HTTP, whether we took it or not."""

    change_form_template = "admin/webhooks/delivery/change_form.html"
    list_display = [
        "received", "number", "verdict_badge", "events", "new", "size_text", "key",
        "signature_age",
    ]  # fmt: skip
    list_display_links = ["received", "number"]
    list_filter = [VerdictFilter, ReceivedFilter]
    search_fields = ["pk"]  # shows the box; what is searched is decided below
    search_help_text = "Delivery number, event, order or key ID"
    ordering = ["-received_at", "-id"]

    @admin.display(description="Received")
    def received(self, row: Delivery) -> SafeString | str:
        """When it came."""
        return ago(row.received_at)

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

    @admin.display(description="Key ID")
    def key(self, row: Delivery) -> SafeString | str:
        """The first characters of the id of the key, as the signature names it."""
        if not row.key_id:
            return self.empty_value_display
        return format_html('<span class="id" title="{}">{}</span>', row.key_id, row.key_id[:8])

    @admin.display(description="Age of signature")
    def signature_age(self, row: Delivery) -> SafeString | str:
        """How old the signature was when it came; amber where that is odd."""
        if row.signed_at is None:
            return self.empty_value_display
        return age_text(row.signed_at, row.received_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries; a list needs neither bodies nor headers."""
        return super().get_queryset(request).defer("body", "headers")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by a delivery's number, by what its events are about, or by a key."""
        return _found(queryset, search_term.strip()), False

    def get_urls(self) -> list[Any]:
        """Add the button."""
        press = self.press_process_again
        return [self.button("process_again", REPLAY, press, key="int"), *super().get_urls()]

    def page(self, request: HttpRequest, row: Delivery) -> dict[str, Any]:
        """Return what was made of it, its signature, headers and events, and to those who may its body."""
        signature = evidence.evidence_in(row.headers, key_id=row.key_id)
        signed_at = row.signed_at or (signature.created if signature else None)
        return {
            "title": f"Delivery {row.pk}",
            "verdict": self.verdict_badge(row),
            "sentence": verdict_sentence(row),
            "signature": signature,
            "age": age_text(signed_at, row.received_at) if signed_at else "",
            "doubt": evidence.doubt(signed_at, row.received_at) if signed_at else "",
            "headers": sorted(row.headers.items()),
            "contents": contents.contents_of(row),
            "body": contents.text_of(row) if request.user.has_perm(PAYLOAD) else "",
            "again_url": reverse(f"admin:{self._name('process_again')}", args=[row.pk]),
        }

    def press_process_again(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Process a delivery again, tell what came of it, and lead back to it."""
        get_object_or_404(Delivery, pk=pk)
        actor = request.user.get_username()
        try:
            done = replay.process_again(pk, actor=actor, now=timezone.now())
        except (OperationalError, InterfaceError):
            messages.error(request, "The database is busy. Nothing was done, try again.")
            return self.to_page(pk)
        is_left = done.reason or done.again.quarantined or done.again.pending
        level = messages.WARNING if is_left else messages.SUCCESS
        messages.add_message(request, level, f"Processed again. {done.sentence}")
        return self.to_page(pk)


def age_text(signed_at: datetime, received_at: datetime) -> SafeString | str:
    """Return how old a signature was when it came; amber where that is odd."""
    age = received_at - signed_at
    words = duration(age) if age >= timedelta() else f"{duration(-age)} in the future"
    is_odd = evidence.doubt(signed_at, received_at)
    return format_html('<span class="late">{}</span>', words) if is_odd else words


def verdict_sentence(delivery: Delivery) -> str:
    """Return what was made of a delivery, and why."""
    if delivery.verdict == Verdict.REFUSED:
        return f"Refused, answered 401: {delivery.reason}. Nothing of it was recorded."
    if delivery.verdict == Verdict.UNREADABLE:
        return f"Correctly signed and answered 200, but {delivery.reason}. Its body is kept."
    new = delivery.events - delivery.repeats
    events = "1 event" if delivery.events == 1 else f"{delivery.events:,} events"
    return f"Correctly signed, stored and answered 200: {events}, {new:,} of them new."


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
