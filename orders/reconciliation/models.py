"""A reconciliation and what it found."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from orders.tracked import moment, text


class Scope(models.TextChoices):
    """What is compared."""

    ACCOUNT = "ACCOUNT", "One account"
    WINDOW = "WINDOW", "What was placed in a span of time"
    OPEN = "OPEN", "Everything open"


class RunState(models.TextChoices):
    """How far a reconciliation is. A stopped or failed one goes on where it was."""

    RUNNING = "RUNNING", "Running"
    STOPPED = "STOPPED", "Stopped"
    FAILED = "FAILED", "Failed"
    DONE = "DONE", "Done"


class Verdict(models.TextChoices):
    """What the comparison of one object came to; equal ones are only counted."""

    REPAIRED = "REPAIRED", "Repaired"
    DIFFERING = "DIFFERING", "Differing"
    UNKNOWN_HERE = "UNKNOWN_HERE", "Unknown here"  # upstream has it, we had not; it is recorded now
    UNKNOWN_THERE = "UNKNOWN_THERE", "Unknown there"  # we have it, upstream has not


class Reconciliation(models.Model):
    """One comparison of our books with upstream's, with how far it is."""

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=8, choices=Scope)
    account_id = models.UUIDField(null=True, blank=True)
    since = moment()
    until = moment()
    state = models.CharField(max_length=8, choices=RunState)
    started_by = text(150)  # "": the nightly task
    started_at = models.DateTimeField()
    ended_at = moment()
    night = models.DateField(null=True, blank=True)  # of the nightly ones: one of a scope a night
    position = models.JSONField(default=dict, blank=True)  # where to go on
    stop_requested = models.BooleanField(default=False)
    leased_until = moment()  # of the process that works on it; NULL: nobody does
    reason = models.TextField(blank=True, default="")  # why it failed
    compared = models.PositiveIntegerField(default=0)
    equal = models.PositiveIntegerField(default=0)
    repaired = models.PositiveIntegerField(default=0)
    differing = models.PositiveIntegerField(default=0)
    unknown_here = models.PositiveIntegerField(default=0)
    unknown_there = models.PositiveIntegerField(default=0)

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
    detail = models.TextField(blank=True, default="")  # "status: here PROCESSING, there FILLED"
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
