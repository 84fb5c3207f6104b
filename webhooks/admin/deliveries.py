"""The list of deliveries and the page of one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backoffice import doorbell
from backoffice.together import Rows, first
from orders.admin.filters import ChoiceFilter, MomentFilter
from orders.admin.pages import PAYLOAD, PageAdmin
from orders.admin.sorting import by, indexed
from orders.audit.subjects import Subject
from orders.audited import note_view
from orders.tasks import drain
from orders.templatetags.desk import duration, pill, when
from orders.version import MOST_WAITING
from webhooks import contents, evidence, found, replay
from webhooks.models import Delivery, Verdict

BADGES = {
    Verdict.ACCEPTED: ("filled", "filled"),
    Verdict.UNREADABLE: ("failed", "failed"),
    Verdict.REFUSED: ("failed", "slash"),
}
WAITING = "WAITING"  # to be read: no verdict yet
REPLAY = "webhooks.replay_delivery"


class VerdictFilter(ChoiceFilter):
    """By what we made of it."""

    title, parameter_name = "Verdict", "verdict"
    choices_given = [*Verdict.choices, (WAITING, "Waiting")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the deliveries with the verdict chosen."""
        chosen = self.chosen()
        if not chosen:
            return queryset
        if chosen == WAITING:
            return queryset.filter(pk__in=Delivery.objects.unread().values("pk"))
        # The index on problems leaves out accepted ones; saying so here lets it serve.
        is_problem = ~Q(verdict=Verdict.ACCEPTED) if chosen != Verdict.ACCEPTED else Q()
        return queryset.filter(is_problem, verdict=chosen)


@admin.action(permissions=["replay"], description="Process selected again")
def process_selected_again(
    _: "DeliveryAdmin", request: HttpRequest, queryset: QuerySet[Delivery]
) -> None:
    """Have drains read the selected deliveries again, any number of them."""
    ids = replay.request(queryset, actor=request.user.get_username(), now=timezone.now())
    if not ids:
        messages.warning(request, "No body of these deliveries is kept. Nothing was done.")
        return
    doorbell.ring(drain)
    number = "1 delivery is" if len(ids) == 1 else f"{len(ids):,} deliveries are"
    messages.success(request, f"{number} being processed again. Reload to see the result.")


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
    search_fields = ["pk"]  # shows the box; what is searched is decided in webhooks.found
    search_help_text = (
        "Number of the delivery; ID (whole or its first characters) of an event in it or of what that is about, or of "
        "the key that signed it. Several at once."
    )
    preview = ["number", "verdict_badge", "events"]
    sorted_by = "-received"
    ordering = ["-received_at", "-id"]
    actions = [process_selected_again]

    def freshness(self) -> Mapping[str, Combinable]:
        """Return what changes with each that comes, and with each that is read."""
        return {
            "newest_delivery": first(Delivery.objects.order_by("-pk"), "pk"),
            "unread_deliveries": Rows(Delivery.objects.unread(), MOST_WAITING),
        }

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether this person may process deliveries again."""
        return request.user.has_perm(REPLAY)

    @admin.display(description="Received", ordering=indexed("received_at", "pk"))
    def received(self, row: Delivery) -> SafeString | str:
        """When it came."""
        return when(row.received_at)

    @admin.display(description="Number")
    def number(self, row: Delivery) -> str:
        """Its number here."""
        return str(row.pk)

    @admin.display(description="Verdict", ordering=by("verdict"))
    def verdict_badge(self, row: Delivery) -> SafeString:
        """What we made of it."""
        if is_waiting(row):
            return pill("processing", "processing", "Waiting")
        verdict = Verdict(row.verdict)
        return pill(*BADGES[verdict], str(verdict.label))

    @admin.display(description="New")
    def new(self, row: Delivery) -> int:
        """How many of its events had not come before."""
        return row.events - row.repeats

    @admin.display(description="Size", ordering=by("size"))
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
        return found.deliveries(queryset, search_term), False

    def get_urls(self) -> list[Any]:
        """Add the button."""
        press = self.press_process_again
        return [self.button("process_again", REPLAY, press, key="int"), *super().get_urls()]

    def page(self, request: HttpRequest, row: Delivery) -> dict[str, Any]:
        """Return what was made of it, its signature, headers and events, and to those who may its body."""
        may_read = request.user.has_perm(PAYLOAD)
        if may_read and row.verdict != Verdict.REFUSED:
            subject = Subject("delivery", str(row.pk))
            note_view(request.user, f"the body of delivery {row.pk}", subject)
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
            "body": contents.text_of(row) if may_read else "",
            **self.addresses(request, row.pk, "process_again"),
        }

    def press_process_again(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Process a delivery again, tell what came of it, and lead back to it."""
        get_object_or_404(Delivery, pk=pk)
        actor = request.user.get_username()
        try:
            done = replay.process_again(pk, actor=actor, now=timezone.now())
        except (OperationalError, InterfaceError):
            messages.error(request, "The database is busy. Nothing was done, try again.")
            return self.to_page(request, pk)
        is_left = done.reason or done.again.quarantined or done.again.pending
        level = messages.WARNING if is_left else messages.SUCCESS
        messages.add_message(request, level, f"Processed again. {done.sentence}")
        return self.to_page(request, pk)


def age_text(signed_at: datetime, received_at: datetime) -> SafeString | str:
    """Return how old a signature was when it came; amber where that is odd."""
    age = received_at - signed_at
    words = duration(age) if age >= timedelta() else f"{duration(-age)} in the future"
    is_odd = evidence.doubt(signed_at, received_at)
    return format_html('<span class="late">{}</span>', words) if is_odd else words


def verdict_sentence(delivery: Delivery) -> str:
    """Return what was made of a delivery, and why."""
    if delivery.verdict == Verdict.REFUSED:
        return f"Refused, answered 401: {delivery.reason}. Nothing in it was used."
    if delivery.verdict == Verdict.UNREADABLE:
        return f"Correctly signed and answered 200, but {delivery.reason}. Its body is kept."
    if is_waiting(delivery):
        age = duration(timezone.now() - delivery.received_at)
        return (
            f"Correctly signed, stored and answered 200, {age} ago. Its events are not read yet: "
            "workers do that, or `manage.py drain`."
        )
    new = delivery.events - delivery.repeats
    events = "1 event" if delivery.events == 1 else f"{delivery.events:,} events"
    return f"Correctly signed, stored and answered 200: {events}, {new:,} of them new."


def is_waiting(delivery: Delivery) -> bool:
    """Return whether a delivery waits to be read."""
    return delivery.read_at is None and delivery.verdict != Verdict.REFUSED
