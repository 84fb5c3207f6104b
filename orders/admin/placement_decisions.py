"""The buttons of a placement: approve, decline, send again, look it up, and say what became of it.

Sending is for those who may place: it sends the same request again and decides nothing. What
decides (also that the broker has it or has not, which nobody takes back) is for those who may approve.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from backoffice.investment_api.errors import InvestmentAPIError
from orders.admin.pages import PageAdmin, has_any
from orders.admin.placement_form import PATIENCE, PLACE
from orders.admin.placement_told import take
from orders.models import Placement, PlacementState
from orders.placing import placing
from orders.placing.attempts import is_sendable
from orders.placing.errors import NotPossibleError
from orders.placing.looking_up import finding, look_up
from orders.placing.models import SENDABLE
from orders.placing.schedule import SEND_WITHIN, may_be_sent, settled_from

APPROVE = "orders.approve_placement"
MINE = "You submitted it yourself: another person has to approve it."
NOT_ALLOWED = "It waits for somebody who may approve placements."
LONGEST_REASON = 1_000  # characters


class PlacementDecisions(PageAdmin):
    """What a person can do about a placement."""

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        press = require_POST(self.guarded(self.press_look_up, PLACE, APPROVE))
        return [
            self.button("approve", APPROVE, self.press_approve),
            self.button("decline", APPROVE, self.press_decline),
            self.button("send", PLACE, self.press_send),
            path("<uuid:pk>/look_up/", press, name=self._name("look_up")),
            self.button("placed", APPROVE, self.press_placed),
            self.button("not_placed", APPROVE, self.press_not_placed),
            *super().get_urls(),
        ]

    def press_approve(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Approve what somebody else wants to place, and send it."""
        actor = self._actor(request, pk)

        def step() -> Placement:
            placing.approve(pk, actor=actor)
            return placing.send(pk, patience=PATIENCE, actor=actor)

        take(request, step)
        return self.to_page(pk)

    def press_decline(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Decline what somebody else wants to place."""
        actor, reason = self._actor(request, pk), reason_in(request)
        if reason:
            take(request, lambda: placing.decline(pk, actor=actor, reason=reason))
        return self.to_page(pk)

    def press_send(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Send the same request again now."""
        actor = self._actor(request, pk)
        take(request, lambda: placing.send(pk, patience=PATIENCE, actor=actor, is_early=True))
        return self.to_page(pk)

    def press_look_up(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask the broker what it has of the account, and show what could be the placement."""
        placement = get_object_or_404(Placement, pk=pk)
        try:
            found = look_up(placement, actor=request.user.get_username())
        except (InvestmentAPIError, ImproperlyConfigured, NotPossibleError) as error:
            messages.error(request, f"It was not looked up: {error}")
            return self.to_page(pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": placement,
            "title": "Look up a placement",
            "list_url": reverse(f"admin:{self._name('changelist')}"),
            "candidates": found,
            "finding": finding(found),
            "settled_from": later(placement),
            **self.urls_of(pk),
        }
        return TemplateResponse(request, "admin/orders/placement/candidates.html", context)

    def press_placed(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Say which portfolio order the placement became."""
        actor = self._actor(request, pk)
        try:
            found = UUID(request.POST.get("portfolio_order_id", ""))
        except ValueError:
            messages.error(request, "Choose a portfolio order. Nothing was changed.")
            return self.to_page(pk)
        take(request, lambda: placing.settle_as_placed(pk, found, actor=actor))
        return self.to_page(pk)

    def press_not_placed(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Say that the broker does not have it."""
        actor, reason = self._actor(request, pk), reason_in(request)
        if reason:
            take(request, lambda: placing.settle_as_not_placed(pk, actor=actor, reason=reason))
        return self.to_page(pk)

    def choices_for(self, request: HttpRequest, row: Placement) -> dict[str, Any]:
        """Return which buttons its page shows to this person, why not, and until when what is possible."""
        now = timezone.now()
        is_mine = row.submitted_by == request.user.get_username()
        may_approve = row.state == PlacementState.PROPOSED and request.user.has_perm(APPROVE)
        is_free = row.sending_until is None or row.sending_until < now
        is_unknown = row.state == PlacementState.UNKNOWN
        sent_at = row.first_sent_at if row.state in SENDABLE else None
        return {
            "may": {
                "approve": may_approve and not is_mine,
                "decline": may_approve,
                "send": may_be_sent_now(row, now=now) and request.user.has_perm(PLACE),
                "look_up": is_unknown and is_free and has_any(request, PLACE, APPROVE),
            },
            "why_not": MINE if is_mine else NOT_ALLOWED,
            "key_until": sent_at + SEND_WITHIN if sent_at else None,
            "settled_from": later(row) if is_unknown else None,
            **self.urls_of(row.pk),
        }

    def urls_of(self, pk: UUID) -> dict[str, str]:
        """Return the URLs of the page and of its buttons."""
        names = ("change", "approve", "decline", "send", "look_up", "placed", "not_placed")
        return {f"{it}_url": reverse(f"admin:{self._name(it)}", args=[pk]) for it in names}

    def _actor(self, request: HttpRequest, pk: UUID) -> str:
        """Return who presses; 404 where there is no such placement."""
        get_object_or_404(Placement.objects.only("pk"), pk=pk)
        return request.user.get_username()


def may_be_sent_now(placement: Placement, *, now: datetime) -> bool:
    """Whether pressing Send now sends it: it is not settled, nobody else sends it, its key still protects."""
    return is_sendable(placement, now) and may_be_sent(placement.first_sent_at, now=now)


def later(placement: Placement) -> datetime | None:
    """Return from when on it can be settled as not placed; None where it is so far."""
    if placement.first_sent_at is None:
        return None
    known_from = settled_from(placement.first_sent_at)
    return known_from if known_from > timezone.now() else None


def reason_in(request: HttpRequest) -> str:
    """Return the reason given; where it is none, say so."""
    reason = request.POST.get("reason", "").strip()
    if 0 < len(reason) <= LONGEST_REASON:
        return reason
    messages.error(
        request, f"A reason has 1 to {LONGEST_REASON:,} characters. Nothing was changed."
    )
    return ""
