"""Trying a subscription: upstream sends a test event, and we watch our own door for it.

What the test event looks like is not documented: it is one that names the subscription and has a
type of none of the topics that we take. Source: investment-api.md, section 4.5.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from orders import facts, journal
from orders.timeline.durations import duration
from webhooks.inbox import UnreadableBodyError, events_in
from webhooks.models import Delivery, Verdict
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

    @property
    def is_passed(self) -> bool:
        """Return whether something of the subscription came: its way to us is open."""
        return bool(self.delivery_id or self.others)

    @property
    def sentence(self) -> str:
        """Return the result as people read it."""
        if self.delivery_id:
            return (
                f"The test event {self.type or 'without a type'} came after {duration(self.waited)}, "
                f"with delivery {self.delivery_id}."
            )
        said = f"No test event came within {duration(self.waited)}."
        if self.others:
            return f"{said} Other events of the subscription did, so its way to us is open."
        if self.refused:
            times = "once" if self.refused == 1 else f"{self.refused} times"
            return (
                f"{said} Meanwhile a delivery was refused {times}: the list of deliveries says why."
            )
        return f"{said} It may still be on its way; if not, is the address right and open to the broker?"


def test(webhook_id: UUID, *, patience: timedelta, actor: str) -> Trial:
    """Have upstream send a test event and wait for it, ``patience`` at most. Raises InvestmentAPIError."""
    last = Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        api().test_subscription(webhook_id)
    except InvestmentAPIError as error:
        _record(f"Testing subscription {webhook_id} failed: {error}.", actor)
        raise
    trial = _wait(webhook_id, last, patience)
    _record(f"Tested subscription {webhook_id}. {trial.sentence}", actor)
    return trial


def _wait(webhook_id: UUID, last: int, patience: timedelta) -> Trial:
    seen: dict[int, str | None] = {}
    for number in range(patience // PAUSE + 1):
        if number:
            sleep(PAUSE.total_seconds())
        came = _test_event(webhook_id, last, seen)
        if came:
            pk, type_ = came
            return Trial(number * PAUSE, delivery_id=pk, type=type_)
    refused = Delivery.objects.filter(pk__gt=last, verdict=Verdict.REFUSED).count()
    others = sum(type_ is not None for type_ in seen.values())
    return Trial(patience, others=others, refused=refused)


def _test_event(webhook_id: UUID, last: int, seen: dict[int, str | None]) -> tuple[int, str] | None:
    """Return delivery and type of a test event among those not ``seen``, and note them there."""
    rows = Delivery.objects.filter(pk__gt=last).exclude(verdict=Verdict.REFUSED)
    new = rows.exclude(pk__in=list(seen)).order_by("pk").values_list("pk", "body")[:MOST]
    for pk, body in new:
        types = _types(bytes(body or b""), webhook_id)
        seen[pk] = types[0] if types else None
        for type_ in types:
            if type_.partition(".")[0] not in TOPICS:
                return pk, type_
    return None


def _types(body: bytes, webhook_id: UUID) -> list[str]:
    """Return the types of the events of a body that name the subscription."""
    try:
        events = events_in(body)
    except UnreadableBodyError:
        return []
    return [
        facts.type_of(event)
        for event in events
        if isinstance(event, dict) and str(event.get("webhook_id")).lower() == str(webhook_id)
    ]


def _record(message: str, actor: str) -> None:
    journal.record_step(message, actor=actor, now=timezone.now(), type_=STEP)
