"""The buttons of a placement: approve, decline, withdraw, send again, look it up, and resolve it.

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
from django.utils import timezone

from backoffice.investment_api.errors import InvestmentAPIError
from orders.admin.pages import PageAdmin, has_any
from orders.admin.placement_form import PATIENCE, PLACE
from orders.admin.placement_told import take
from orders.admin.within import list_url
from orders.ids import read_id
from orders.models import Placement, PlacementState
from orders.placing import placing, retyping
from orders.placing.attempts import is_sendable
from orders.placing.errors import NotPossibleError
from orders.placing.looking_up import finding, look_up
from orders.placing.models import SENDABLE
from orders.placing.people import Person, is_same
from orders.placing.schedule import SEND_WITHIN, may_be_sent, settled_from
from orders.templatetags.history import in_plain_words

APPROVE = "orders.approve_placement"
MINE = "You submitted it yourself: another person has to approve it."
NOT_ALLOWED = "Someone who may approve placements has to decide."
LONGEST_REASON = 1_000  # characters
# The page and its buttons.
BUTTONS = (
    "change", "approve", "decline", "withdraw", "send", "look_up", "placed", "not_placed",
)  # fmt: skip


class PlacementDecisions(PageAdmin):
    """What a person can do about a placement."""

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        return [
            self.button("approve", APPROVE, self.press_approve, fresh=True),
            self.button("decline", APPROVE, self.press_decline),
            self.button("withdraw", PLACE, self.press_withdraw),
            self.button("send", PLACE, self.press_send),
            self.button("look_up", (PLACE, APPROVE), self.press_look_up),
            self.button("placed", APPROVE, self.press_placed),
            self.button("not_placed", APPROVE, self.press_not_placed),
            *super().get_urls(),
        ]

    def press_approve(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Approve what somebody else wants to place, once its amount was typed again, and send it."""
        placement = get_object_or_404(Placement, pk=pk)
        who = actor_of(request)

        def step() -> Placement:
            placing.approve(pk, **who)
            return placing.send(pk, patience=PATIENCE, actor=who["actor"])

        amount = request.POST.get("amount", "")
        wrong = retyping.amount_problem(placement.cash_amount, amount=amount)
        if wrong and placement.state == PlacementState.PROPOSED and not is_mine(request, placement):
            messages.error(request, f"{wrong} Nothing was approved.")
            return self.to_page(request, pk)

        take(request, step)
        return self.to_page(request, pk)

    def press_decline(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Decline what somebody else wants to place."""
        self._actor(request, pk)
        who, reason = actor_of(request), reason_in(request)
        if reason:
            take(request, lambda: placing.decline(pk, **who, reason=reason))
        return self.to_page(request, pk)

    def press_withdraw(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Take back what one wanted to place oneself."""
        self._actor(request, pk)
        take(request, lambda: placing.withdraw(pk, **actor_of(request)))
        return self.to_page(request, pk)

    def press_send(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Send the same request again now."""
        actor = self._actor(request, pk)
        take(request, lambda: placing.send(pk, patience=PATIENCE, actor=actor, is_early=True))
        return self.to_page(request, pk)

    def press_look_up(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask the broker what it has of the account, and show what could be the placement."""
        placement = get_object_or_404(Placement, pk=pk)
        try:
            found = look_up(placement, actor=request.user.get_username())
        except (InvestmentAPIError, ImproperlyConfigured, NotPossibleError) as error:
            messages.error(request, f"Not looked up: {in_plain_words(str(error), timezone.now())}")
            return self.to_page(request, pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": placement,
            "title": "Look up a placement",
            "back_url": list_url(self, request),
            "candidates": found,
            "finding": finding(found),
            "settled_from": later(placement),
            **self.addresses(request, pk, *BUTTONS),
        }
        return TemplateResponse(request, "admin/orders/placement/candidates.html", context)

    def press_placed(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Resolve it as placed: as the portfolio order chosen."""
        self._actor(request, pk)
        found = read_id(request.POST.get("portfolio_order_id", ""))
        if found is None:
            messages.error(request, "Choose a portfolio order. Nothing was changed.")
            return self.to_page(request, pk)
        take(request, lambda: placing.settle_as_placed(pk, found, **actor_of(request)))
        return self.to_page(request, pk)

    def press_not_placed(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Resolve it as not placed: the broker does not have it."""
        self._actor(request, pk)
        who, reason = actor_of(request), reason_in(request)
        if reason:
            take(request, lambda: placing.settle_as_not_placed(pk, **who, reason=reason))
        return self.to_page(request, pk)

    def choices_for(self, request: HttpRequest, row: Placement) -> dict[str, Any]:
        """Return which buttons its page shows to this person, why not, and until when what is possible."""
        now = timezone.now()
        mine = is_mine(request, row)
        is_proposed = row.state == PlacementState.PROPOSED
        may_decide = is_proposed and not mine and request.user.has_perm(APPROVE)
        is_free = row.sending_until is None or row.sending_until < now
        is_unknown = row.state == PlacementState.UNKNOWN
        sent_at = row.first_sent_at if row.state in SENDABLE else None
        return {
            "may": {
                "approve": may_decide,
                "decline": may_decide,
                "withdraw": is_proposed and mine and request.user.has_perm(PLACE),
                "send": may_be_sent_now(row, now=now) and request.user.has_perm(PLACE),
                "look_up": is_unknown and is_free and has_any(request, PLACE, APPROVE),
            },
            "why_not": MINE if mine else NOT_ALLOWED,
            "key_until": sent_at + SEND_WITHIN if sent_at else None,
            "settled_from": later(row) if is_unknown else None,
            **self.addresses(request, row.pk, *BUTTONS),
        }

    def _actor(self, request: HttpRequest, pk: UUID) -> str:
        """Return who presses; 404 where there is no such placement."""
        get_object_or_404(Placement.objects.only("pk"), pk=pk)
        return request.user.get_username()


def actor_of(request: HttpRequest) -> dict[str, Any]:
    """Return who presses, as the steps of placing take them: the name for people, the id for four eyes."""
    return {"actor": request.user.get_username(), "actor_id": request.user.pk}


def is_mine(request: HttpRequest, placement: Placement) -> bool:
    """Return whether who looks at a placement has submitted it."""
    return is_same(placement.submitter, Person(request.user.get_username(), request.user.pk))


def may_be_sent_now(placement: Placement, *, now: datetime) -> bool:
    """Whether pressing Send now sends it: it is not resolved, nobody else sends it, its key still protects."""
    return is_sendable(placement, now) and may_be_sent(placement.first_sent_at, now=now)


def later(placement: Placement) -> datetime | None:
    """Return from when on it can be closed as not placed; None if that is possible already."""
    if placement.first_sent_at is None:
        return None
    known_from = settled_from(placement.first_sent_at)
    return known_from if known_from > timezone.now() else None


def reason_in(request: HttpRequest) -> str:
    """Return the reason given; without one, say so."""
    reason = request.POST.get("reason", "").strip()
    if 0 < len(reason) <= LONGEST_REASON:
        return reason
    messages.error(
        request, f"Give a reason of 1 to {LONGEST_REASON:,} characters. Nothing was changed."
    )
    return ""
