"""The way of a portfolio order to the broker: a form, a confirmation, and the placement. No GET places anything.

The key that makes the placement idempotent is made with the form and signed for who asked for it:
however often the confirmation is sent, it is placed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from backoffice.access import kept
from backoffice.access.permissions import administrators
from orders.admin import placement_draft as draft
from orders.admin.pages import PageAdmin
from orders.admin.placement_told import take
from orders.ids import EXAMPLE
from orders.models import Placement, PlacementState
from orders.placing import retyping
from orders.placing.limits import OverLimitError, check_limit
from orders.placing.placing import is_for_approval, place, send
from orders.placing.precedents import is_known, newest_of, precedents
from orders.placing.usual import unusual
from orders.placing.wish import CURRENCIES, InvalidWishError, Wish, read_wish

PLACE = "orders.place_portfolioorder"
PATIENCE = 5.0  # seconds of a person for the broker's answer
SALT = "orders.placement"
NOT_YOURS = "This form was opened by another user. Check every field, then continue."
SENT_BEFORE = "This form was submitted before; nothing was placed twice."
MEANWHILE = (
    "The same order was placed while you were reading this page: see the warning. Type amount and "
    "account again only if it should be placed once more."
)
PLACED = "This order was submitted before: this is its placement. To place another one, start a new form."
LABELS = {  # of the fields, with what to type
    "side": ("Side", ""),
    "cash_amount": ("Amount", "Digits, with a point before the decimals: 2500.00"),
    "currency": ("Currency", ""),
    "post_tax": ("The amount is after tax", ""),
    "account_id": ("Account ID", f"The whole ID of the portfolio account, such as {EXAMPLE}."),
    "user_id": ("User ID", "The whole ID of the client at the broker."),
}
RETYPED = {
    "amount": ("Type the amount again", ""),
    "tail": (f"Type the last {retyping.TAIL} characters of the account ID", ""),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form, with what was typed into it and what is wrong with that."""

    name: str
    label: str
    hint: str
    value: str
    problem: str


