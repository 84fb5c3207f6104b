"""The way of a portfolio order to the broker: a form, a confirmation, and the placement. No GET places anything.

The key that makes the placement idempotent is made with the form and signed for who asked for it:
however often the confirmation is sent, it is placed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from orders.admin.pages import PageAdmin
from orders.admin.placement_told import take
from orders.models import Placement, PlacementState
from orders.placing import retyping
from orders.placing.placing import place, send
from orders.placing.precedents import is_known, newest_of, precedents
from orders.placing.wish import CURRENCIES, InvalidWishError, Wish, read_wish

PLACE = "orders.place_portfolioorder"
PATIENCE = 5.0  # seconds of a person for the broker's answer
SALT = "orders.placement"
NOT_YOURS = "This page was made for somebody else. Look at it, and go on."
SENT_BEFORE = "This form was sent before; nothing was placed twice."
MEANWHILE = (
    "While you read this page the same order was placed: see the warning. Type amount and account "
    "again if it is to be placed once more."
)
WRONG = 422  # the status of a page that was sent back: nothing was placed
LABELS = {  # of the fields, with what to type
    "side": ("Side", ""),
    "cash_amount": ("Amount", "Digits, with a point before the decimals: 2500.00"),
    "currency": ("Currency", ""),
    "post_tax": ("The amount is after tax", ""),
    "account_id": ("Account ID", "The whole ID of the portfolio account."),
    "user_id": ("User ID", "The whole ID of the person, as the broker has it."),
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
        """Add both."""
        fill = require_http_methods(["GET", "HEAD", "POST"])(self.guarded(self.fill, PLACE))
        submit = require_POST(self.guarded(self.submit, PLACE))
        return [
            path("place/", fill, name=self._name("place")),
            path("submit/", submit, name=self._name("submit")),
            *super().get_urls(),
        ]

    def fill(self, request: HttpRequest) -> HttpResponse:
        """Show the form; what was typed into it leads to the confirmation, or back with what is wrong."""
        if request.method != "POST" or "change" in request.POST:
            return self._form(request, {})
        try:
            wish = read_wish(typed(request, LABELS))
        except InvalidWishError as error:
            return self._form(request, error.problems)
        return self._confirmation(request, wish, key_of(request) or uuid4(), {})

    def submit(self, request: HttpRequest) -> HttpResponse:
        """Place what was confirmed, and lead to its page; back to the confirmation where that does not fit."""
        try:
            wish = read_wish(typed(request, LABELS))
        except InvalidWishError as error:
            return self._form(request, error.problems)
        key = key_of(request)
        if key is None:
            return self._form(request, {"": NOT_YOURS})
        was_here = Placement.objects.filter(pk=key).exists()
        wrong = {} if was_here else _unconfirmed(request, wish, key)
        if wrong:
            return self._confirmation(request, wish, key, wrong)
        take(
            request,
            lambda: _placed(wish, key, request.user.get_username()),
            before=SENT_BEFORE if was_here else "",
        )
        return self.to_page(key)

    def _form(self, request: HttpRequest, problems: Mapping[str, str]) -> HttpResponse:
        context = {
            "fields": {field.name: field for field in fields(request, LABELS, problems)},
            "currencies": CURRENCIES,
            "problems": problems,
            "next_url": reverse(f"admin:{self._name('place')}"),
        }
        return self._page(
            request, "form", "Place a portfolio order", key_of(request) or uuid4(), context
        )

    def _confirmation(
        self, request: HttpRequest, wish: Wish, key: UUID, problems: Mapping[str, str]
    ) -> HttpResponse:
        there = precedents(wish, key=key, now=timezone.now())
        context = {
            "wish": wish,
            "kept": typed(request, LABELS),
            "fields": fields(request, RETYPED, problems),
            "precedents": there,
            "newest": newest_of(there),
            "is_known": is_known(wish.account_id),
            "problems": problems,
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
        status = WRONG if context["problems"] else 200
        template = f"admin/orders/placement/{name}.html"
        return TemplateResponse(request, template, {**frame, **context}, status=status)


def key_of(request: HttpRequest) -> UUID | None:
    """Return the key of the form that was sent; None where it was not made for this person."""
    try:
        key, user = signing.loads(request.POST.get("key", ""), salt=SALT)
    except signing.BadSignature:
        return None
    return UUID(key) if user == request.user.pk else None


def typed(request: HttpRequest, names: Mapping[str, object]) -> dict[str, str]:
    """Return what was typed into these fields."""
    return {name: request.POST.get(name, "") for name in names}


def fields(
    request: HttpRequest, labels: Mapping[str, tuple[str, str]], problems: Mapping[str, str]
) -> list[Field]:
    """Return fields with what was typed into them, for a page that is shown again."""
    values = typed(request, labels)
    return [
        Field(name, label, hint, values[name], problems.get(name, ""))
        for name, (label, hint) in labels.items()
    ]


def _unconfirmed(request: HttpRequest, wish: Wish, key: UUID) -> dict[str, str]:
    """Return what keeps a confirmation from counting: something typed otherwise, or the same placed meanwhile."""
    wrong = retyping.problems(wish.cash_amount, wish.account_id, **typed(request, RETYPED))
    newest = newest_of(precedents(wish, key=key, now=timezone.now()))
    if not wrong and newest not in ("", request.POST.get("newest")):
        wrong[""] = MEANWHILE
    return wrong


def _placed(wish: Wish, key: UUID, actor: str) -> Placement:
    """Place a wish, and send it at once where nobody has to approve it."""
    placement = place(wish, actor=actor, key=key)
    if placement.state == PlacementState.READY:
        return send(key, patience=PATIENCE, actor=actor)
    return placement
