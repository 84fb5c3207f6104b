"""The stand-in upstream for tests of what asks it: served over HTTP, on a clock that stands still until moved."""

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.utils import timezone

from backoffice.investment_api.breaker import Breaker
from backoffice.sandbox import Sandbox, Speed
from backoffice.sandbox.placements import OrderPlacement, Placement
from orders import journal, projection

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEY = ed25519.Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
SPEED = Speed(timedelta(seconds=10), timedelta(minutes=5), timedelta(hours=2))


class Upstream(Sandbox):
    """A sandbox that counts the calls of its API, and can do something during one."""

    def __init__(self, traveller, **options):
        super().__init__(clock=timezone.now, speed=SPEED, oddities=0.0, **options)
        self.calls = []
        self.queries = []
        self.during = None
        self._traveller = traveller

    def answer(self, message):
        if message.path != "/auth/token":
            self.calls.append(f"{message.method} {message.path}")
            self.queries.append(parse_qs(message.query))
            if self.during:
                self.during(message.path)
        return super().answer(message)

    def asked(self):
        """Return the calls since this was last asked."""
        calls, self.calls = self.calls, []
        return calls

    def since(self):
        """Return the beginning of the time that was last asked about."""
        return datetime.fromisoformat(self.queries[-1]["start_date"][0])

    def place(self):
        """Place a portfolio order; return its id."""
        placement = Placement(str(uuid4()), str(uuid4()), "1000.00")
        return UUID(self.market.place(placement, now=timezone.now())["id"])

    def place_order(self, **more):
        """Place a single order; return its id."""
        placement = OrderPlacement(str(uuid4()), str(uuid4()), "100.00", "IE00B3XXRP09", **more)
        return UUID(self.market.place_order(placement, now=timezone.now())["id"])

    def wait(self, **length):
        """Let time pass; return the events of that time."""
        self._traveller.shift(timedelta(**length))
        return self.events()

    def pass_time(self, length):
        """Move the clock alone, as while something hangs."""
        self._traveller.shift(length)

    def events(self):
        """Return the events since this was last asked, as they would be delivered."""
        events = self.market.advance(timezone.now())
        return [event.document("9c0f2d0e-0a4e-4f0e-8d0c-2f6d3a1b5e77") for event in events]

    def deliver(self, seconds=0.0):
        """Let time pass, and deliver what is due to who subscribed; of use in place of a sleep."""
        self._traveller.shift(timedelta(seconds=seconds))
        self.step()

    def truth(self, pk):
        """Return a portfolio order as upstream has it."""
        return self.market.portfolio_order(str(pk))


@contextmanager
def running(settings):
    """Serve an upstream, with our settings leading to it; the machine's clock stands at START."""
    client_id, key_id = str(uuid4()), str(uuid4())
    with time_machine.travel(START, tick=False) as traveller:
        upstream = Upstream(
            traveller,
            client_id=client_id,
            client_secret="a secret",
            client_key_id=key_id,
            client_public_key=KEY.public_key(),
        )
        settings.INVESTMENT_API_CLIENT_ID = client_id
        settings.INVESTMENT_API_CLIENT_SECRET = "a secret"
        settings.INVESTMENT_API_KEY_ID = key_id
        settings.INVESTMENT_API_PRIVATE_KEY = PEM
        settings.INVESTMENT_API_MAX_RPS = 1000
        settings.INVESTMENT_API_URL = upstream.serve()
        # A breaker of real time would stay open while the tests move the clock by hours.
        with mock.patch.dict(Breaker.__init__.__kwdefaults__, clock=time.time):
            try:
                yield upstream
            finally:
                upstream.stop()


def receive(events):
    """Record events as one delivery, and apply them."""
    now = timezone.now()
    delivery_id = int(now.timestamp() * 1000)
    journal.record_events(events, delivery_id=delivery_id, now=now)
    projection.drain(now=now)
