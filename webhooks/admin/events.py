"""The list of webhook events and the page of one; those in quarantine can be applied again, or dismissed."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from orders import quarantine
from orders.admin.downloads import exports
from orders.admin.filters import OutcomeFilter, RecordedFilter, TopicFilter
from orders.admin.journal import EntryAdmin
from orders.admin.within import FILTERS, kept
from orders.models import Outcome
from orders.tracked import Source
from webhooks.models import Event

REPLAY = "webhooks.replay_delivery"
VIEW = "orders.view_journalentry"
PAGE = "admin:orders_journalentry_change"
MOST_REASONS = 20  # shown


class EventOutcomeFilter(OutcomeFilter):
    """By what became of an event."""

    choices_given = [
        (outcome.value, outcome.label)
        for outcome in Outcome
        if outcome not in {Outcome.FAILED, Outcome.NOTED}  # of asks and of staff
    ]


@admin.action(permissions=["replay"], description="Apply again")
def apply_selected_again(door: "EventAdmin", request: HttpRequest, queryset: QuerySet) -> None:
    """Apply the selected events that are in quarantine again, and tell what became of them."""
    selected = queryset.filter(outcome=Outcome.QUARANTINED).order_by("pk")
    door.apply_again(request, list(selected.values_list("pk", flat=True)[: quarantine.MOST]))


@admin.register(Event)
class EventAdmin(EntryAdmin):
    """Browse, search and filter what upstream told us."""

    list_display = [
        "number", "outcome_badge", "type_text", "about", "received", "behind", "times",
    ]  # fmt: skip
    list_filter = [EventOutcomeFilter, TopicFilter, RecordedFilter]
    search_help_text = (
        "ID (whole or its first characters) of the event, its order or execution; number of the entry; ISIN; client "
        "reference. Several at once."
    )
    actions = [apply_selected_again, *exports("export_entries")]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may view the journal: an event is an entry of it."""
        return request.user.has_perm(VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the sidebar names the list."""
        return self.has_view_permission(request)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether this person may apply events again."""
        return request.user.has_perm(REPLAY)

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        return [
            self.list_button(
                "apply_again", self.press_apply_reason_again, REPLAY, url_name="apply_reason_again"
            ),
            self.list_button(
                "dismiss", self.press_dismiss_reason, REPLAY, url_name="dismiss_reason"
            ),
            self.button("apply_again", REPLAY, self.press_apply_again, key="int"),
            self.button("dismiss", REPLAY, self.press_dismiss, key="int"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; that of the events in quarantine with the reasons."""
        context = extra_context or {}
        if request.GET.get("outcome") == Outcome.QUARANTINED:
            found = quarantine.reasons()
            context |= {
                "reasons": found[:MOST_REASONS],
                "more_reasons": len(found) - MOST_REASONS,
                "most_at_once": quarantine.MOST,
            }
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Lead to the page of the entry: an event is one, and one thing has one address."""
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if self.get_object(request, unquote(object_id)) is None:
            return super().change_view(request, object_id, form_url, extra_context)
        url = reverse(PAGE, args=[unquote(object_id)])
        query = request.GET.copy()
        if filters := query.get(FILTERS):
            query[FILTERS] = f"{filters}&source={Source.WEBHOOK}"  # the same rows, in the journal
        return HttpResponseRedirect(f"{url}?{query.urlencode()}" if query else url)

    def to_page(self, request: HttpRequest, pk: Any, entry_id: int | None = None) -> HttpResponse:
        """Lead back to the page of the entry."""
        return HttpResponseRedirect(kept(reverse(PAGE, args=[pk]), request))

    def press_apply_again(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Apply one event again, and lead back to it."""
        event = get_object_or_404(Event, pk=pk)
        if event.outcome == Outcome.QUARANTINED:
            self.apply_again(request, [pk])
        else:
            messages.info(request, "The event is not in quarantine. Nothing was done.")
        return self.to_page(request, pk)

    def press_apply_reason_again(self, request: HttpRequest) -> HttpResponse:
        """Apply the events of one reason again, the oldest first, as many as go at once."""
        self.apply_again(request, quarantine.of_reason(request.POST.get("reason", "")))
        url = reverse(f"admin:{self._name('changelist')}")
        return HttpResponseRedirect(f"{url}?outcome={Outcome.QUARANTINED}")

    def press_dismiss(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Dismiss one event, and lead back to it."""
        get_object_or_404(Event, pk=pk)
        self.dismiss(request, [pk])
        return self.to_page(request, pk)

    def press_dismiss_reason(self, request: HttpRequest) -> HttpResponse:
        """Dismiss the events that are in quarantine for one reason, the oldest first, as many as go at once."""
        self.dismiss(request, quarantine.of_reason(request.POST.get("of", "")))
        url = reverse(f"admin:{self._name('changelist')}")
        return HttpResponseRedirect(f"{url}?outcome={Outcome.QUARANTINED}")

    def dismiss(self, request: HttpRequest, entry_ids: Sequence[int]) -> None:
        """Dismiss events for the reason that was typed, and tell how many."""
        reason = request.POST.get("reason", "").strip()
        if not reason:
            messages.error(request, "Please give a reason. Nothing was dismissed.")
            return
        actor = request.user.get_username()
        count = quarantine.dismiss(entry_ids, reason=reason, actor=actor, now=timezone.now())
        if not count:
            messages.warning(request, "None of these events is in quarantine. Nothing was done.")
            return
        number = "1 event" if count == 1 else f"{count:,} events"
        messages.success(request, f"Dismissed {number} from quarantine.")

    def apply_again(self, request: HttpRequest, entry_ids: Sequence[int]) -> None:
        """Apply events again, and tell the numbers."""
        actor = request.user.get_username()
        result = quarantine.apply_again(entry_ids, actor=actor, now=timezone.now())
        if not result.total:
            messages.warning(request, "None of these events is in quarantine. Nothing was done.")
            return
        level = messages.WARNING if result.quarantined or result.pending else messages.SUCCESS
        messages.add_message(request, level, f"Applied again: {result.sentence}.")
