"""Placing a portfolio order: what people can do with a placement, one function for each step.

``place`` is how code of other teams places an order, too: it commits the key and the exact body of
the request, and workers send it until the broker has said what it made of it.
"""

from datetime import datetime
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from backoffice import doorbell
from orders import tasks
from orders.attributes import clean
from orders.models import Placement, PlacementState, PortfolioOrder
from orders.placing import attempts, concluding, looking_up, schedule, steps
from orders.placing.errors import KeyTakenError, NotPossibleError, SamePersonError
from orders.placing.sending import send
from orders.placing.wish import Wish, body_of

__all__ = ["approve", "decline", "place", "send", "settle_as_not_placed", "settle_as_placed"]


def place(
    wish: Wish, *, actor: str, key: UUID | None = None, now: datetime | None = None
) -> Placement:
    """Commit to place ``wish`` for ``actor``, once. Returns the placement, which nobody has sent yet.

    ``key`` is the idempotency key: the same key with the same wish returns the same placement,
    however often it is called; with another wish it raises KeyTakenError. Whoever may be cut off
    before the answer chooses the key beforehand and keeps it. Without one, each call places anew.

    With PLACING_NEEDS_APPROVAL it waits for another person's ``approve``. Otherwise workers send it
    from the commit on, until the broker has accepted or refused it; ``send`` does that at once. The
    state of the placement says how far it is, ``portfolio_order_id`` what came of it.
    """
    now, body, key = now or timezone.now(), body_of(wish), key or uuid4()
    placement = Placement(
        id=key,
        body=body,
        user_id=wish.user_id,
        account_id=wish.account_id,
        cash_amount=wish.cash_amount,
        currency=wish.currency,
        side=wish.side,
        post_tax=wish.post_tax,
        submitted_by=clean(actor, 150),
        submitted_at=now,
        state=PlacementState.PROPOSED,
    )
    if not settings.PLACING_NEEDS_APPROVAL:
        placement.state, placement.next_attempt_at = PlacementState.READY, now
    try:
        with transaction.atomic():
            placement.save(force_insert=True)
            _note_submission(placement, now)
    except IntegrityError:
        return _of_key(key, body)
    _ring(placement)
    return placement


def approve(pk: UUID, *, actor: str, now: datetime | None = None) -> Placement:
    """Let a proposed placement be sent. Raises SamePersonError for who submitted it, NotPossibleError."""
    now = now or timezone.now()
    with transaction.atomic():
        held = _held(pk, PlacementState.PROPOSED, "approved")
        if actor == held.submitted_by:
            raise SamePersonError("You submitted it yourself: another person has to approve it.")
        held.state, held.next_attempt_at = PlacementState.READY, now
        _decide(held, actor, now=now)
        steps.note(held, steps.APPROVED, f"Approved by {actor}", actor=actor, now=now)
        _ring(held)
    return held


def decline(pk: UUID, *, actor: str, reason: str, now: datetime | None = None) -> Placement:
    """Have a proposed placement never sent. Raises NotPossibleError."""
    now = now or timezone.now()
    with transaction.atomic():
        held = _held(pk, PlacementState.PROPOSED, "declined")
        held.state, held.reason = PlacementState.DECLINED, _reason(reason)
        _decide(held, actor, now=now)
        steps.note(held, steps.DECLINED, f"Declined by {actor}: {reason}", actor=actor, now=now)
    return held


def settle_as_placed(
    pk: UUID, portfolio_order_id: UUID, *, actor: str, now: datetime | None = None
) -> Placement:
    """Take a portfolio order for what came of a placement of unknown fate: a person looked it up.

    Raises NotPossibleError where it is another account's or another placement's.
    """
    now = now or timezone.now()
    with transaction.atomic():
        held = _unknown(pk, now)
        _check_order(held, portfolio_order_id)
        text = f"Settled by {actor}: it was placed, as portfolio order {portfolio_order_id}"
        steps.note(held, steps.SETTLED_PLACED, text, actor=actor, now=now)
        held.decided_by, held.decided_at = clean(actor, 150), now
        concluding.accept(held, portfolio_order_id)
        if not PortfolioOrder.objects.filter(pk=portfolio_order_id).exists():
            ask = tasks.refetch_portfolio_order
            transaction.on_commit(
                lambda: doorbell.ring(ask, str(portfolio_order_id), actor), robust=True
            )
    return held


