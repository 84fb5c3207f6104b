"""A cancellation: the request of somebody to end an order, with a life of its own."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Q

from orders.lifecycle import Kind
from orders.tracked import moment, text


class CancellationState(models.TextChoices):
    """How far the request is. The order itself says how it ended."""

    READY = "READY", "To be sent"
    UNKNOWN = "UNKNOWN", "No answer yet"  # sent, no usable answer; it may be sent again
    TAKEN = "TAKEN", "Accepted by the broker"
    REFUSED = "REFUSED", "Refused by the broker"


SENDABLE = (CancellationState.READY, CancellationState.UNKNOWN)


class Cancellation(models.Model):
    """One request to cancel a portfolio order or an order; never a fact about it."""

    id = models.BigAutoField(primary_key=True)
    portfolio_order_id = models.UUIDField(null=True, blank=True)
    order_id = models.UUIDField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=CancellationState)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    because = text(1000)  # why, in the words of who requested it
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    sent_at = moment()  # begin of the last attempt
    answered_at = moment()  # when upstream took or refused it
    sending_until = moment()  # lease of the attempt in progress; NULL: nobody is sending
    next_attempt_at = moment()  # when to send it, or once taken to look at the order; NULL: never
    reason = text(2000)  # why it was refused, or why the last attempt failed

    class Meta:
        ordering: ClassVar = ["-id"]
        default_permissions: ClassVar = ["view"]
        permissions: ClassVar = [
            ("cancel_portfolioorder", "Can ask the broker to cancel orders"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=CancellationState.values), name="cancellation_state"
            ),
            models.CheckConstraint(
                condition=Q(portfolio_order_id=None, order_id__isnull=False)
                | Q(portfolio_order_id__isnull=False, order_id=None),
                name="cancellation_one_subject",
            ),
            *(
                models.UniqueConstraint(
                    fields=[f"{subject}_id"],
                    condition=Q(state__in=SENDABLE, next_attempt_at__isnull=False),
                    name=f"cancellation_one_open_{subject}",
                )
                for subject in ("portfolio_order", "order")
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["portfolio_order_id"], name="cancellation_portfolio"),
            models.Index(fields=["order_id"], name="cancellation_order"),
            models.Index(F("state"), F("id").desc(), name="cancellation_by_state"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
                name="cancellation_due",
            ),
        ]

    def __str__(self) -> str:
        return f"Cancellation {self.pk}"

    @property
    def kind(self) -> Kind:
        """Return what it is to end: a portfolio order or an order."""
        return Kind.ORDER if self.order_id else Kind.PORTFOLIO_ORDER

    @property
    def about(self) -> UUID:
        """Return the id of what it is to end."""
        about: UUID | None = self.order_id or self.portfolio_order_id
        assert about is not None  # noqa: S101 -- a constraint of the table
        return about
