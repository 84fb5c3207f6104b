"""A reconciliation and what it found."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from orders.request_ids import request_id_in
from orders.tracked import moment, text

REQUEST_ID = request_id_in("reason")


class Scope(models.TextChoices):
    """What is compared."""

    ACCOUNT = "ACCOUNT", "One account"
    WINDOW = "WINDOW", "Placed in a period"
    OPEN = "OPEN", "Everything open"


class RunState(models.TextChoices):
    """How far a reconciliation is. A stopped or failed one goes on where it was."""

    RUNNING = "RUNNING", "Running"
    STOPPED = "STOPPED", "Stopped"
    FAILED = "FAILED", "Failed"
    DONE = "DONE", "Done"


class Verdict(models.TextChoices):
    """What the comparison of one object came to; equal ones are only counted."""

    REPAIRED = "REPAIRED", "Corrected"
    DIFFERING = "DIFFERING", "Still different"
    UNKNOWN_HERE = (
        "UNKNOWN_HERE",
        "Missing here, added",
    )  # upstream has it, we had not; it is recorded now
    UNKNOWN_THERE = "UNKNOWN_THERE", "Not known at broker"  # we have it, upstream has not


class Reconciliation(models.Model):
    """One comparison of our books with upstream's, with how far it is."""

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=8, choices=Scope)
    account_id = models.UUIDField(null=True, blank=True)
    since = moment()
    until = moment()
    state = models.CharField(max_length=8, choices=RunState)
    started_by = text(150)  # "": the nightly run
    started_at = models.DateTimeField()
    ended_at = moment()
    night = models.DateField(null=True, blank=True)  # of the nightly ones: one of a scope a night
    position = models.JSONField(default=dict, db_default={}, blank=True)  # where to go on
    stop_requested = models.BooleanField(default=False, db_default=False)
    leased_until = moment()  # of the process that works on it; NULL: nobody does
    reason = models.TextField(blank=True, default="", db_default="")  # why it failed
    compared = models.PositiveIntegerField(default=0, db_default=0)
    equal = models.PositiveIntegerField(default=0, db_default=0)
    repaired = models.PositiveIntegerField(default=0, db_default=0)
    differing = models.PositiveIntegerField(default=0, db_default=0)
    unknown_here = models.PositiveIntegerField(default=0, db_default=0)
    unknown_there = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        ordering: ClassVar = ["-id"]
        default_permissions: ClassVar = ["view"]
        permissions: ClassVar = [("reconcile", "Can reconcile orders with the broker")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scope__in=Scope.values), name="reconciliation_scope"
            ),
            models.CheckConstraint(
                condition=Q(state__in=RunState.values), name="reconciliation_state"
            ),
            models.UniqueConstraint(
                fields=["night", "scope"],
                condition=Q(night__isnull=False),
                name="reconciliation_one_a_night",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["id"], condition=Q(state="RUNNING"), name="reconciliation_running"
            ),
            models.Index(
                fields=["account_id"],
                condition=Q(account_id__isnull=False),
                name="reconciliation_account",
            ),
            models.Index(REQUEST_ID, name="reconciliation_request"),
        ]

    def __str__(self) -> str:
        return f"Reconciliation {self.pk}"


class Finding(models.Model):
    """One object that was not equal on both sides."""

    id = models.BigAutoField(primary_key=True)
    reconciliation = models.ForeignKey(
        Reconciliation, models.CASCADE, related_name="findings", db_index=False
    )
    portfolio_order_id = models.UUIDField(null=True, blank=True)
    order_id = models.UUIDField(null=True, blank=True)
    verdict = models.CharField(max_length=16, choices=Verdict)
    detail = models.TextField(
        blank=True, default="", db_default=""
    )  # "status: here PROCESSING, there FILLED"
    found_at = models.DateTimeField()
    entry_id = models.BigIntegerField(null=True, blank=True)  # of the answer in the journal

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions: ClassVar = ["view"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="finding_verdict"),
            models.CheckConstraint(
                condition=Q(portfolio_order_id=None, order_id__isnull=False)
                | Q(portfolio_order_id__isnull=False, order_id=None),
                name="finding_one_subject",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["reconciliation", "id"], name="finding_of_reconciliation"),
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()} {self.portfolio_order_id or self.order_id}"
