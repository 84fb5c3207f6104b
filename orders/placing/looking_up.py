"""Looking up at the broker what became of a placement without an answer: by account and time, for people to judge."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.calls import DEADLINE
from backoffice.investment_api.client import api
from backoffice.moments import LATEST
from orders.actors import requested
from orders.attributes import UnreadableError, amount, moment, or_none, uuid, word
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing import attempts, schedule, steps
from orders.placing.errors import NotPossibleError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A portfolio order of the same account and time, and whether it may be the one that was asked for.

    What cannot be read speaks neither for nor against it; ``why_not`` names it beside what is other
    than asked for. ``taken_by`` is the placement that it is known to belong to.
    """

    portfolio_order_id: UUID
    created_at: datetime | None
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


def candidates(
    placement: Placement, *, urgency: Urgency = Urgency.PERSON, deadline: float = DEADLINE
) -> list[Candidate]:
    """Ask upstream what was placed for the account around the attempts; what may be it first, then by time.

    Raises InvestmentAPIError, and NotPossibleError for a placement whose result is known, or that was
    never sent.
    """
    _check_open(placement)
    if placement.first_sent_at is None or placement.sent_at is None:
        raise NotPossibleError("It was never sent: there is nothing to look up.")
    since, until = schedule.window(placement.first_sent_at, placement.sent_at)
    listed = list(
        api().portfolio_orders(
            since=since,
            until=until,
            account_id=placement.account_id,
            urgency=urgency,
            deadline=deadline,
        )
    )
    found = list(_read(placement, listed))
    taken = _taken([it.portfolio_order_id for it in found])
    found = [replace(it, taken_by=taken.get(it.portfolio_order_id)) for it in found]
    return sorted(
        found,
        key=lambda it: (not it.may_be_it, it.created_at or LATEST, it.portfolio_order_id),
    )


def look_up(
    placement: Placement,
    *,
    actor: str = "",
    urgency: Urgency = Urgency.PERSON,
    deadline: float = DEADLINE,
) -> list[Candidate]:
    """Return the candidates, and note on the timeline what was found. Raises as ``candidates`` does.

    ``deadline`` is how many seconds each call may take.
    """
    found = candidates(placement, urgency=urgency, deadline=deadline)
    how = f" by {actor}" if actor else f" automatically{requested(placement.submitted_by)}"
    with transaction.atomic():
        _check_open(attempts.locked(placement.pk))  # somebody may have resolved it meanwhile
        steps.note(placement, steps.LOOKED_UP, finding(found, how), actor=actor, now=timezone.now())
    return found


def _check_open(placement: Placement) -> None:
    if placement.state != PlacementState.UNKNOWN:
        state = "withdrawn" if placement.is_withdrawn else placement.get_state_display().lower()
        raise NotPossibleError(f"Its state is {state}: there is nothing to look up.")


def finding(found: Sequence[Candidate], how: str = "") -> str:
    """Return in a sentence what a look-up found; ``how`` says who looked it up."""
    fitting = [str(it.portfolio_order_id) for it in found if it.may_be_it]
    begin = f"Looked up at the broker{how}"
    if not found:
        return f"{begin}: nothing was placed for this account in that time."
    count = "1 order" if len(found) == 1 else f"{len(found)} orders"
    if not fitting:
        return f"{begin}: none of {count} matches."
    matches = "matches" if len(fitting) == 1 else "match"
    return f"{begin}: {len(fitting)} of {count} {matches}: {', '.join(fitting[:20])}."


def looked_up_at(placement: Placement) -> datetime | None:
    """Return when it was last looked up."""
    found = JournalEntry.objects.filter(
        placement_id=placement.pk, type=steps.TYPE, status=steps.LOOKED_UP
    )
    return found.order_by("-pk").values_list("recorded_at", flat=True).first()


def difference(placement: Placement, payload: Mapping[str, Any]) -> str:
    """Return in what a portfolio order is not what was asked for, and what of it cannot be read; "" if it is."""
    other, unreadable = _compared(placement, payload)
    parts = [
        f"{words} {', '.join(names)}"
        for words, names in (("Different:", other), ("Unreadable:", unreadable))
        if names
    ]
    return ". ".join(parts)


def _compared(placement: Placement, payload: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return which attributes are other than asked for, and which cannot be read: those tell neither way."""
    asked: dict[str, tuple[Any, Callable[[], Any]]] = {
        "account": (placement.account_id, lambda: uuid(payload, "account_id")),
        "user": (placement.user_id, lambda: uuid(payload, "user_id") or placement.user_id),
        "amount": (Decimal(placement.cash_amount), lambda: _decimal(payload)),
        "currency": (placement.currency, lambda: word(payload, "currency")),
        "side": (placement.side, lambda: word(payload, "type") or placement.side),
        "tax": (placement.post_tax, lambda: bool(payload.get("post_tax"))),
        "flow": ("API", lambda: word(payload, "initiation_flow") or "API"),
    }
    other, unreadable = [], []
    for name, (ours, theirs) in asked.items():
        try:
            if ours != theirs():
                other.append(name)
        except UnreadableError:
            unreadable.append(name)
    return other, unreadable


def _decimal(payload: Mapping[str, Any]) -> Decimal | None:
    digits = amount(payload, "cash_amount")
    return Decimal(digits) if digits else None


def _read(placement: Placement, listed: Sequence[Mapping[str, Any]]) -> Iterator[Candidate]:
    for payload in listed:
        try:
            yield _candidate(placement, payload)
        except UnreadableError as error:
            logger.warning("A listed portfolio order is passed over: %s", error)


def _candidate(placement: Placement, payload: Mapping[str, Any]) -> Candidate:
    """Read a portfolio order; only one without an id raises UnreadableError, for nobody could name it."""
    return Candidate(
        portfolio_order_id=uuid(payload, "id", required=True),
        created_at=or_none(moment, payload, "created_at"),
        cash_amount=or_none(amount, payload, "cash_amount") or "",
        currency=or_none(word, payload, "currency") or "",
        type=or_none(word, payload, "type") or "",
        status=or_none(word, payload, "status") or "",
        fits=not _compared(placement, payload)[0],
        why_not=difference(placement, payload),
        taken_by=None,
    )


def _taken(ids: Sequence[UUID]) -> dict[UUID | None, UUID]:
    rows = Placement.objects.filter(portfolio_order_id__in=ids)
    return dict(rows.values_list("portfolio_order_id", "pk"))
