"""Scenes for the screens: what happened at a desk, told by signed deliveries and answers at their moments."""

import random
from datetime import timedelta
from itertools import groupby
from uuid import UUID

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.investment_api.answers import Answer
from orders import journal, projection
from orders.asking import asks
from orders.asking.leases import POLLER
from orders.lifecycle import Kind
from orders.models import Cancellation, PortfolioOrder
from orders.placing.placing import place
from orders.placing.wish import read_wish
from orders.reconciliation import runs
from orders.reconciliation.models import Scope
from tests.signed import envelope, post, publish
from tests.stories import START, at, event, named, order, portfolio_order
from webhooks.models import Subscription

INSTRUMENTS = [
    "IE00B8GKDB10", "DE0008404005", "IE00BK5BQT80", "IE00BKM4GZ66", "FR0000120271",
    "DE0007236101", "US67066G1040", "GB0009895292",
]  # fmt: skip
WISH = {
    "user_id": "4e97711f-794d-49c7-8fd1-df96532ab6f0",
    "account_id": "840def04-f711-4274-b381-f20c93f39362",
    "cash_amount": "2500.00",
    "currency": "EUR",
    "side": "BUY",
    "post_tax": "false",
}
RECOVERED = UUID(named("recovered"))
SHOWN = START + timedelta(hours=1, minutes=32)  # when people look at the scenes
FIRST_WEBHOOK = -7 * 86_400
SUBSCRIBED = {
    "id": named("subscribed"),
    "created_at": at(FIRST_WEBHOOK),
    "type": "WEBHOOK.TEST",
    "object": {"id": named("subscription")},
}
WAY = 1.2  # seconds that a webhook usually takes


class Desk:
    """A desk to which things happen, each at its moment (seconds after START)."""

    def __init__(self, traveller):
        self._traveller = traveller
        self._client = Client()
        self._truth = {}
        # Webhooks are expected of what was placed after the first that ever came.
        self.receive(FIRST_WEBHOOK, SUBSCRIBED)

    def go(self, seconds):
        """Make it so many seconds after START."""
        self._traveller.move_to(START + timedelta(seconds=seconds), tick=False)

    def receive(self, seconds, *events):
        """Have upstream deliver events, and apply them."""
        self.go(seconds)
        publish()
        assert post(self._client, envelope(*events)).status_code == 200
        self._truth |= {it["object"]["id"]: it["object"] for it in events if "object" in it}
        projection.drain(now=timezone.now())

    def poll(self, seconds, *answers):
        """Have the poller ask about objects, (kind, what upstream says), and apply its answers."""
        self.go(seconds)
        for kind, said in answers:
            row = (kind, UUID(said["id"]))
            answer = Answer(said, named(f"request {said['id']}"), 200, timedelta(seconds=0.1))
            asks.record(asks.Reply(*row, POLLER, answer=answer), row=row)
        projection.drain(now=timezone.now())

    def poll_what_is_due(self, seconds):
        """Have the poller ask about what is due; upstream has nothing new."""
        self.go(seconds)
        due = PortfolioOrder.objects.due(now=timezone.now())
        known = [self._truth[str(row.pk)] for row in due if str(row.pk) in self._truth]
        self.poll(seconds, *((Kind.PORTFOLIO_ORDER, said) for said in known))


def child(number, status, seconds, *, of, **more):
    """Return an order of a portfolio order, the ``number``-th; each has an instrument of its own."""
    name = f"{of} {number}"
    if status == "FILLED":
        more["executions"] = [(f"{name} trade", "FILLED")]
    return order(
        name,
        status,
        seconds,
        parent=of,
        instrument_id=INSTRUMENTS[number % len(INSTRUMENTS)],
        **more,
    )


def listing(of, statuses):
    return [(f"{of} {number}", status) for number, status in enumerate(statuses)]


def recovered(desk):
    """Tell a portfolio order of eight orders; one webhook repeated, one late, three lost and found by a poll.

    So the desk was wrong about it for a while, and says for how long.
    """
    of, amount = "recovered", {"cash_amount": "2500.00"}
    new = [8 + 0.25 * number for number in range(8)]
    begun = [78, 93, 95, 99, 104, 112, 90, 86]
    filled = [126, 127, 146, 181, 189, 205, 409, 438]
    lost, late = {("FILLED", 2), ("FILLED", 3)}, ("FILLED", 4)
    parent = portfolio_order(name=of, **amount)
    started = portfolio_order(
        "PROCESSING", 79, listing(of, ["PROCESSING"] + ["NEW"] * 7), of, **amount
    )
    happened = [(0.0, event("PORTFOLIO_ORDER.NEW", parent))]
    happened += [(79.0, event("PORTFOLIO_ORDER.PROCESSING", started))]
    for status, moments in (("NEW", new), ("PROCESSING", begun), ("FILLED", filled)):
        for n, moment in enumerate(moments):
            if (status, n) not in lost:
                told = event(f"ORDER.{status}", child(n, status, moment, of=of))
                happened.append((moment + 401 if (status, n) == late else moment, told))
    happened.append((12, happened[2 + 3][1]))
    happened.sort(key=lambda each: each[0])
    for n, (moment, told) in enumerate(happened):
        desk.receive(moment + 0.6 + n % 5 * 0.4, told)
    final = portfolio_order("FILLED", 439, listing(of, ["FILLED"] * 8), of, **amount)
    desk.poll(
        seconds_until_check(RECOVERED),
        (Kind.PORTFOLIO_ORDER, final),
        *((Kind.ORDER, child(n, "FILLED", filled[n], of=of)) for _, n in sorted(lost)),
    )


