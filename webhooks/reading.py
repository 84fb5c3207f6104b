"""Stored deliveries read into the journal: body -> events -> entries, many deliveries at once.

A drain reads them oldest first and skips what another holds. One that is killed leaves them
unread and nothing else. Source: the model, section 3.
"""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from backoffice.database import may_pass
from orders import bulk, intake, projection, quarantine
from orders.attributes import clean
from orders.damaged import ids_in
from orders.intake import Drained
from orders.journal import OvertakenError, Receipt, Received, event_id_of
from orders.models import JournalEntry, Outcome
from webhooks.body import UnreadableBodyError, events_in, unpacked
from webhooks.models import Delivery, Verdict

logger = logging.getLogger(__name__)

MOST = 500  # deliveries read at once
MOST_BYTES = 2**20  # of their bodies, but for the first: some 1,400 events


class DeliveryIntake:
    """The deliveries as what drains read."""

    def read_next(self, *, now: datetime) -> Drained:
        """Read and apply the oldest deliveries that nobody else reads."""
        return read_next(now=now)

    def waiting(self) -> QuerySet[Delivery]:
        """Return the unread deliveries."""
        return Delivery.objects.unread()

    def new(self) -> QuerySet[Delivery]:
        """Return those that were never read, the oldest first."""
        return Delivery.objects.never_read().order_by("pk")


def read_next(*, now: datetime, only: Sequence[int] | None = None) -> Drained:
    """Read and apply a portion of what is unread in one transaction; ``only`` names the deliveries to read.

    What one delivery causes costs no other: the portion is read again in halves. Raises what may
    pass; all of it stays unread then.
    """
    claimed: list[int] = []
    done = Drained()
    try:
        with transaction.atomic():
            deliveries = _claim(only)
            claimed = [delivery.pk for delivery in deliveries]
            if deliveries:
                done = _read(deliveries, now=now)
    except OvertakenError:  # and so it happens but once: what the other recorded is known now
        return read_next(now=now, only=only)
    except Exception as error:
        if may_pass(error) or not claimed:
            raise
        if len(claimed) == 1:
            _give_up(claimed[0], error, now=now)
        else:
            logger.warning("reading %d deliveries failed, halving: %s", len(claimed), error)
            half = len(claimed) // 2
            return read_next(now=now, only=claimed[:half]) + read_next(now=now, only=claimed[half:])
    return done + Drained(read=len(claimed))


def events_of(delivery: Delivery) -> list[object]:
    """Return the events of a stored delivery, as ``body.events_in`` does. Raises UnreadableBodyError."""
    return events_in(body_of(delivery))


def body_of(delivery: Delivery) -> bytes:
    """Return the body of a stored delivery, unpacked. Raises UnreadableBodyError."""
    encoding = str(delivery.headers.get("content-encoding", ""))
    return unpacked(raw_body_of(delivery), encoding, limit=settings.WEBHOOK_MAX_BODY_BYTES)


def raw_body_of(delivery: Delivery) -> bytes:
    """Return the body of a stored delivery as it came. Raises UnreadableBodyError where it is not kept."""
    body = delivery.body
    if body is None and delivery.same_body_as is not None:
        kept = Delivery.objects.filter(pk=delivery.same_body_as)
        body = kept.values_list("body", flat=True).first()
    if body is None:
        raise UnreadableBodyError("its body is not kept")
    return bytes(body)


def _claim(only: Sequence[int] | None) -> list[Delivery]:
    # Those that were never read first: however many are read again, the feed goes on.
    unread = Delivery.objects.unread().order_by("verdict", "events", "pk")
    if only is not None:
        unread = unread.filter(pk__in=only)
    sizes = unread.select_for_update(skip_locked=True, no_key=True).values_list("pk", "size")
    chosen: list[int] = []
    left = MOST_BYTES
    for pk, size in sizes[:MOST]:
        left -= size
        if chosen and left < 0:
            break
        chosen.append(pk)
    return list(Delivery.objects.filter(pk__in=chosen).order_by("pk"))


def _read(deliveries: Sequence[Delivery], *, now: datetime) -> Drained:
    received: list[Received] = []
    for delivery in deliveries:
        try:
            events = events_of(delivery)
        except UnreadableBodyError as error:
            _refuse(delivery, str(error), now=now)
            continue
        # Of one that is read again we learn only now what an earlier release could not read.
        at = now if _was_read(delivery) else delivery.received_at
        received.append(Received(delivery.pk, at, _missing(delivery, events)))
        delivery.events = len(events)
        delivery.verdict, delivery.reason = Verdict.ACCEPTED, ""
    taken = projection.take(received, now=now)
    for delivery in deliveries:
        delivery.repeats += taken.receipts.get(delivery.pk, Receipt()).repeats
        delivery.read_at = now
    bulk.update(Delivery, deliveries, ["verdict", "reason", "events", "repeats", "read_at"])
    return taken.done


def _was_read(delivery: Delivery) -> bool:
    return bool(delivery.events) or delivery.verdict == Verdict.UNREADABLE


def _missing(delivery: Delivery, events: list[object]) -> list[object]:
    """Return the events to record: of a delivery that is read again only those that are not in the journal.

    Upstream did not send them again, so the others are no repeats; those in quarantine wait to be
    applied again.
    """
    if not delivery.events:
        return events
    ids = [event_id_of(event) for event in events]
    known = JournalEntry.objects.filter(event_id__in=ids)
    found = {
        event_id: (pk, outcome)
        for event_id, pk, outcome in known.values_list("event_id", "pk", "outcome")
    }
    quarantine.release([pk for pk, outcome in found.values() if outcome == Outcome.QUARANTINED])
    return [event for event, event_id in zip(events, ids, strict=True) if event_id not in found]


def _refuse(delivery: Delivery, reason: str, *, now: datetime) -> None:
    """Note why nothing of a delivery can be told, and have all asked about that it names."""
    if delivery.events:  # an earlier release could read it: what it recorded stays
        return
    logger.error("delivery %d is correctly signed and unreadable: %s", delivery.pk, reason)
    delivery.verdict, delivery.reason = Verdict.UNREADABLE, clean(reason, 2000)
    for read in (body_of, raw_body_of):  # packed bytes name nothing, but may be all that can be had
        with suppress(UnreadableBodyError):
            _ask_about(delivery, ids_in(read(delivery)), now=now)
            break


def _ask_about(delivery: Delivery, ids: Collection[UUID], *, now: datetime) -> None:
    try:
        with transaction.atomic():
            projection.ask_about(ids, now=now)
    except Exception as error:
        if may_pass(error):
            raise
        logger.exception("what delivery %d names cannot be made due", delivery.pk)


def _give_up(pk: int, error: Exception, *, now: datetime) -> None:
    """Keep a delivery whose events cannot be recorded, whenever it is tried, for a release that can."""
    logger.error("the events of delivery %d cannot be recorded", pk, exc_info=error)
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update(no_key=True).get(pk=pk)
        _refuse(
            delivery, f"its events cannot be recorded: {type(error).__name__}: {error}", now=now
        )
        delivery.read_at = now
        delivery.save(update_fields=["verdict", "reason", "read_at"])


intake.register(DeliveryIntake())
