"""What happened before the demo was started: signed deliveries, stored and applied as if they had come then.

They go the way of all deliveries: signature, inbox, journal, projection. Only the clock is another.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from backoffice.http_signatures import Message, public_key_from_jwk, verify
from backoffice.sandbox import Sandbox
from backoffice.sandbox.objects import Event
from orders import projection
from webhooks import inbox

PATH = "/webhooks/investment-api"
WAY = timedelta(milliseconds=700)  # of an event to us
GATHERED = timedelta(seconds=3)  # in one delivery
PORTION = 60  # deliveries that are applied together

Arrival = tuple[datetime, int, Event]


def tell(sandbox: Sandbox, events: Iterable[Event], *, now: datetime) -> None:
    """Deliver past events as the broker would have delivered them by ``now``."""
    document = sandbox.keys.document(sandbox.clock())
    keys = {jwk["kid"]: public_key_from_jwk(jwk) for jwk in document["keys"]}
    packages = list(_packages(sandbox, events, now=now))
    for begin in range(0, len(packages), PORTION):
        portion = packages[begin : begin + PORTION]
        with transaction.atomic():
            for package in portion:
                at, message = _delivery(sandbox, package)
                inbox.receive(message, signature=verify(message, keys.get), now=at)
        projection.drain(now=portion[-1][-1][0])


def _packages(
    sandbox: Sandbox, events: Iterable[Event], *, now: datetime
) -> Iterator[Sequence[Arrival]]:
    """Return the events of each delivery with the moments at which they arrived, the oldest first."""
    arrivals: list[Arrival] = [
        (min(event.created_at + hold + WAY, now), number, event)
        for number, event in enumerate(events)
        for hold in sandbox.courier.faults.treatment(event).holds
    ]
    package: list[Arrival] = []
    for arrival in sorted(arrivals, key=lambda it: it[:2]):
        if package and arrival[0] > package[0][0] + GATHERED:
            yield package
            package = []
        package.append(arrival)
    if package:
        yield package


def _delivery(sandbox: Sandbox, package: Sequence[Arrival]) -> tuple[datetime, Message]:
    at = package[-1][0]
    return at, sandbox.courier.message(PATH, [event for _, _, event in package], at=at)
