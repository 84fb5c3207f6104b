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
from orders.placing.limits import OverLimitError, check_limit, needs_approval
from orders.placing.people import Person, is_same
from orders.placing.sending import send
from orders.placing.wish import Wish, body_of

__all__ = [
    "approve", "decline", "place", "send", "settle_as_not_placed", "settle_as_placed", "withdraw",
]  # fmt: skip


def place(
    wish: Wish,
    *,
    actor: str,
    actor_id: int | None = None,
    key: UUID | None = None,
    now: datetime | None = None,
) -> Placement:
    """Commit to place ``wish`` for ``actor``, once. Returns the placement, which nobody has sent yet.

    ``actor_id`` is the id of the user where a person places: whoever has it may not approve it.

    ``key`` is the idempotency key: the same key with the same wish returns the same placement,
    however often it is called; with another wish it raises KeyTakenError. Whoever may be cut off
    before the answer chooses the key beforehand and keeps it. Without one, each call places anew.

    More than PLACING_LIMITS allows raises OverLimitError, an InvalidWishError, and nothing is placed.
    With PLACING_NEEDS_APPROVAL, or above PLACING_APPROVAL_ABOVE, it waits for another person's
    ``approve``. Otherwise workers send it from the commit on, until the broker has accepted or
    refused it; ``send`` does that at once. ``state`` of the placement says how far it is,
    ``portfolio_order_id`` which order it became.
    """
    now, body, key = now or timezone.now(), body_of(wish), key or uuid4()
    try:
        check_limit(wish.cash_amount, wish.currency, settings.PLACING_LIMITS)
    except OverLimitError:
        if Placement.objects.filter(pk=key).exists():  # placed before the limit was lowered
            return _of_key(key, body)
        raise
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
        submitted_by_id=actor_id,
        submitted_at=now,
        state=PlacementState.PROPOSED,
    )
    if not is_for_approval(wish):
        placement.state, placement.next_attempt_at = PlacementState.READY, now
    try:
        with transaction.atomic():
            placement.save(force_insert=True)
            _note_submission(placement, now)
    except IntegrityError:
        return _of_key(key, body)
    _ring(placement)
    return placement


def is_for_approval(wish: Wish) -> bool:
    """Return whether a second person has to approve a wish before it is sent."""
    return needs_approval(
        wish.cash_amount,
        wish.currency,
        always=settings.PLACING_NEEDS_APPROVAL,
        above=settings.PLACING_APPROVAL_ABOVE,
    )


def approve(
    pk: UUID, *, actor: str, actor_id: int | None = None, now: datetime | None = None
) -> Placement:
    """Let a proposed placement be sent. Raises SamePersonError for who submitted it, NotPossibleError."""
    now = now or timezone.now()
    with transaction.atomic():
        held = _held(pk, PlacementState.PROPOSED, "approved")
        if is_same(held.submitter, Person(actor, actor_id)):
            raise SamePersonError("You submitted it yourself: another person has to approve it.")
        try:
            check_limit(held.cash_amount, held.currency, settings.PLACING_LIMITS)
        except OverLimitError as error:
            todo = "Nothing was approved: decline it, or ask an administrator to raise the limit."
            raise NotPossibleError(f"{error.limit} {todo}") from None
        held.state, held.next_attempt_at = PlacementState.READY, now
        _decide(held, actor, actor_id, now=now)
        steps.note(held, steps.APPROVED, f"Approved by {actor}", actor=actor, now=now)
        _ring(held)
    return held


def decline(
    pk: UUID, *, actor: str, actor_id: int | None = None, reason: str, now: datetime | None = None
) -> Placement:
    """Have what somebody else proposed never sent. Raises SamePersonError for who submitted it, NotPossibleError."""
    now = now or timezone.now()
    with transaction.atomic():
        held = _held(pk, PlacementState.PROPOSED, "declined")
        if is_same(held.submitter, Person(actor, actor_id)):
            raise SamePersonError("You submitted it yourself: withdraw it instead.")
        held.state, held.reason = PlacementState.DECLINED, _reason(reason)
        _decide(held, actor, actor_id, now=now)
        steps.note(held, steps.DECLINED, f"Declined by {actor}: {reason}", actor=actor, now=now)
    return held