def seconds_until_check(pk):
    """Return when the desk asks about a portfolio order by itself, in seconds after START."""
    return (PortfolioOrder.objects.get(pk=pk).check_after - START).total_seconds()


def busy_day(desk, *, count, until, seed=7):
    """Tell the last 24 hours before ``until`` (seconds after START): portfolio orders of every kind."""
    rng = random.Random(seed)
    happened = []
    for number in range(count):
        # Older ones first; more and more towards the end.
        begin = until - 86_400 * (1 - number / count) ** 2 - 30
        happened += life(f"day {number}", begin, rng, fate=number % 10)
    happened.sort(key=lambda each: each[0])
    for seconds, each in groupby(happened, key=lambda each: each[0]):
        desk.receive(seconds + WAY, *(it for _, it in each))


def life(name, begin, rng, *, fate):
    """Return (second, event) of one portfolio order; ``fate`` decides how far it gets."""
    size = rng.randint(3, 12)
    fixed = {
        "created_at": at(begin),
        "type": "SELL" if fate == 4 else "BUY",
        "cash_amount": rng.choice(["100.00", "250.00", "1000.00", "2500.00", "5000.00"]),
    }
    done = {0: size - 2, 1: 0, 2: size // 2}.get(fate, size)
    last = {3: "CANCELLED", 5: "SETTLED"}.get(fate, "FILLED")
    moments = [begin, begin + 60, begin + 90 + rng.randint(60, 400)]

    def whole(status, seconds, statuses=(), **more):
        listed = listing(name, statuses)
        upstream = portfolio_order(status, seconds, listed, name, **(fixed | more))
        return seconds, event(f"PORTFOLIO_ORDER.{status}", upstream)

    def parts(status, seconds, numbers, **more):
        more |= {"created_at": at(begin + 1)}
        return [
            (seconds, event(f"ORDER.{status}", child(n, status, seconds, of=name, **more)))
            for n in numbers
        ]

    told = [whole("NEW", moments[0]), *parts("NEW", moments[0], range(size if done else 0))]
    if done:
        told += [
            *parts("PROCESSING", moments[1], range(size)),
            whole("PROCESSING", moments[1], ["PROCESSING"] * size),
        ]
    if last == "CANCELLED":
        reason = {"cancellation_reason": "CANCELLED_BY_TRADING_PARTNER"}
        told += parts("CANCELLED", moments[2], range(size), **reason)
        told.append(whole("CANCELLED", moments[2], ["CANCELLED"] * size, **reason))
    elif done:
        told += parts("FILLED", moments[2], range(done))
        if done == size:
            told.append(whole("FILLED", moments[2], ["FILLED"] * size))
    if last == "SETTLED":
        told.append(whole("SETTLED", moments[2] + 30, ["FILLED"] * size))
    return told


def oddities(desk, seconds):
    """Tell what should not happen: an unknown status, an event without an object, a refused delivery."""
    odd = portfolio_order("SUSPENDED", seconds, name="odd", created_at=at(seconds))
    desk.receive(seconds + WAY, event("PORTFOLIO_ORDER.SUSPENDED", odd))
    desk.receive(
        seconds + WAY, {"id": named("bad"), "type": "ORDER.NEW", "created_at": at(seconds)}
    )
    Client().post(
        "/webhooks/investment-api",
        b"{}",
        content_type="application/json",
        headers={"signature": "sig1=:AA==:"},
    )


def furnish(desk, count=7):
    """Tell a bit of everything, with so many portfolio orders in the last day, and make it SHOWN."""
    until = (SHOWN - START).total_seconds()
    busy_day(desk, count=count, until=until - 600)
    recovered(desk)
    desk.poll_what_is_due(until - 180)
    oddities(desk, until - 120)
    desk.go(until)
    journal.record_note(
        Kind.PORTFOLIO_ORDER, RECOVERED, "Told the client.", actor="mira", now=timezone.now()
    )


def add_the_rest():
    """Add a row of everything that no delivery makes: a placement, a reconciliation, a person with two devices."""
    now = timezone.now()
    place(read_wish(WISH), actor="mira", key=UUID(int=1))
    runs.start(Scope.OPEN, actor="mira", now=now)
    Cancellation.objects.create(portfolio_order_id=RECOVERED, requested_at=now, state="READY")
    Subscription.objects.create(id=UUID(int=2), title="Ours", seen_at=now)
    ada = User.objects.create_user("ada", password="x", is_staff=True)
    TOTPDevice.objects.create(user=ada, name="phone")
    StaticDevice.objects.create(user=ada, name="paper").token_set.create(token="1")
