"""What we hold of orders, and the journal it is folded from. Source of every column: the model's section 1."""

from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from backoffice.beginnings import Bytewise
from backoffice.moments import DayField, MomentField, MomentIndex, newest_first
from orders.audit.kinds import DESKS_OWN, STAFF_ACTIONS
from orders.audit.models import StepDetail
from orders.cancelling.models import Cancellation, CancellationState
from orders.executions import OVER
from orders.lifecycle import OPEN_STATUSES, SETTLING, Kind
from orders.placing.models import Placement, PlacementState
from orders.reconciliation.models import Finding, Reconciliation
from orders.request_ids import request_id_in
from orders.tracked import (
    Source,
    Tracked,
    amount,
    attribute_facts,
    moment,
    text,
    tracked_indexes,
    unreadable,
)

__all__ = [  # those of packages too, for Django looks for models here
    "Cancellation", "CancellationState", "Execution", "Finding", "JournalEntry", "Order", "Outcome",
    "Placement", "PlacementState", "PortfolioOrder", "Pulse", "Reconciliation", "StaffAction",
    "StepDetail",
]  # fmt: skip


class Outcome(models.TextChoices):
    """What became of a journal entry."""

    PENDING = "PENDING", "Pending"
    APPLIED = "APPLIED", "Applied"
    NO_CHANGE = "NO_CHANGE", "No change"
    IGNORED = "IGNORED", "Ignored"
    QUARANTINED = "QUARANTINED", "Quarantined"
    DISMISSED = (
        "DISMISSED",
        "Dismissed",
    )  # was quarantined, and staff decided that it need not be applied
    FAILED = "FAILED", "Failed"
    NOTED = "NOTED", "Noted"


# Webhook events of other topics than the two that are always there: executions, what we ignore, what we cannot read.
OTHER_TOPIC = (
    Q(source=Source.WEBHOOK)
    & ~Q(type__startswith="ORDER.")
    & ~Q(type__startswith="PORTFOLIO_ORDER.")
)
RARE_TOPIC = OTHER_TOPIC & ~Q(type__startswith="EXECUTION.")

REQUEST_ID = request_id_in("message")
VENUE = Bytewise("venue_id")  # an id of the broker's, or a word


class PortfolioOrder(Tracked):
    """An order for a whole portfolio, which upstream splits into orders."""

    kind = Kind.PORTFOLIO_ORDER
    allocation_id = models.UUIDField(null=True, blank=True)
    type = text()
    settled_at = moment()
    cancellation_details = models.TextField(blank=True, default="", db_default="")

    class Meta:
        ordering: ClassVar = [newest_first("created_at"), "-id"]
        permissions: ClassVar = [
            ("refetch_portfolioorder", "Can refetch orders from the broker"),
            ("export_history", "Can export orders and their history"),
            ("view_payload", "Can view raw payloads"),
            ("add_note", "Can add notes to orders"),
        ]
        indexes: ClassVar = [
            *tracked_indexes("portfolioorder"),
            MomentIndex(
                F("status"),
                newest_first("created_at"),
                F("id").desc(),
                name="portfolioorder_by_status",
            ),
            MomentIndex(
                F("type"),
                newest_first("created_at"),
                F("id").desc(),
                name="portfolioorder_by_type",
            ),
            models.Index(
                fields=["client_reference"],
                opclasses=["varchar_pattern_ops"],  # searched by its beginning, in any collation
                condition=~Q(client_reference=""),
                name="portfolioorder_reference",
            ),
            models.Index(
                fields=["allocation_id"],
                condition=Q(allocation_id__isnull=False),
                name="portfolioorder_allocation",
            ),
            models.Index(
                fields=["status", "news_at"],
                condition=Q(status__in=[*OPEN_STATUSES, SETTLING]),
                name="portfolioorder_stale",
            ),
            models.Index(
                fields=["problems"], condition=Q(problems__gt=0), name="portfolioorder_problems"
            ),
            models.Index(Coalesce("filled_at", "settled_at"), name="portfolioorder_done_at"),
        ]


