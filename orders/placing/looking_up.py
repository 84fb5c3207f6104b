"""Looking up at the broker whether a placement of unknown fate was placed: by account and time, for people to judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from orders.attributes import UnreadableError, amount, clean, moment, uuid
from orders.models import JournalEntry, Placement
from orders.placing import schedule, steps
from orders.placing.errors import NotPossibleError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A portfolio order of the same account and time, and whether it may be the one that was asked for.

    ``taken_by`` is the placement that it is known to belong to.
    """

    portfolio_order_id: UUID
    created_at: datetime
    cash_amount: str
    currency: str
    type: str
    status: str
    fits: bool
    why_not: str
    taken_by: UUID | None

    @property
    def may_be_it(self) -> bool:
        """Return whether nothing speaks against it."""
        return self.fits and self.taken_by is None


def candidates(placement: Placement, *, urgency: Urgency = Urgency.PERSON) -> list[Candidate]:
    """Ask upstream what was placed for the account around the attempts; what may be it first, then by time.

    Raises InvestmentAPIError, and NotPossibleError for a placement that was never sent.
    """
    if placement.first_sent_at is None or placement.sent_at is None:
        raise NotPossibleError("It was never sent: there is nothing to look up.")
    since, until = schedule.window(placement.first_sent_at, placement.sent_at)
    listed = list(
        api().portfolio_orders(
            since=since, until=until, account_id=placement.account_id, urgency=urgency
        )
    )
    found = list(_read(placement, listed))
    taken = _taken([it.portfolio_order_id for it in found])
    found = [replace(it, taken_by=taken.get(it.portfolio_order_id)) for it in found]
    return sorted(found, key=lambda it: (not it.may_be_it, it.created_at, it.portfolio_order_id))


def look_up(
    placement: Placement, *, actor: str = "", urgency: Urgency = Urgency.PERSON
) -> list[Candidate]:
    """Return the candidates, and note on the timeline what was found. Raises as ``candidates`` does."""
    found = candidates(placement, urgency=urgency)
    steps.note(placement, steps.LOOKED_UP, finding(found), actor=actor, now=timezone.now())
    return found


def finding(found: Sequence[Candidate]) -> str:
    """Return in a sentence what a look-up found."""
    fitting = [str(it.portfolio_order_id) for it in found if it.may_be_it]
    if not found:
        return "Looked up at the broker: nothing was placed for the account in that time."
    if not fitting:
        return f"Looked up at the broker: of {len(found)} placed for the account none fits."
    return (
        f"Looked up at the broker: {len(fitting)} of {len(found)} fit: {', '.join(fitting[:20])}."
    )


def looked_up_at(placement: Placement) -> datetime | None:
    """Return when it was last looked up."""
    found = JournalEntry.objects.filter(
        placement_id=placement.pk, type=steps.TYPE, status=steps.LOOKED_UP
    )
    return found.order_by("-pk").values_list("recorded_at", flat=True).first()


def difference(placement: Placement, payload: Mapping[str, Any]) -> str:
    """Return in what a portfolio order is not what was asked for; "" if it is."""
    asked: dict[str, Any] = {
        "account": (placement.account_id, uuid(payload, "account_id")),
        "user": (placement.user_id, uuid(payload, "user_id") or placement.user_id),
        "amount": (Decimal(placement.cash_amount), _decimal(payload)),
        "currency": (placement.currency, clean(payload.get("currency"), 3)),
        "side": (placement.side, clean(payload.get("type"), 16) or placement.side),
        "tax": (placement.post_tax, bool(payload.get("post_tax"))),
        "flow": ("API", clean(payload.get("initiation_flow"), 40) or "API"),
    }
    names = [name for name, (ours, theirs) in asked.items() if ours != theirs]
    return f"Other {', '.join(names)}" if names else ""


def _decimal(payload: Mapping[str, Any]) -> Decimal | None:
    digits = amount(payload, "cash_amount")
    return Decimal(digits) if digits else None


def _read(placement: Placement, listed: Sequence[Mapping[str, Any]]) -> Iterator[Candidate]:
    for payload in listed:
        try:
            yield _candidate(placement, payload)
        except UnreadableError:
            continue  # a stranger's slip; discovery keeps what it can of it


def _candidate(placement: Placement, payload: Mapping[str, Any]) -> Candidate:
    why_not = difference(placement, payload)
    created_at = moment(payload, "created_at")
    if created_at is None:
        raise UnreadableError("it has no time of creation")
    return Candidate(
        portfolio_order_id=uuid(payload, "id", required=True),
        created_at=created_at,
        cash_amount=amount(payload, "cash_amount"),
        currency=clean(payload.get("currency"), 3),
        type=clean(payload.get("type"), 16),
        status=clean(payload.get("status"), 32),
        fits=not why_not,
        why_not=why_not,
        taken_by=None,
    )


def _taken(ids: Sequence[UUID]) -> dict[UUID | None, UUID]:
    rows = Placement.objects.filter(portfolio_order_id__in=ids)
    return dict(rows.values_list("portfolio_order_id", "pk"))
