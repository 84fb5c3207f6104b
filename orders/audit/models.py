"""What the journal keeps of a step of staff beside its entry."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class StepDetail(models.Model):
    """From where a step was taken, what it is about where that is no order, and how often.

    One entry stands for several of the same where anybody can cause them: ``times``, until ``last_at``.
    Written with its entry; only these two change, and nothing is ever deleted.
    """

    entry = models.OneToOneField(
        "orders.JournalEntry",
        models.DO_NOTHING,
        primary_key=True,
        related_name="detail",
        db_constraint=False,
    )
    subject_kind = models.CharField(max_length=20, blank=True, default="", db_default="")
    subject_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    address = models.CharField(max_length=45, blank=True, default="", db_default="")
    times = models.PositiveIntegerField(default=1, db_default=1)
    last_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions: ClassVar = []
        indexes: ClassVar = [
            models.Index(
                fields=["subject_kind", "subject_id", "entry"],
                condition=~Q(subject_kind=""),
                name="stepdetail_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"Details of entry {self.pk}"