def settle_as_not_placed(
    pk: UUID, *, actor: str, reason: str, now: datetime | None = None
) -> Placement:
    """Close a placement of unknown fate: a person looked it up, and the broker does not have it.

    Only after a look-up 24 hours after the first attempt or later, when none can be under way any
    more; NotPossibleError says when that is.
    """
    now = now or timezone.now()
    with transaction.atomic():
        held = _unknown(pk, now)
        _check_looked_up(held, now)
        held.state, held.reason = PlacementState.NOT_PLACED, _reason(reason)
        held.next_attempt_at = None
        _decide(held, actor, now=now)
        text = f"Settled by {actor}: it was not placed. {reason}"
        steps.note(held, steps.SETTLED_NOT_PLACED, text, actor=actor, now=now)
    return held


def _note_submission(placement: Placement, now: datetime) -> None:
    is_proposed = placement.state == PlacementState.PROPOSED
    text = f"Submitted by {placement.submitted_by}"
    word = steps.PROPOSED if is_proposed else steps.SUBMITTED
    steps.note(placement, word, f"{text}, for approval" if is_proposed else text, now=now)


def _of_key(key: UUID, body: bytes) -> Placement:
    placement = Placement.objects.get(pk=key)
    if bytes(placement.body) != body:
        raise KeyTakenError(key)
    return placement


def _ring(placement: Placement) -> None:
    if placement.state == PlacementState.READY:
        pk = str(placement.pk)
        transaction.on_commit(lambda: doorbell.ring(tasks.send_placement, pk), robust=True)


def _held(pk: UUID, state: PlacementState, what: str) -> Placement:
    held = attempts.locked(pk)
    if held.state != state:
        now_is = held.get_state_display().lower()
        raise NotPossibleError(f"It cannot be {what} any more: its state is {now_is}.")
    return held


def _unknown(pk: UUID, now: datetime) -> Placement:
    held = _held(pk, PlacementState.UNKNOWN, "settled")
    if held.sending_until is not None and held.sending_until >= now:
        raise NotPossibleError("It is being sent at this moment. Try again in two minutes.")
    return held


def _decide(held: Placement, actor: str, *, now: datetime) -> None:
    held.decided_by, held.decided_at = clean(actor, 150), now
    held.save()


def _reason(text: str) -> str:
    reason = clean(text, 2000).strip()
    if not reason:
        raise NotPossibleError("Say why: the reason stays on the timeline.")
    return reason


def _check_order(held: Placement, portfolio_order_id: UUID) -> None:
    other = Placement.objects.filter(portfolio_order_id=portfolio_order_id).first()
    if other is not None:
        raise NotPossibleError(f"That portfolio order belongs to placement {other.pk}.")
    row = PortfolioOrder.objects.filter(pk=portfolio_order_id).first()
    if row is not None and row.account_id not in (None, held.account_id):
        raise NotPossibleError("That portfolio order is of another account.")


def _check_looked_up(held: Placement, now: datetime) -> None:
    known_from = schedule.settled_from(held.first_sent_at or now)
    looked_up_at = looking_up.looked_up_at(held)
    if looked_up_at is not None and looked_up_at >= known_from:
        return
    if now < known_from:
        at = f"{timezone.localtime(known_from):%d %b %Y %H:%M}"
        raise NotPossibleError(f"An attempt may still succeed. It can be settled from {at} on.")
    raise NotPossibleError("Look it up at the broker first.")
