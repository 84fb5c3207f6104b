"""What came in over HTTP. Source of every column: the model's section 1."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from orders.models import JournalEntry
from orders.tracked import Source


class Verdict(models.TextChoices):
    """What we made of a delivery. The first two were answered 200, the last 401."""

    ACCEPTED = "ACCEPTED", "Accepted"
    UNREADABLE = "UNREADABLE", "Unreadable"
    REFUSED = "REFUSED", "Refused"


class Delivery(models.Model):
    """One HTTP request to the webhook, as evidence. Its events live on in the journal; purged by age."""

    id = models.BigAutoField(primary_key=True)
    received_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Verdict)
    reason = models.TextField(blank=True, default="")  # why it is not accepted
    key_id = models.CharField(max_length=64, blank=True, default="")  # as the signature names it
    signed_at = models.DateTimeField(null=True, blank=True)  # as the signature says
    headers = models.JSONField(default=dict, blank=True)  # those of inbox.KEPT_HEADERS
    body = models.BinaryField(null=True, editable=False)  # as received; NULL when refused
    size = models.PositiveBigIntegerField(default=0)  # of the body, in bytes
    events = models.PositiveIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=0)  # those of its events that had come before

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
        ]
        indexes: ClassVar = [
            models.Index(F("received_at").desc(), name="delivery_newest"),
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
    title = models.CharField(max_length=100, blank=True, default="")
    url = models.CharField(max_length=1000, blank=True, default="")
    topics = models.JSONField(default=list, blank=True)
    excluded_topics = models.JSONField(default=list, blank=True)
    config = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=False)
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
    found = models.CharField(max_length=12, blank=True, default="")
    differs = models.CharField(max_length=200, blank=True, default="")
    since = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=400, blank=True, default="")
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
