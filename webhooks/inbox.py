"""Deliveries on their way into the journal: body -> events -> entries, in one short transaction.

Whatever a correctly signed body holds, it is stored: refusing it would hold back everything behind
it for ever. Source: investment-api.md, sections 4.2 and 4.3; the model, section 3.
"""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from prometheus_client import Counter

from backoffice import health
from backoffice.database import may_pass
from backoffice.http_signatures import Message, SignatureError, Verified, key_ids
from orders import journal
from orders.attributes import clean
from webhooks.models import Delivery, Verdict

logger = logging.getLogger(__name__)

# What may be kept of a request: evidence of the signature and the sender, no credentials.
KEPT_HEADERS = (
    "accept", "content-digest", "content-encoding", "content-length", "content-type", "date",
    "digest", "host", "signature", "signature-input", "upvest-api-version", "upvest-client-id",
    "upvest-signature-version", "user-agent", "via", "x-forwarded-for", "x-request-id",
)  # fmt: skip
LONGEST_HEADER = 4000  # characters
MOST_REFUSED = 60  # rows a minute: strangers must not fill the database
LONGEST_INTEGER = 4300  # digits, the most that Python makes a number of

REFUSED = Counter(
    "webhook_deliveries_refused",
    "Deliveries answered 401 by this process, by whether a row was kept of them.",
    ["kept"],
    registry=health.registry,
)


class UnreadableBodyError(ValueError):
    """The body holds no events that we can tell; the message says why."""


def receive(message: Message, *, signature: Verified, now: datetime) -> Delivery:
    """Store a correctly signed delivery and its events, whatever they are, and return it.

    Raises OperationalError or InterfaceError when the database cannot take anything now.
    """
    delivery = Delivery(
        received_at=now,
        verdict=Verdict.ACCEPTED,
        key_id=clean(signature.key_id, 64),
        signed_at=signature.created,
        headers=kept_headers(message),
        body=message.body,
        size=len(message.body),
    )
    try:
        events = events_in(message.body)
    except UnreadableBodyError as error:
        return _store_unreadable(delivery, str(error))
    try:
        return _store(delivery, events)
    except Exception as error:  # a second try says the same: keep the bytes, let the feed go on
        if may_pass(error):
            raise
        logger.exception("The events of a delivery cannot be recorded, its body is kept")
        reason = f"its events cannot be recorded: {type(error).__name__}: {error}"
        return _store_unreadable(delivery, reason)


def refuse(message: Message, reason: str, *, now: datetime) -> None:
    """Keep a row of a delivery that is not correctly signed, at most ``MOST_REFUSED`` a minute."""
    recent = Delivery.objects.filter(
        verdict=Verdict.REFUSED, received_at__gt=now - timedelta(minutes=1)
    )
    is_kept = recent.count() < MOST_REFUSED
    REFUSED.labels(kept="yes" if is_kept else "no").inc()
    logger.warning("delivery refused: %s%s", reason, "" if is_kept else " (no row is kept)")
    if is_kept:
        Delivery.objects.create(
            received_at=now,
            verdict=Verdict.REFUSED,
            reason=clean(reason, 2000),
            key_id=_claimed_key_id(message),
            headers=kept_headers(message),
            size=len(message.body),
        )


def events_in(body: bytes) -> list[object]:
    """Return the events of a body: enveloped, a bare list, or one bare event.

    No digit is lost: what is no whole number stays text. Raises UnreadableBodyError.
    """
    if not body:
        raise UnreadableBodyError("the body is empty")
    try:
        value = json.loads(body, parse_float=str, parse_constant=str, parse_int=_whole_number)
    except RecursionError:
        raise UnreadableBodyError("the body is nested too deeply") from None
    except ValueError as error:  # broken JSON or a broken encoding
        raise UnreadableBodyError(f"the body is not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("payload"), list):
        return list(value["payload"])
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and "type" in value:
        return [value]
    raise UnreadableBodyError("the body is neither {payload: [...]}, a list, nor an event")


def kept_headers(message: Message) -> dict[str, str]:
    """Return the headers that are kept, by lower-case name."""
    kept = {name.lower(): value for name, value in message.headers.items()}
    return {name: clean(kept[name], LONGEST_HEADER) for name in KEPT_HEADERS if kept.get(name)}


def _store(delivery: Delivery, events: Sequence[object]) -> Delivery:
    with transaction.atomic():
        delivery.events = len(events)
        delivery.save(force_insert=True)
        receipt = journal.record_events(events, delivery_id=delivery.pk, now=delivery.received_at)
        if receipt.repeats:
            delivery.repeats = receipt.repeats
            delivery.save(update_fields=["repeats"])
    return delivery


def _store_unreadable(delivery: Delivery, reason: str) -> Delivery:
    logger.error("a correctly signed delivery is unreadable: %s", reason)
    delivery.pk, delivery.events, delivery.repeats = None, 0, 0
    delivery.verdict, delivery.reason = Verdict.UNREADABLE, clean(reason, 2000)
    delivery.save(force_insert=True)
    return delivery


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_INTEGER else text


def _claimed_key_id(message: Message) -> str:
    try:
        return clean(next(iter(key_ids(message)), ""), 64)
    except SignatureError:
        return ""