class PlacementForms(PageAdmin):
    """The form and the confirmation of a placement."""

    def get_urls(self) -> list[Any]:
        """Add both pages, and where each is sent to."""
        fill = require_http_methods(["GET", "HEAD", "POST"])(self.guarded(self.fill, PLACE))
        confirm = require_safe(self.guarded(self.confirm, PLACE, fresh=True))
        return [
            path("place/", fill, name=self._name("place")),
            path("place/<uuid:key>/", fill, name=self._name("place_form")),
            path("place/<uuid:key>/confirm/", confirm, name=self._name("place_confirm")),
            self.list_button("submit", self.submit, PLACE, home="place", fresh=True),
            *super().get_urls(),
        ]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the form: placements are added by placing."""
        return redirect(f"admin:{self._name('place')}")

    def fill(self, request: HttpRequest, key: UUID | None = None) -> HttpResponse:
        """Show the form; what was typed into it leads to the confirmation, or back with what is wrong.

        Each form has an address of its own, so that Back shows what was typed into it, and a new
        one is empty.
        """
        if request.method != "POST":
            return self._form(request, key) if key else self._to("place_form", uuid4())
        key = key_of(request) or uuid4()
        values = typed(request, LABELS)
        if "change" in request.POST:
            return self._keep(request, "place_form", key, values, {})
        try:
            wish = read_wish(values)
            check_limit(wish.cash_amount, wish.currency, settings.PLACING_LIMITS)
        except InvalidWishError as error:
            return self._keep(request, "place_form", key, values, problems_for(request, error))
        return self._keep(request, "place_confirm", key, values, {})

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Place what was confirmed, and lead to its page; back to the confirmation where that does not fit."""
        values = typed(request, LABELS)
        key = key_of(request)
        try:
            wish = read_wish(values)
        except InvalidWishError as error:
            return self._keep(request, "place_form", key or uuid4(), values, error.problems)
        if key is None:
            return self._keep(request, "place_form", uuid4(), values, {"": NOT_YOURS})
        was_here = Placement.objects.filter(pk=key).exists()
        try:
            if not was_here:
                check_limit(wish.cash_amount, wish.currency, settings.PLACING_LIMITS)
        except InvalidWishError as error:
            return self._keep(request, "place_form", key, values, problems_for(request, error))
        wrong = {} if was_here else _unconfirmed(request, wish, key)
        if wrong:
            return self._keep(
                request, "place_confirm", key, values | typed(request, RETYPED), wrong
            )
        take(
            request,
            lambda: _placed(wish, key, request.user),
            before=SENT_BEFORE if was_here else "",
        )
        draft.forget(request, key)
        return self.to_page(request, key)

    def confirm(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Show in large words what will be placed, and ask for amount and account again."""
        found = _draft(request, key) or draft.Draft()
        try:
            wish = read_wish(found.typed)
        except InvalidWishError:
            return self._to("place_form", key)
        return self._confirmation(request, wish, key, found)

    def _keep(
        self,
        request: HttpRequest,
        page: str,
        key: UUID,
        values: Mapping[str, str],
        problems: Mapping[str, str],
    ) -> HttpResponse:
        draft.keep(request, key, values, problems)
        return self._to(page, key)

    def _to(self, page: str, key: UUID) -> HttpResponse:
        return redirect(f"admin:{self._name(page)}", key)

    def _form(self, request: HttpRequest, key: UUID) -> HttpResponse:
        found = _draft(request, key)
        if found is None and Placement.objects.filter(pk=key).exists():
            messages.info(request, PLACED)
            return self.to_page(request, key)
        found = found or draft.Draft()
        problems = found.problems
        context = {
            "fields": {field.name: field for field in fields(found.typed, LABELS, problems)},
            "currencies": CURRENCIES,
            "problems": problems,
            "next_url": reverse(f"admin:{self._name('place')}"),
        }
        return self._page(request, "form", "Place a portfolio order", key, context)

    def _confirmation(
        self, request: HttpRequest, wish: Wish, key: UUID, found: draft.Draft
    ) -> HttpResponse:
        there = precedents(wish, key=key, now=timezone.now())
        context = {
            "wish": wish,
            "kept": {name: found.typed.get(name, "") for name in LABELS},
            "fields": fields(found.typed, RETYPED, found.problems),
            "precedents": there,
            "newest": newest_of(there),
            "is_known": is_known(wish.account_id),
            "unusual": unusual(wish),
            "needs_approval": is_for_approval(wish),
            "problems": found.problems,
            "back_url": reverse(f"admin:{self._name('place')}"),
            "submit_url": reverse(f"admin:{self._name('submit')}"),
        }
        return self._page(request, "confirm", "Confirm a portfolio order", key, context)

    def _page(
        self, request: HttpRequest, name: str, title: str, key: UUID, context: Mapping[str, Any]
    ) -> HttpResponse:
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "list_url": reverse(f"admin:{self._name('changelist')}"),
            "key": signing.dumps([str(key), request.user.pk], salt=SALT),
            "needs_approval": settings.PLACING_NEEDS_APPROVAL,
        }
        template = f"admin/orders/placement/{name}.html"
        return TemplateResponse(request, template, {**frame, **context})


def problems_for(request: HttpRequest, error: InvalidWishError) -> dict[str, str]:
    """Return what is wrong with a wish; above the limit with whom to ask, and to administrators with the setting."""
    if not isinstance(error, OverLimitError):
        return error.problems
    if request.user.is_superuser:
        return error.told("raise the limit, which is the setting PLACING_LIMITS")
    return error.told(f"ask {administrators()} to raise the limit")


def key_of(request: HttpRequest) -> UUID | None:
    """Return the key of the form that was sent; None where it was not made for this person."""
    return key_in(request.POST.get("key", ""), request.user.pk)


def key_in(signed: str, person: int | None) -> UUID | None:
    """Return the key that was signed for a person; None if it was not."""
    try:
        key, user = signing.loads(signed, salt=SALT)
    except signing.BadSignature:
        return None
    return UUID(key) if user == person else None


def _draft(request: HttpRequest, key: UUID) -> draft.Draft | None:
    """Return what was typed: in this session, or in one that ended before the form was taken."""
    sent = kept.typed(request)
    if sent and key_in(sent.get("key", ""), request.user.pk) == key:
        names = [*LABELS, *RETYPED]
        draft.keep(request, key, {name: sent.get(name, "") for name in names}, {})
    return draft.kept(request, key)


def typed(request: HttpRequest, names: Mapping[str, object]) -> dict[str, str]:
    """Return what was typed into these fields."""
    return {name: request.POST.get(name, "") for name in names}


def fields(
    values: Mapping[str, str], labels: Mapping[str, tuple[str, str]], problems: Mapping[str, str]
) -> list[Field]:
    """Return fields with what was typed into them, and what is wrong with that."""
    return [
        Field(name, label, hint, values.get(name, ""), problems.get(name, ""))
        for name, (label, hint) in labels.items()
    ]


def _unconfirmed(request: HttpRequest, wish: Wish, key: UUID) -> dict[str, str]:
    """Return what keeps a confirmation from counting: something typed otherwise, or the same placed meanwhile."""
    wrong = retyping.problems(wish.cash_amount, wish.account_id, **typed(request, RETYPED))
    newest = newest_of(precedents(wish, key=key, now=timezone.now()))
    if not wrong and newest not in ("", request.POST.get("newest")):
        wrong[""] = MEANWHILE
    return wrong


def _placed(wish: Wish, key: UUID, user: Any) -> Placement:
    """Place a wish, and send it at once where nobody has to approve it."""
    actor = user.get_username()
    placement = place(wish, actor=actor, actor_id=user.pk, key=key)
    if placement.state == PlacementState.READY:
        return send(key, patience=PATIENCE, actor=actor)
    return placement