def withdraw(
    pk: UUID, *, actor: str, actor_id: int | None = None, now: datetime | None = None
) -> Placement:
    """Have one's own proposal never sent. Raises NotPossibleError, also for anybody else's."""
    now = now or timezone.now()
    with transaction.atomic():
        held = _held(pk, PlacementState.PROPOSED, "withdrawn")
        if not is_same(held.submitter, Person(actor, actor_id)):
            raise NotPossibleError("Another person submitted it: decline it instead.")
        held.state = PlacementState.DECLINED
        _decide(held, actor, actor_id, now=now)
        steps.note(held, steps.WITHDRAWN, f"Withdrawn by {actor}", actor=actor, now=now)
    return held


def settle_as_placed(
    pk: UUID,
    portfolio_order_id: UUID,
    *,
    actor: str,
    actor_id: int | None = None,
    now: datetime | None = None,
) -> Placement:
    """Resolve a placement with an unknown result as that portfolio order: a person looked it up.

    Raises NotPossibleError if the order belongs to another account or another placement.
    """
    now = now or timezone.now()
    with transaction.atomic():
        held = _unknown(pk, now)
        _check_order(held, portfolio_order_id)
        text = f"Resolved as placed by {actor}: portfolio order {portfolio_order_id}"
        steps.note(held, steps.SETTLED_PLACED, text, actor=actor, now=now)
        held.decided_by, held.decided_by_id = clean(actor, 150), actor_id
        held.decided_at = now
        concluding.accept(held, portfolio_order_id)
        if not PortfolioOrder.objects.filter(pk=portfolio_order_id).exists():
            ask = tasks.check_portfolio_order
            transaction.on_commit(lambda: doorbell.ring(ask, str(portfolio_order_id)), robust=True)
    return held


def settle_as_not_placed(
    pk: UUID, *, actor: str, actor_id: int | None = None, reason: str, now: datetime | None = None
) -> Placement:
    """Close a placement with an unknown result: a person looked it up, and the broker does not have it.

    Only after a look-up 24 hours after the first attempt or later, when none can be under way any
    more; NotPossibleError says when that is.
    """
    now = now or timezone.now()
    with transaction.atomic():
        held = _unknown(pk, now)
        _check_looked_up(held, now)
        held.state, held.reason = PlacementState.NOT_PLACED, _reason(reason)
        held.next_attempt_at = None
        _decide(held, actor, actor_id, now=now)
        text = f"Resolved as not placed by {actor}: {reason}"
        steps.note(held, steps.SETTLED_NOT_PLACED, text, actor=actor, now=now)
    return held


def _note_submission(placement: Placement, now: datetime) -> None:
    is_proposed = placement.state == PlacementState.PROPOSED
    text = f"Submitted by {placement.submitted_by}"
    word = steps.PROPOSED if is_proposed else steps.SUBMITTED
    text = f"{text}, for approval" if is_proposed else text
    steps.note(placement, word, text, actor=placement.submitted_by, now=now)


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
        now_is = "withdrawn" if held.is_withdrawn else held.get_state_display().lower()
        raise NotPossibleError(f"It can no longer be {what}: its state is {now_is}.")
    return held


def _unknown(pk: UUID, now: datetime) -> Placement:
    held = _held(pk, PlacementState.UNKNOWN, "resolved")
    if held.sending_until is not None and held.sending_until >= now:
        raise NotPossibleError("It is being sent right now. Try again in two minutes.")
    return held


def _decide(held: Placement, actor: str, actor_id: int | None, *, now: datetime) -> None:
    held.decided_by, held.decided_by_id = clean(actor, 150), actor_id
    held.decided_at = now
    held.save()


def _reason(text: str) -> str:
    reason = clean(text, 2000).strip()
    if not reason:
        raise NotPossibleError("Give a reason: it stays in the history.")
    return reason


def _check_order(held: Placement, portfolio_order_id: UUID) -> None:
    other = Placement.objects.filter(portfolio_order_id=portfolio_order_id).first()
    if other is not None:
        raise NotPossibleError(f"That portfolio order belongs to placement {other.pk}.")
    row = PortfolioOrder.objects.filter(pk=portfolio_order_id).first()
    if row is not None and row.account_id not in (None, held.account_id):
        raise NotPossibleError("That portfolio order belongs to another account.")


def _check_looked_up(held: Placement, now: datetime) -> None:
    known_from = schedule.settled_from(held.first_sent_at or now)
    looked_up_at = looking_up.looked_up_at(held)
    if looked_up_at is not None and looked_up_at >= known_from:
        return
    if now < known_from:
        at = f"{timezone.localtime(known_from):%d %b %Y %H:%M}"
        raise NotPossibleError(
            f"An attempt may still succeed. It can be resolved as not placed after {at}."
        )
    raise NotPossibleError("Look it up at the broker first.")
