"""What portfolio orders and orders share: columns, indexes and the questions asked of them."""

import uuid
from datetime import datetime, timedelta
from operator import itemgetter
from typing import ClassVar, Self

from django.conf import settings
from django.db import connections, models, transaction
from django.db.models import F, Q

from backoffice.moments import MomentField, MomentIndex, newest_first
from orders.attributes import REFERENCE, WORD
from orders.lifecycle import KNOWN_STATUSES, SETTLING, Kind

# What the fold remembers beside the state, so that the next fact finds its place. Not compared with the
# journal: rows of earlier releases lack it, and the state follows from it when it matters.
MEMORY = frozenset({"attribute_facts", "listed_in"})
CLAIM = """
WITH due AS (
    SELECT id, check_after FROM {table}
    WHERE check_after <= %s AND (asking_until IS NULL OR asking_until < %s)
    ORDER BY check_after LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE {table} SET asking_until = %s FROM due WHERE {table}.id = due.id
RETURNING due.id, due.check_after
"""
OVERDUE_AFTER = timedelta(minutes=5)  # due for longer and nobody asks: our fault


class Source(models.TextChoices):
    """Where we learned it."""

    WEBHOOK = "WEBHOOK", "Webhook"
    POLL = "POLL", "Scheduled check"
    REFETCH = "REFETCH", "Refetch"
    STAFF = "STAFF", "Staff"


def _free(now: datetime) -> Q:
    return Q(asking_until=None) | Q(asking_until__lt=now)


def is_stale(now: datetime) -> Q:
    """Return the condition of ``TrackedQuerySet.stale``; of the row alone, so that a page may ask it of each row."""
    unknown = Q(problems__gt=0) & ~Q(status__in=KNOWN_STATUSES)  # the index on problems serves it
    processing = settings.MARKET_HOURS.before(now, settings.STALE_PROCESSING)
    return (
        Q(status="NEW", news_at__lt=settings.MARKET_HOURS.before(now, settings.STALE_NEW))
        | Q(status="PROCESSING", news_at__lt=processing)
        | (unknown & Q(news_at__lt=processing))
        | Q(status=SETTLING, news_at__lt=now - settings.STALE_FILLED)
    )


def amount() -> models.CharField:
    """Return a column for an amount: text as upstream wrote it, for SQLite keeps decimals as floats."""
    return models.CharField(
        max_length=92, blank=True, default="", db_default=""
    )  # 90 digits, point, sign


def moment() -> MomentField:
    """Return a column for a moment in UTC; missing is NULL."""
    return MomentField(null=True, blank=True)


def attribute_facts() -> models.TextField:
    """Return a column for which facts gave the attributes that the winner did not: see ``orders.fold``."""
    return models.TextField(blank=True, default="", db_default="", editable=False)


def text(length: int = WORD) -> models.CharField:
    """Return a column for upstream's text, kept whole; missing is ""."""
    return models.CharField(max_length=length, blank=True, default="", db_default="")


def unreadable() -> models.TextField:
    """Return a column for the attributes of the row's fact that could not be read: see ``orders.fold``."""
    return models.TextField(blank=True, default="", db_default="", editable=False)


class TrackedQuerySet(models.QuerySet):
    """Named questions about what we track."""

    def due(self, *, now: datetime) -> Self:
        """Return those to ask upstream about that nobody is asking about, the longest overdue first."""
        return self.filter(_free(now), check_after__lte=now).order_by("check_after")

    def overdue(self, *, now: datetime) -> Self:
        """Return those that have been due for so long that our poller must be dead or too slow."""
        return self.filter(_free(now), check_after__lte=now - OVERDUE_AFTER)

    def claim(
        self, pk: uuid.UUID, *, now: datetime, lease: timedelta, only_due: bool = False
    ) -> bool:
        """Take the right to ask about ``pk`` until ``now + lease``; False if another has it.

        One conditional UPDATE, no lock. A worker that dies gives it back when the lease runs out.
        With ``only_due`` False too where the check is no longer due, for another has just done it.
        """
        rows = self.filter(_free(now), pk=pk)
        if only_due:
            rows = rows.filter(check_after__lte=now)
        return rows.update(asking_until=now + lease) == 1

    def claim_due(
        self, most: int, *, due_at: datetime, now: datetime, lease: timedelta
    ) -> list[uuid.UUID]:
        """Take the right to ask about at most ``most`` that were due at ``due_at``, until ``now + lease``.

        Returns them, the longest overdue first. One statement: what another claims meanwhile is
        passed over, and nobody waits. SQLite writes alone anyway.
        """
        if connections[self.db].vendor != "postgresql":
            with transaction.atomic(using=self.db):
                due = self.filter(_free(now), check_after__lte=due_at).order_by("check_after")
                found = list(due.values_list("pk", flat=True)[:most])
                self.filter(pk__any_of=found).update(asking_until=now + lease)
            return found
        with connections[self.db].cursor() as cursor:
            table = self.model._meta.db_table  # noqa: SLF001
            cursor.execute(CLAIM.format(table=table), [due_at, now, most, now + lease])
            return [pk for pk, _ in sorted(cursor.fetchall(), key=itemgetter(1))]

    def stale(self, *, now: datetime) -> Self:
        """Return the open or settling ones without news for longer than their pace.

        Market hours count for open ones, the calendar for settling ones. An unknown status is open.
        """
        return self.filter(is_stale(now))

    def missed(self, *, now: datetime) -> Self:
        """Return those of which an expected webhook has been missing for longer than the grace time."""
        return self.filter(missing_since__lt=now - settings.GAP_GRACE)


class Tracked(models.Model):
    """What portfolio orders and orders share: state (written by the projection alone), then clocks."""

    kind: ClassVar[Kind]
    id = models.UUIDField(primary_key=True, editable=False)
    status = text()
    fact = text(80)  # key of the greatest own fact; "" while the object is only named
    attribute_facts = attribute_facts()
    unreadable = unreadable()
    account_id = models.UUIDField(null=True, blank=True)
    currency = text()
    cash_amount = amount()
    client_reference = text(REFERENCE)
    initiation_flow = text()
    cancellation_reason = text()
    created_at = moment()
    updated_at = moment()
    processing_at = moment()
    filled_at = moment()
    is_fill_derived = models.BooleanField(default=False, db_default=False)  # see orders.fills
    cancelled_at = moment()
    announced = text(64)  # words that a webhook has announced, sorted
    problems = models.PositiveSmallIntegerField(default=0, db_default=0)  # bits of orders.lifecycle

    missing_since = moment()
    heard_at = moment()
    heard_via = models.CharField(
        max_length=8, blank=True, default="", db_default="", choices=Source
    )
    news_at = moment()
    check_after = moment()  # NULL: nothing left to learn
    asking_until = moment()  # NULL: nobody is asking
    checked_at = moment()
    checks = models.PositiveSmallIntegerField(default=0, db_default=0)  # asks since the last news
    check_error = text(200)

    objects = TrackedQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


def tracked_indexes(name: str) -> list[models.Index]:
    """Return the indexes that both tables have."""
    return [
        MomentIndex(newest_first("created_at"), F("id").desc(), name=f"{name}_latest"),
        models.Index(fields=["account_id"], name=f"{name}_account"),
        # The poller and the lists of problems read few rows of many: partial indexes.
        models.Index(
            fields=["check_after"], condition=Q(check_after__isnull=False), name=f"{name}_due"
        ),
        models.Index(
            fields=["missing_since"],
            condition=Q(missing_since__isnull=False),
            name=f"{name}_missing",
        ),
    ]
