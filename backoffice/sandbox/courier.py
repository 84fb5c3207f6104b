"""Carries events to the subscribers: one lane for each, every attempt signed anew."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import urlsplit
from uuid import uuid4

from backoffice.http_signatures import Message, Version, sign

from .answers import ProblemError
from .faults import FaultPlan
from .keys import KeySet
from .lane import Lane, envelope
from .objects import Event
from .subscriptions import Subscription, Subscriptions

CLEAN_UP_AFTER = timedelta(days=30)
TIMEOUT = 10.0
"""Seconds an attempt may take; upstream's own limit is not documented."""
NOBODY = "5b0c2a4e-6f0d-4d6a-9a51-0d7c0a0f3e11"
"""The subscription of what was delivered before there was one."""


class Courier:
    """Delivers events. Thread-safe; ``faults`` may be replaced at any time and holds for new events."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        *,
        keys: KeySet,
        clock: Callable[[], datetime],
        faults: FaultPlan,
        pace: float,
    ) -> None:
        self.faults = faults
        self._subscriptions = subscriptions
        self._keys = keys
        self._clock = clock
        self._pace = pace
        self._lock = Lock()
        self._lanes: dict[str, Lane] = {}
        self._is_ending = False
        self._under_way: set[http.client.HTTPConnection] = set()

    def accept(self, events: Iterable[Event]) -> None:
        """Queue ``events`` for all who subscribed to them, as the fault plan has it."""
        wanted = self._subscriptions.all()
        for event in events:
            holds = self.faults.treatment(event).holds
            for subscription in wanted:
                if subscription.wants(event):
                    for hold in holds:
                        self.lane(subscription).add(event, from_=event.created_at + hold)

    def test(self, subscription: Subscription) -> None:
        """Queue a test event, whether the subscription is enabled or not."""
        now = self._clock()
        event = Event(str(uuid4()), now, "WEBHOOK.TEST", {"id": subscription.id})
        self.lane(subscription).add(event, from_=now)

    def lane(self, subscription: Subscription) -> Lane:
        """Return the lane of a subscription, made when first asked for."""
        with self._lock:
            lane = self._lanes.setdefault(subscription.id, Lane(subscription, pace=self._pace))
            lane.subscription = subscription
            return lane

    def lanes(self) -> list[Lane]:
        """Return the lanes of the subscriptions that there are now; others are forgotten."""
        with self._lock:
            held = {subscription.id: subscription for subscription in self._subscriptions.all()}
            self._lanes = {key: lane for key, lane in self._lanes.items() if key in held}
            for key, lane in self._lanes.items():
                lane.subscription = held[key]
            return list(self._lanes.values())

    def pending(self) -> int:
        """Return how many events are still to be delivered."""
        return sum(lane.pending() for lane in self.lanes())

    def next_at(self) -> datetime | None:
        """Return when there is something to deliver next; None if nothing is queued."""
        return min((at for lane in self.lanes() if (at := lane.next_at())), default=None)

    def clean_up(self, now: datetime) -> None:
        """Delete the subscriptions that have failed for 30 days in a row, as upstream's sandbox does."""
        for lane in self.lanes():
            if lane.failing_since and now - lane.failing_since >= CLEAN_UP_AFTER:
                with suppress(ProblemError):  # somebody else was faster
                    self._subscriptions.delete(lane.subscription.id)

    def deliver(self, lane: Lane) -> None:
        """Send what is due in ``lane``. Blocks while the receiver takes its time."""
        lane.deliver(self._clock, self._send)

    def hang_up(self) -> None:
        """Send no more, and end the attempts under way: the receiver may or may not have got them."""
        with self._lock:
            self._is_ending = True
            for connection in self._under_way:
                if connection.sock is not None:
                    with suppress(OSError):  # it may be closed already
                        connection.sock.shutdown(socket.SHUT_RDWR)

    def _send(self, url: str, body: bytes) -> str:
        parts = urlsplit(url)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        https = parts.scheme == "https"
        connect = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT)
        with self._lock:
            if self._is_ending:
                return "not sent: the sandbox is ending"
            self._under_way.add(connection)
        try:
            connection.request("POST", target, body, self._signed(path, parts.query, body))
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
            with self._lock:
                self._under_way.discard(connection)

    def message(self, path: str, events: Iterable[Event], *, at: datetime) -> Message:
        """Return a delivery of ``events`` as it was posted to ``path`` at a moment of the past."""
        body = envelope(json.dumps(event.document(NOBODY)).encode() for event in events)
        headers = self._signed(path, "", body, created=at)
        return Message("POST", path, "", headers, body)

    def _signed(
        self, path: str, query: str, body: bytes, *, created: datetime | None = None
    ) -> dict[str, str]:
        headers = {
            "accept": "application/json",
            "content-length": str(len(body)),
            "content-type": "application/json",
        }
        key_id, key = self._keys.current()
        # Signed by the machine's clock, not the market's: the receiver judges the age by its own.
        added = sign(
            Message("POST", path, query, headers, body),
            key=key,
            key_id=key_id,
            created=int(created.timestamp() if created else time.time()),
            nonce=uuid4().hex,
            version=Version.V6,
        )
        return {**headers, **added, "user-agent": "sandbox-courier"}