class Order(Tracked):
    """An order for one instrument, most often one of a portfolio order."""

    kind = Kind.ORDER
    portfolio_order = models.ForeignKey(
        PortfolioOrder,
        models.DO_NOTHING,
        related_name="orders",
        null=True,
        blank=True,
        db_constraint=False,  # it may name a portfolio order that is not here yet
        db_index=False,
    )
    listed_in = models.UUIDField(null=True, blank=True, editable=False)  # the least of several
    instrument_id = text()
    side = text()
    order_type = text()
    execution_flow = text()
    quantity = amount()
    limit_price = amount()
    stop_price = amount()
    fee = amount()

    class Meta:
        ordering: ClassVar = [newest_first("created_at"), "-id"]
        indexes: ClassVar = [
            *tracked_indexes("order"),
            models.Index(fields=["portfolio_order", "status"], name="order_portfolio_order"),
            MomentIndex(F("instrument_id"), newest_first("created_at"), name="order_by_instrument"),
            # A search by ISIN asks of a portfolio order whether it has one, and counts those that do.
            models.Index(fields=["instrument_id", "portfolio_order"], name="order_instrument_of"),
            MomentIndex(
                F("side"), newest_first("created_at"), F("id").desc(), name="order_by_side"
            ),
            # Most orders are filled: the newest of those are found by walking the list.
            MomentIndex(
                F("status"),
                newest_first("created_at"),
                F("id").desc(),
                condition=~Q(status="FILLED"),
                name="order_by_status",
            ),
            models.Index(
                fields=["client_reference"],
                opclasses=["varchar_pattern_ops"],
                # Elsewhere it is the id of the portfolio order, which has a column of its own.
                condition=~Q(client_reference="") & ~Q(initiation_flow="PORTFOLIO"),
                name="order_reference",
            ),
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
    """A trade that filled an order or a part of it. Several orders may report one: each has a row of it.

    ``execution_id`` is upstream's id; None where ``id`` is, as it is for the first of these orders.
    """

    kind = Kind.EXECUTION
    id = models.UUIDField(primary_key=True, editable=False)
    execution_id = models.UUIDField(null=True, blank=True, editable=False)
    order = models.ForeignKey(
        Order,
        models.DO_NOTHING,
        related_name="executions",
        db_constraint=False,
        db_index=False,  # the constraint serves
    )
    status = text()
    fact = text(80)
    attribute_facts = attribute_facts()
    unreadable = unreadable()
    side = text()
    currency = text()
    cash_amount = amount()
    share_quantity = amount()
    price = amount()
    venue_id = text()
    transaction_time = moment()
    tax = amount()
    settlement_date = DayField(null=True, blank=True)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "order", Coalesce("execution_id", "id"), name="execution_of_order"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["execution_id"],
                condition=Q(execution_id__isnull=False),
                name="execution_shared",
            ),
            models.Index(VENUE, name="execution_venue"),
        ]

    def __str__(self) -> str:
        return str(self.upstream_id)

    @property
    def upstream_id(self) -> UUID:
        """Return upstream's id."""
        return self.execution_id or self.id


class JournalEntry(models.Model):
    """One thing we learned, tried or did. Never deleted; only outcome, applied_at and message change.

    A webhook event is written once, with its outcome; what has to wait (an answer, an event whose row
    somebody holds) is PENDING until it is applied. Of an event that could not be read also what it
    is about changes, once a release can read it.
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
    type = text()
    status = text()
    occurred_at = MomentField()
    recorded_at = MomentField()
    applied_at = moment()
    actor = text(150)
    message = models.TextField(blank=True, default="", db_default="")
    payload = models.BinaryField(
        default=b"", db_default=b"", editable=False
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
            models.Index(
                F("id").desc(), condition=Q(outcome="DISMISSED"), name="journalentry_dismissed"
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
            models.Index(
                F("id").desc(), condition=Q(outcome="NO_CHANGE"), name="journalentry_no_change"
            ),
            models.Index(F("id").desc(), condition=OTHER_TOPIC, name="journalentry_other_topic"),
            models.Index(F("id").desc(), condition=RARE_TOPIC, name="journalentry_rare_topic"),
            # The list of what staff did, and its filters.
            models.Index(F("id").desc(), condition=STAFF_ACTIONS, name="journalentry_staff"),
            models.Index(
                F("actor"), F("id").desc(), condition=STAFF_ACTIONS, name="journalentry_person"
            ),
            models.Index(
                F("type"), F("id").desc(), condition=STAFF_ACTIONS, name="journalentry_action"
            ),
            models.Index(
                REQUEST_ID, condition=~Q(source=Source.WEBHOOK), name="journalentry_request"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()} {self.type or self.get_outcome_display()}"


class StaffActionManager(models.Manager["StaffAction"]):
    """The entries of the journal that tell what people did."""

    def get_queryset(self) -> models.QuerySet["StaffAction"]:
        """Return them without what the desk did by itself for somebody."""
        return super().get_queryset().filter(STAFF_ACTIONS).exclude(DESKS_OWN)


class StaffAction(JournalEntry):
    """An entry of the journal that tells what somebody of the staff did, or tried."""

    objects: ClassVar[StaffActionManager] = StaffActionManager()

    class Meta:
        proxy = True
        default_permissions: ClassVar = ["view"]


class Pulse(models.Model):
    """When a worker of a host last swept, by the database's clock, and how far ahead its own was."""

    host = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField()
    ahead = models.FloatField(db_default=0.0)  # seconds

    def __str__(self) -> str:
        return f"Pulse of {self.host}"
