"""Asking for a cancellation: committed with its audit line, and sent by workers from the commit on."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from backoffice import doorbell
from orders import tasks
from orders.asking.leases import MODELS
from orders.attributes import clean
from orders.cancelling import looking, schedule, steps, words
from orders.cancelling.models import SENDABLE
from orders.cancelling.sending import send
from orders.lifecycle import Kind
from orders.models import Cancellation, CancellationState
from orders.timeline.reports import ENDS
from orders.timeline.sentences import status_word

__all__ = ["AlreadyAskedError", "NotPossibleError", "request", "send"]

COLUMNS = {Kind.PORTFOLIO_ORDER: "portfolio_order_id", Kind.ORDER: "order_id"}


class NotPossibleError(ValueError):
    """There is nothing to cancel; the text says why, in words fit for staff."""


class AlreadyAskedError(NotPossibleError):
    """A request for the same order is under way."""

    def __init__(self, held: Cancellation) -> None:
        at = f"{timezone.localtime(held.requested_at):%H:%M:%S}"
        super().__init__(
            f"{held.requested_by} already requested it at {at}. Nothing more was sent."
        )
        self.held = held


def request(
    kind: Kind,
    pk: UUID,
    *,
    actor: str,
    reason: str = "",
    rings: bool = True,
    now: datetime | None = None,
) -> Cancellation:
    """Commit to ask the broker to cancel an order that is held here; workers send it from the commit on.

    ``reason`` is why, for the history; people have to give one, code may. ``send`` does that at once;
    who calls it does not ring for a worker, who might be faster. Raises
    AlreadyAskedError while another request for it is under way, NotPossibleError where it has ended
    or is not known.
    """
    now = now or timezone.now()
    if obstacle := why_not(kind, pk):
        raise NotPossibleError(obstacle)
    if held := under_way(kind, pk, now=now):
        raise AlreadyAskedError(held)
    made = Cancellation(
        state=CancellationState.READY,
        requested_by=clean(actor, 150),
        requested_at=now,
        because=clean(reason, 1000).strip(),
        next_attempt_at=now,
        **{COLUMNS[kind]: pk},
    )
    try:
        with transaction.atomic():
            made.save(force_insert=True)
            steps.note(made, words.REQUESTED, made.because, actor=made.requested_by, now=now)
            if rings:
                transaction.on_commit(
                    lambda: doorbell.ring(tasks.send_cancellation, made.pk), robust=True
                )
    except IntegrityError:  # another press was faster
        raise AlreadyAskedError(_requests(kind, pk).order_by("-pk")[0]) from None
    return made


def why_not(kind: Kind, pk: UUID) -> str:
    """Return why an order cannot be cancelled; "" if one may try."""
    status = MODELS[kind].objects.filter(pk=pk).values_list("status", flat=True).first()
    return "We do not know this order." if status is None else why_not_in(status)


def why_not_in(status: str) -> str:
    """Return why an order cannot be cancelled that has this status; "" if one may try."""
    if status not in ENDS:
        return ""
    return f"It is already {status_word(status)}: there is nothing to cancel."


def under_way(kind: Kind, pk: UUID, *, now: datetime) -> Cancellation | None:
    """Return the request that is being sent, or that upstream took so lately that its word may still come."""
    held = _requests(kind, pk).order_by("-pk").first()
    if held is None:
        return None
    is_open = held.state in SENDABLE and held.next_attempt_at is not None
    is_fresh = held.state == CancellationState.TAKEN and (
        held.answered_at is not None and now < held.answered_at + schedule.TAKEN_FOR
    )
    return held if is_open or (is_fresh and not looking.is_over(held)) else None


def _requests(kind: Kind, pk: UUID) -> QuerySet[Cancellation]:
    return Cancellation.objects.filter(**{COLUMNS[kind]: pk})
