"""The webhook subscriptions at the broker, as the watch last saw them, and the buttons on them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.together import Rows, first
from orders import search
from orders.admin.pages import PageAdmin
from orders.admin.sorting import DeskChangeList
from orders.admin.within import list_url
from orders.templatetags.desk import pill, short_id, when
from orders.templatetags.history import in_plain_words
from webhooks.models import Delivery, Subscription, Verdict
from webhooks.subscriptions import registry, setup, trial, watch
from webhooks.subscriptions.condition import State, condition
from webhooks.subscriptions.wanted import corrected, leading_to, marks, same_url

MANAGE = "webhooks.manage_subscription"
PATIENCE = timedelta(seconds=5)  # of a person for a test event
NOT_TYPED = "This is not the URL above. Nothing was deleted."
MARKS = {
    "ours": pill("filled", "filled", "This desk"),
    "twin": pill("stale", "warning", "Duplicate"),
    "foreign": pill("new", "new", "Other system"),
    "gone": pill("new", "slash", "Deleted"),
    "disabled": pill("failed", "slash", "Disabled"),
    "drifted": pill("stale", "warning", "Wrong settings"),
}
BADGES = {
    State.OK: pill("filled", "filled", "OK"),
    State.MISSING: pill("failed", "failed", "Missing"),
    State.DISABLED: pill("failed", "slash", "Disabled"),
    State.DRIFTED: pill("stale", "warning", "Wrong settings"),
    State.SILENT: pill("failed", "stale", "No webhooks"),
    State.UNCHECKED: pill("stale", "unknown", "Not checked"),
}


class SubscriptionChangeList(DeskChangeList):
    """The list of subscriptions; each row knows which of all is ours: ``ours``."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and which is ours with one query."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        ours = _ours()
        for row in rows:
            row.ours = ours
        self.result_list = rows


