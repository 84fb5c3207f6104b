"""What came in over HTTP. Source of every column: the model's section 1."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from orders.models import JournalEntry
from orders.tracked import Source


class Verdict(models.TextChoices):
    """What we made of a delivery. The first two were answered 200, the last 401.

    ACCEPTED is also one that waits to be read.
    """

    ACCEPTED = "ACCEPTED", "Accepted"
    UNREADABLE = "UNREADABLE", "Unreadable"
    REFUSED = "REFUSED", "Refused"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, by what is still to be done with them."""

    def unread(self) -> Self:
        """Return those that wait to be read into the journal."""
        return self.filter(read_at=None).exclude(verdict=Verdict.REFUSED)

    def never_read(self) -> Self:
        """Return those of them that came just now; the others are to be read again."""
        return self.filter(read_at=None, verdict=Verdict.ACCEPTED, events=0)


class Delivery(models.Model):
    """One HTTP request to the webhook: the inbox while it is unread, evidence from then on.

    Its events live on in the journal; purged by age. One that is read again, after a release that
    reads more, keeps its numbers meanwhile.
    """

    id = models.BigAutoField(primary_key=True)
    received_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Verdict)
    reason = models.TextField(blank=True, default="", db_default="")  # why it is not accepted
    # The client's address, from proxies that are trusted alone; "" of older releases.
    sender = models.CharField(max_length=45, blank=True, default="", db_default="")
    key_id = models.CharField(
        max_length=64, blank=True, default="", db_default=""
    )  # as the signature names it
    signed_at = models.DateTimeField(null=True, blank=True)  # as the signature says
    headers = models.JSONField(
        default=dict, db_default={}, blank=True
    )  # those of inbox.KEPT_HEADERS
    body = models.BinaryField(null=True, editable=False)  # as received; NULL when refused or kept
    # Half of the SHA-256 of the body; NULL when refused, and of older releases.
    fingerprint = models.UUIDField(null=True, blank=True, editable=False)
    same_body_as = models.BigIntegerField(null=True, blank=True)  # the delivery that keeps the body
    size = models.PositiveBigIntegerField(default=0, db_default=0)  # of the body, in bytes
    events = models.PositiveIntegerField(default=0, db_default=0)
    repeats = models.PositiveIntegerField(
        default=0, db_default=0
    )  # those of its events that had come before
    # NULL: it waits to be read. The default is for rows of the release before, which read them at once.
    read_at = models.DateTimeField(null=True, blank=True, db_default=Now())

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering: ClassVar = ["-received_at", "-id"]
        permissions: ClassVar = [
            ("replay_delivery", "Can process deliveries and quarantined events again"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(verdict__in=Verdict.values), name="delivery_verdict"
            ),
            models.CheckConstraint(
                condition=~Q(verdict=Verdict.REFUSED) | Q(body=None), name="delivery_refused_body"
            ),
            # One caught and sent a thousand times keeps its body once.
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(body__isnull=False), name="delivery_body"
            ),
        ]
        indexes: ClassVar = [
            models.Index(F("received_at").desc(), name="delivery_newest"),
            models.Index(fields=["id"], condition=Q(read_at=None), name="delivery_unread"),
            models.Index(
                fields=["key_id"],
                opclasses=["varchar_pattern_ops"],
                condition=~Q(key_id=""),
                name="delivery_key",
            ),
            models.Index(
                fields=["same_body_as"],
                condition=Q(same_body_as__isnull=False),
                name="delivery_same_body",
            ),
            models.Index(
                F("verdict"),
                F("received_at").desc(),
                condition=~Q(verdict=Verdict.ACCEPTED),
                name="delivery_problems",
            ),
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk}"


class EventManager(models.Manager["Event"]):
    """The entries of the journal that webhooks brought."""

    def get_queryset(self) -> models.QuerySet["Event"]:
        """Return the events and their repeats."""
        return super().get_queryset().filter(source=Source.WEBHOOK)


class Event(JournalEntry):
    """An entry of the journal that a webhook brought; what is about the journal is in ``orders``."""

    objects: ClassVar[EventManager] = EventManager()

    class Meta:
        proxy = True
        default_permissions: ClassVar = []  # those of journal entries hold


class Subscription(models.Model):
    """A webhook subscription as upstream last listed it; ``gone_at``: it is listed no more."""

    id = models.UUIDField(primary_key=True, editable=False)
    title = models.CharField(max_length=100, blank=True, default="", db_default="")
    url = models.CharField(max_length=1000, blank=True, default="", db_default="")
    topics = models.JSONField(default=list, db_default=[], blank=True)
    excluded_topics = models.JSONField(default=list, db_default=[], blank=True)
    config = models.JSONField(default=dict, db_default={}, blank=True)
    enabled = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(null=True, blank=True)  # upstream's
    seen_at = models.DateTimeField()  # since when it has been listed as it is
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        default_permissions: ClassVar = ["view"]
        permissions: ClassVar = [
            ("manage_subscription", "Can set up, test and delete webhook subscriptions"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)


class FeedWatch(models.Model):
    """What the watch over our subscription last learned, one row: ``subscriptions.condition.Learned``."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    found = models.CharField(max_length=12, blank=True, default="", db_default="")
    differs = models.CharField(max_length=200, blank=True, default="", db_default="")
    since = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=400, blank=True, default="", db_default="")
    silent_since = models.DateTimeField(null=True, blank=True)
    check_after = models.DateTimeField(null=True, blank=True)  # when it is due
    working_until = models.DateTimeField(null=True, blank=True)  # lease of who sets it up

    class Meta:
        default_permissions: ClassVar = []
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="feedwatch_one_row")
        ]

    def __str__(self) -> str:
        return "What the watch over the feed last learned"
