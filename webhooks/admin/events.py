"""The list of webhook events and the page of one; those in quarantine can be applied again."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from orders import quarantine
from orders.admin.filters import ChoiceFilter, OutcomeFilter, RecordedFilter
from orders.admin.journal import EntryAdmin
from orders.models import OTHER_TOPIC, Outcome
from webhooks.models import Event

REPLAY = "webhooks.replay_delivery"
VIEW = "orders.view_journalentry"
MOST_REASONS = 20  # shown


class EventOutcomeFilter(OutcomeFilter):
    """By what became of an event."""

    choices_given = [
        (outcome.value, outcome.label)
        for outcome in Outcome
        if outcome not in {Outcome.FAILED, Outcome.NOTED}  # of asks and of staff
    ]


class TopicFilter(ChoiceFilter):
    """By topic; all but the two that are always there are in one choice, which has an index."""

    title, parameter_name = "Topic", "topic"
    choices_given = [
        ("PORTFOLIO_ORDER", "Portfolio order"),
        ("ORDER", "Order"),
        ("OTHER", "Any other"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the events of the topic chosen."""
        chosen = self.chosen()
        if chosen == "OTHER":
            return queryset.filter(OTHER_TOPIC)
        return queryset.filter(type__startswith=f"{chosen}.") if chosen else queryset


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
    actions = [apply_selected_again]

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
            path("apply_again/", self._of_reason(), name=self._name("apply_reason_again")),
            self.button("apply_again", REPLAY, self.press_apply_again, key="int"),
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

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page of an entry shows, under the id of the event."""
        name = str(row.event_id or row.repeat_of)[:8]
        return {**super().page(request, row), "title": f"{self.name} {name}"}

    def press_apply_again(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Apply one event again, and lead back to it."""
        event = get_object_or_404(Event, pk=pk)
        if event.outcome == Outcome.QUARANTINED:
            self.apply_again(request, [pk])
        else:
            messages.info(request, "The event is not in quarantine. Nothing was done.")
        return self.to_page(pk)

    def press_apply_reason_again(self, request: HttpRequest) -> HttpResponse:
        """Apply the events of one reason again, the oldest first, as many as go at once."""
        self.apply_again(request, quarantine.of_reason(request.POST.get("reason", "")))
        url = reverse(f"admin:{self._name('changelist')}")
        return HttpResponseRedirect(f"{url}?outcome={Outcome.QUARANTINED}")

    def apply_again(self, request: HttpRequest, entry_ids: Sequence[int]) -> None:
        """Apply events again, and tell the numbers."""
        actor = request.user.get_username()
        result = quarantine.apply_again(entry_ids, actor=actor, now=timezone.now())
        if not result.total:
            messages.warning(request, "None of these events is in quarantine. Nothing was done.")
            return
        level = messages.WARNING if result.quarantined or result.pending else messages.SUCCESS
        messages.add_message(request, level, f"Applied again: {result.sentence}.")

    def _of_reason(self) -> Any:
        def guarded(request: HttpRequest) -> HttpResponse:
            if not (self.has_view_permission(request) and self.has_replay_permission(request)):
                raise PermissionDenied
            return self.press_apply_reason_again(request)

        return require_POST(self.admin_site.admin_view(guarded))