@admin.register(Subscription)
class SubscriptionAdmin(PageAdmin):
    """What is registered at the broker; the head of the list says whether that is as it should be."""

    change_list_template = "admin/webhooks/subscription/change_list.html"
    change_form_template = "admin/webhooks/subscription/change_form.html"
    list_display = [
        "short_id",
        "marked",
        "title",
        "leads_to",
        "topics_text",
        "created",
        "unchanged",
    ]
    list_display_links = ["short_id"]
    search_fields = ["pk"]  # shows the box; what is searched is decided in orders.search
    search_help_text = "ID of the subscription, whole or its first characters"
    preview = ["title", "leads_to", "created"]
    ordering = [F("gone_at").desc(nulls_first=True), "created_at", "id"]

    def freshness(self) -> Mapping[str, Combinable]:
        """Return what changes when the watch sees another list; there are few rows."""
        rows = Subscription.objects.order_by()
        return {
            "listed": Rows(rows.filter(gone_at=None)),
            "newest_seen": first(rows.order_by("-seen_at"), "seen_at"),
        }

    @admin.display(description="ID")
    def short_id(self, row: Subscription) -> SafeString | str:
        """The first eight characters."""
        return short_id(row.pk)

    @admin.display(description="State")
    def marked(self, row: Any) -> SafeString:
        """What there is to say of it."""
        return marked(row, row.ours)

    @admin.display(description="URL")
    def leads_to(self, row: Subscription) -> str:
        """Where upstream delivers to."""
        return row.url

    @admin.display(description="Topics")
    def topics_text(self, row: Subscription) -> str:
        """Of what it tells."""
        return registry.registered(row).topics_text

    @admin.display(description="Created")
    def created(self, row: Subscription) -> SafeString | str:
        """When upstream made it."""
        return when(row.created_at)

    @admin.display(description="Unchanged since")
    def unchanged(self, row: Subscription) -> SafeString | str:
        """When the watch first saw it as it is, or saw it no more."""
        return when(row.gone_at or row.seen_at)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Search by what was pasted."""
        return search.by_own_id(queryset, search_term), False

    def get_urls(self) -> list[Any]:
        """Add the buttons, and the question before a deletion."""
        return [
            self.list_button("set_up", self.press_set_up, MANAGE),
            self.question("confirm_delete", MANAGE, self.confirm_delete),
            self.button("test", MANAGE, self.press_test),
            self.button("delete", MANAGE, self.press_delete),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list below a card with the condition of the feed."""
        now = timezone.now()
        url, learned = settings.WEBHOOK_PUBLIC_URL, watch.learned()
        it = condition(learned, url=url, now=now)
        signed = Delivery.objects.exclude(verdict=Verdict.REFUSED).order_by("-received_at")
        context = {
            "condition": it,
            "condition_badge": BADGES[it.state],
            "learned": learned,
            "last_at": signed.values_list("received_at", flat=True).first(),
            "url": url,
            "set_up_url": reverse(f"admin:{self._name('set_up')}"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def page(self, request: HttpRequest, row: Subscription) -> dict[str, Any]:
        """Return what the page of one shows."""
        it, url = registry.registered(row), settings.WEBHOOK_PUBLIC_URL
        return {
            "marks": marked(row, _ours()),
            "topics_text": it.topics_text,
            "corrections": corrected(it) if url and same_url(it.url, url) else [],
            **self.addresses(request, row.pk, "test", "confirm_delete"),
        }

    def confirm_delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask before a subscription and what it has queued are lost."""
        return self._question(request, get_object_or_404(Subscription, pk=pk))

    def _question(
        self, request: HttpRequest, row: Subscription, *, problem: str = ""
    ) -> HttpResponse:
        pk = row.pk
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": "Delete a subscription",
            "back_url": list_url(self, request),
            **self.addresses(request, pk, "change", "delete"),
            "marks": marked(row, _ours()),
            "loss": setup.LOSS,
            "is_live": row.pk == _ours(),
            "typed": request.POST.get("address", ""),
            "problem": problem,
        }
        template, status = "admin/webhooks/subscription/confirm.html", 422 if problem else 200
        return TemplateResponse(request, template, context, status=status)

    def press_set_up(self, request: HttpRequest) -> HttpResponse:
        """Make our subscription what it should be, and tell what was changed."""

        def step() -> tuple[int, str]:
            result = setup.ensure(actor=request.user.get_username())
            is_odd = result.left or result.twins or result.untested
            return messages.WARNING if is_odd else messages.SUCCESS, result.sentence

        _tell(request, step)
        return redirect(f"admin:{self._name('changelist')}")

    def press_test(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Have a test event sent, wait for it a little, and tell whether it came."""
        get_object_or_404(Subscription, pk=pk)

        def step() -> tuple[int, str]:
            result = trial.test(pk, patience=PATIENCE, actor=request.user.get_username())
            return messages.SUCCESS if result.is_passed else messages.WARNING, result.sentence

        _tell(request, step)
        return self.to_page(request, pk)

    def press_delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Delete it upstream, and lead back to the list; the live one only if its URL was typed."""
        row = get_object_or_404(Subscription, pk=pk)
        if row.pk == _ours() and not same_url(request.POST.get("address", ""), row.url):
            return self._question(request, row, problem=NOT_TYPED)
        _tell(
            request,
            lambda: (messages.SUCCESS, setup.delete(pk, actor=request.user.get_username())),
        )
        return redirect(list_url(self, request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list whose rows know which is ours."""
        return SubscriptionChangeList


def marked(row: Subscription, ours: UUID | None) -> SafeString:
    """Return the badges of a subscription."""
    url = settings.WEBHOOK_PUBLIC_URL
    words = marks(registry.registered(row), url=url, ours=ours, is_gone=row.gone_at is not None)
    return format_html_join(" ", "{}", ((MARKS[word],) for word in words))


def _ours() -> UUID | None:
    ours, _ = leading_to(settings.WEBHOOK_PUBLIC_URL, registry.held())
    return ours.id if ours else None


def _tell(request: HttpRequest, step: Callable[[], tuple[int, str]]) -> None:
    """Take a step, and say what came of it."""
    try:
        level, said = step()
    except (setup.NotPossibleError, InvestmentAPIError, ImproperlyConfigured) as error:
        level, said = messages.ERROR, f"Failed: {in_plain_words(str(error), timezone.now())}"
    messages.add_message(request, level, said)
