"""What we hold of orders, and the journal it is folded from. Source of every column: the model's section 1."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q

from orders.cancelling.models import Cancellation, CancellationState
from orders.executions import OVER
from orders.lifecycle import OPEN_STATUSES, SETTLING
from orders.placing.models import Placement, PlacementState
from orders.reconciliation.models import Finding, Reconciliation
from orders.tracked import Source, Tracked, amount, moment, text, tracked_indexes

__all__ = [  # those of packages too, for Django looks for models here
    "Cancellation", "CancellationState", "Execution", "Finding", "JournalEntry", "Order", "Outcome",
    "Placement", "PlacementState", "PortfolioOrder", "Reconciliation",
]  # fmt: skip


class Outcome(models.TextChoices):
    """What became of a journal entry."""

    PENDING = "PENDING", "Pending"
    APPLIED = "APPLIED", "Applied"
    NO_CHANGE = "NO_CHANGE", "No change"
    IGNORED = "IGNORED", "Ignored"
    QUARANTINED = "QUARANTINED", "Quarantined"
    FAILED = "FAILED", "Failed"
    NOTED = "NOTED", "Noted"


# Webhook events of other topics than the two that are always there: executions, what we ignore, what we cannot read.
OTHER_TOPIC = (
    Q(source=Source.WEBHOOK)
    & ~Q(type__startswith="ORDER.")
    & ~Q(type__startswith="PORTFOLIO_ORDER.")
)


class PortfolioOrder(Tracked):
    """An order for a whole portfolio, which upstream splits into orders."""

    allocation_id = models.UUIDField(null=True, blank=True)
    type = text(16)
    settled_at = moment()
    cancellation_details = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [
            ("refetch_portfolioorder", "Can refetch orders from the broker"),
            ("export_history", "Can export orders and their history"),
            ("view_payload", "Can view raw payloads"),
            ("add_note", "Can add notes to orders"),
        ]
        indexes: ClassVar = [
            *tracked_indexes("portfolioorder"),
            models.Index(
                F("status"), F("created_at").desc(), F("id").desc(), name="portfolioorder_status"
            ),
            models.Index(
                fields=["client_reference"],
                opclasses=["varchar_pattern_ops"],  # searched by its beginning, in any collation
                condition=~Q(client_reference=""),
                name="portfolioorder_reference",
            ),
            models.Index(
                fields=["status", "news_at"],
                condition=Q(status__in=[*OPEN_STATUSES, SETTLING]),
                name="portfolioorder_stale",
            ),
            models.Index(
                fields=["problems"], condition=Q(problems__gt=0), name="portfolioorder_problems"
            ),
        ]


class Order(Tracked):
    """An order for one instrument, most often one of a portfolio order."""

    portfolio_order = models.ForeignKey(
        PortfolioOrder,
        models.DO_NOTHING,
        related_name="orders",
        null=True,
        blank=True,
        db_constraint=False,  # it may name a portfolio order that is not here yet
        db_index=False,
    )
    instrument_id = text(12)
    side = text(8)
    order_type = text(8)
    execution_flow = text(24)
    quantity = amount()
    limit_price = amount()
    stop_price = amount()
    fee = amount()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            *tracked_indexes("order"),
            models.Index(fields=["portfolio_order", "status"], name="order_portfolio_order"),
            models.Index(F("instrument_id"), F("created_at").desc(), name="order_instrument"),
            models.Index(
                fields=["portfolio_order"], condition=Q(problems__gt=0), name="order_problems"
            ),
        ]


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Executions, by what is still to be told of them."""

    def unsettled(self) -> Self:
        """Return those that have neither settled nor been cancelled."""
        return self.exclude(status__in=OVER)


class Execution(models.Model):
    """A trade that filled an order or a part of it."""

    id = models.UUIDField(primary_key=True, editable=False)
    order = models.ForeignKey(
        Order, models.DO_NOTHING, related_name="executions", db_constraint=False
    )
    status = text(32)
    fact = text(80)
    side = text(8)
    currency = text(3)
    cash_amount = amount()
    share_quantity = amount()
    price = amount()
    venue_id = text(64)
    transaction_time = moment()
    tax = amount()
    settlement_date = models.DateField(null=True, blank=True)

    objects = ExecutionQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.pk)


class JournalEntry(models.Model):
    """One thing we learned, tried or did. Never deleted; only outcome, applied_at and message change.

    Of an event that could not be read, also what it is about, once a release can read it.
    """

    id = models.BigAutoField(primary_key=True)
    portfolio_order_id = models.UUIDField(null=True, blank=True)
    order_id = models.UUIDField(null=True, blank=True)
    source = models.CharField(max_length=8, choices=Source)
    outcome = models.CharField(max_length=12, choices=Outcome)
    placement_id = models.UUIDField(
        null=True, blank=True
    )  # of a step of one, with or without order
    event_id = models.UUIDField(null=True, blank=True, unique=True)
    repeat_of = models.UUIDField(null=True, blank=True)
    delivery_id = models.BigIntegerField(null=True, blank=True)
    type = text(64)
    status = text(32)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    applied_at = moment()
    actor = text(150)
    message = models.TextField(blank=True, default="")
    payload = models.BinaryField(
        default=b"", editable=False
    )  # JSON, ASCII; jsonb refuses what upstream may send

    class Meta:
        verbose_name_plural = "journal entries"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(portfolio_order_id=None) | Q(order_id=None),
                name="journalentry_one_subject",
            ),
            models.CheckConstraint(
                condition=Q(source__in=Source.values), name="journalentry_source"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=Outcome.values), name="journalentry_outcome"
            ),
        ]
        indexes: ClassVar = [
            *(
                models.Index(
                    fields=[name],
                    condition=Q(**{f"{name}__isnull": False}),
                    name=f"journalentry_{short}",
                )
                for name, short in [
                    ("portfolio_order_id", "portfolio"),
                    ("order_id", "order"),
                    ("repeat_of", "repeat"),
                    ("placement_id", "placement"),
                ]
            ),
            models.Index(
                fields=["occurred_at", "id"],
                condition=Q(outcome="PENDING"),
                name="journalentry_pending",
            ),
            models.Index(
                fields=["id"], condition=Q(outcome="QUARANTINED"), name="journalentry_quarantined"
            ),
            models.Index(fields=["recorded_at"], name="journalentry_recorded"),
            models.Index(  # few among many webhooks: the dashboard counts and finds them
                fields=["recorded_at"],
                condition=Q(source__in=[Source.POLL, Source.REFETCH]),
                name="journalentry_asks",
            ),
            # Lists filter by these, newest first; what is rare would be looked for in all rows.
            models.Index(
                F("source"),
                F("id").desc(),
                condition=~Q(source=Source.WEBHOOK),
                name="journalentry_source",
            ),
            models.Index(
                F("outcome"),
                F("id").desc(),
                condition=Q(outcome__in=["IGNORED", "FAILED", "NOTED"]),
                name="journalentry_outcome_rare",
            ),
            models.Index(F("id").desc(), condition=OTHER_TOPIC, name="journalentry_other_topic"),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()} {self.type or self.get_outcome_display()}"
