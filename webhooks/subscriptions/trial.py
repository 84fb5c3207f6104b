"""Trying a subscription: upstream sends a test event, and we watch our own door for it.

What the test event looks like is not documented: it is one that names the subscription and has a
type of none of the topics that we take. Source: investment-api.md, section 4.5.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from orders import facts, journal
from orders.audit.subjects import Subject
from orders.timeline.durations import duration
from webhooks.body import UnreadableBodyError
from webhooks.models import Delivery, Verdict
from webhooks.reading import events_of
from webhooks.refusals import has_unsigned_come
from webhooks.subscriptions.setup import STEP
from webhooks.subscriptions.wanted import TOPICS

PAUSE = timedelta(milliseconds=250)  # between two looks
MOST = 50  # deliveries read in one look
sleep = time.sleep


@dataclass(frozen=True, slots=True)
class Trial:
    """What a test came to within ``waited``."""

    waited: timedelta
    delivery_id: int | None = None  # the one that brought the test event
    type: str = ""
    others: int = 0  # deliveries of the subscription without a test event
    refused: int = 0  # deliveries refused meanwhile: perhaps the test's
    reason: str = ""  # why the last of them was
    is_unsigned: bool = False  # whether one without any signature came meanwhile

    @property
    def is_passed(self) -> bool:
        """Return whether something of the subscription came: its way to us is open."""
        return bool(self.delivery_id or self.others)

    @property
    def sentence(self) -> str:
        """Return the result as people read it."""
        if self.delivery_id:
            return (
                f"The test event {self.type or 'without a type'} arrived after {duration(self.waited)}, "
                f"in delivery {self.delivery_id}."
            )
        said = f"No test event arrived within {duration(self.waited)}."
        if self.others:
            return f"{said} Other events of the subscription did, so the connection works."
        if self.refused:
            times = "once" if self.refused == 1 else f"{self.refused} times, the last time"
            return f"{said} Meanwhile a delivery was refused {times}: {self.reason}."
        if self.is_unsigned:
            return (
                f"{said} Meanwhile a request without a signature was refused: "
                "does a proxy drop the headers Signature and Signature-Input?"
            )
        return f"{said} It may still arrive; if not, check that the URL is right and the broker can reach it."


def test(webhook_id: UUID, *, patience: timedelta, actor: str) -> Trial:
    """Have upstream send a test event and wait for it, ``patience`` at most. Raises InvestmentAPIError."""
    began = timezone.now()
    last = Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        api().test_subscription(webhook_id)
    except InvestmentAPIError as error:
        _record(f"Testing subscription {webhook_id} failed: {error}.", actor, webhook_id)
        raise
    trial = _wait(webhook_id, last, patience, began=began)
    _record(f"Tested subscription {webhook_id}. {trial.sentence}", actor, webhook_id)
    return trial


def _wait(webhook_id: UUID, last: int, patience: timedelta, *, began: datetime) -> Trial:
    seen: dict[int, str | None] = {}
    for number in range(patience // PAUSE + 1):
        if number:
            sleep(PAUSE.total_seconds())
        came = _test_event(webhook_id, last, seen)
        if came:
            pk, type_ = came
            return Trial(number * PAUSE, delivery_id=pk, type=type_)
    rows = Delivery.objects.filter(pk__gt=last, verdict=Verdict.REFUSED)
    reasons = list(rows.order_by("-pk").values_list("reason", flat=True)[:MOST])
    return Trial(
        patience,
        others=sum(type_ is not None for type_ in seen.values()),
        refused=len(reasons),
        reason=reasons[0] if reasons else "",
        is_unsigned=has_unsigned_come(began),
    )


def _test_event(webhook_id: UUID, last: int, seen: dict[int, str | None]) -> tuple[int, str] | None:
    """Return delivery and type of a test event among those not ``seen``, and note them there."""
    rows = Delivery.objects.filter(pk__gt=last).exclude(verdict=Verdict.REFUSED)
    for delivery in rows.exclude(pk__in=list(seen)).order_by("pk")[:MOST]:
        types = _types(delivery, webhook_id)
        seen[delivery.pk] = types[0] if types else None
        for type_ in types:
            if type_.partition(".")[0] not in TOPICS:
                return delivery.pk, type_
    return None


def _types(delivery: Delivery, webhook_id: UUID) -> list[str]:
    """Return the types of the events of a delivery that name the subscription."""
    try:
        events = events_of(delivery)
    except UnreadableBodyError:
        return []
    return [
        facts.type_of(event)
        for event in events
        if isinstance(event, dict) and str(event.get("webhook_id")).lower() == str(webhook_id)
    ]


def _record(message: str, actor: str, about: UUID) -> None:
    subject = Subject("subscription", str(about))
    journal.record_step(message, actor=actor, now=timezone.now(), type_=STEP, subject=subject)
