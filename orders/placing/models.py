"""A placement: a portfolio order that staff submitted, and what is known of its result."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q

from orders.placing.people import Person, is_same
from orders.tracked import amount, moment, text


class PlacementState(models.TextChoices):
    """The state of a placement. UNKNOWN ends with an answer of upstream or a decision of people, never by itself."""

    PROPOSED = "PROPOSED", "Waiting for approval"
    READY = "READY", "To be sent"
    UNKNOWN = "UNKNOWN", "Result unknown"  # sent, and upstream has not said what it made of it
    ACCEPTED = "ACCEPTED", "Accepted"
    REFUSED = "REFUSED", "Refused"
    DECLINED = "DECLINED", "Declined"  # or withdrawn, before anything was sent
    NOT_PLACED = "NOT_PLACED", "Not placed"  # people looked it up, and upstream does not have it


SENDABLE = (PlacementState.READY, PlacementState.UNKNOWN)


def _first_attempt(now: datetime) -> Q:
    return Q(attempts=1, sending_until__gte=now)


class PlacementQuerySet(models.QuerySet["Placement"]):
    """Placements, by what is not known of them."""

    def of_unknown_fate(self, *, now: datetime) -> Self:
        """Return those sent, of which nobody knows what became; not those whose first answer is on its way."""
        unknown = self.filter(state=PlacementState.UNKNOWN)
        return unknown.exclude(_first_attempt(now))

    def to_be_sent(self, *, now: datetime) -> Self:
        """Return those that wait to be sent, and those whose first answer is on its way."""
        under_way = Q(state=PlacementState.UNKNOWN) & _first_attempt(now)
        return self.filter(Q(state=PlacementState.READY) | under_way)


class Placement(models.Model):
    """One logical request to place a portfolio order. Key and body are committed before anything is sent.

    The columns after ``body`` say in words what it holds; ``body`` is what is sent, each time byte
    by byte. Not folded from the journal: this is what we did, not what upstream said.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # the idempotency key
    body = models.BinaryField(editable=False)
    user_id = models.UUIDField()
    account_id = models.UUIDField()
    cash_amount = amount()
    currency = text(3)
    side = text(8)
    post_tax = models.BooleanField(default=False, db_default=False)
    state = models.CharField(max_length=12, choices=PlacementState)
    submitted_by = models.CharField(max_length=150)
    submitted_by_id = models.BigIntegerField(
        null=True, blank=True
    )  # a user; NULL: code, or an earlier release
    submitted_at = models.DateTimeField()
    decided_by = text(150)  # who approved or declined it, or found that it was not placed
    decided_by_id = models.BigIntegerField(null=True, blank=True)
    decided_at = moment()
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    first_sent_at = moment()
    sent_at = moment()  # begin of the last attempt
    unanswered_at = moment()  # begin of the last attempt whose result is unknown; NULL: none
    sending_until = moment()  # lease of the attempt in progress; NULL: nobody is sending
    next_attempt_at = moment()  # NULL: nothing is to be sent or looked up by itself
    portfolio_order_id = models.UUIDField(null=True, blank=True, unique=True)
    problem = models.BinaryField(
        default=b"", db_default=b"", editable=False
    )  # the body of the refusal, as it came
    reason = models.TextField(
        blank=True, default="", db_default=""
    )  # of the last attempt that was not accepted

    objects = PlacementQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-submitted_at", "-id"]
        default_permissions: ClassVar = ["view"]
        permissions: ClassVar = [
            ("place_portfolioorder", "Can place portfolio orders"),
            ("approve_placement", "Can approve what another person wants to place"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=PlacementState.values), name="placement_state"
            ),
            models.CheckConstraint(
                condition=Q(state=PlacementState.ACCEPTED, portfolio_order_id__isnull=False)
                | (~Q(state=PlacementState.ACCEPTED) & Q(portfolio_order_id=None)),
                name="placement_accepted_has_order",
            ),
        ]
        indexes: ClassVar = [
            models.Index(F("submitted_at").desc(), F("id").desc(), name="placement_newest"),
            models.Index(F("state"), F("submitted_at").desc(), name="placement_by_state"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
                name="placement_due",
            ),
            models.Index(fields=["account_id"], name="placement_account"),
            models.Index(fields=["user_id"], name="placement_user"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def submitter(self) -> Person:
        """Return who submitted it."""
        return Person(self.submitted_by, self.submitted_by_id)

    @property
    def is_withdrawn(self) -> bool:
        """Return whether who submitted it took it back, where another would have declined it."""
        decider = Person(self.decided_by, self.decided_by_id)
        return self.state == PlacementState.DECLINED and is_same(self.submitter, decider)
