"""The day before the demo was started, and one example of each case that staff have to deal with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from django.contrib.auth import get_user_model
from django.utils import timezone

from backoffice.demo import COLLEAGUE
from backoffice.investment_api.errors import UnavailableError
from backoffice.sandbox import Sandbox, Speed
from backoffice.sandbox.fates import PortfolioOrderFate, seeded
from backoffice.sandbox.objects import Event, timestamp
from backoffice.sandbox.placements import Placement as Placing
from orders.lifecycle import MISTRADE
from orders.models import (
    JournalEntry,
    Order,
    Outcome,
    Placement,
    PlacementState,
    PortfolioOrder,
    Reconciliation,
)
from orders.placing import attempts, concluding, placing
from orders.placing.wish import Wish
from orders.reconciliation import runs
from orders.reconciliation.models import Scope
from webhooks.demo import past
from webhooks.models import Delivery

COUNT = 45  # portfolio orders of the day, some 300 orders
DAY = timedelta(hours=24)
# Quick, so that all but the newest have settled: the demo calls an order stale after minutes.
SPEED = Speed(timedelta(seconds=4), timedelta(seconds=12), timedelta(seconds=60))
NEVER = timedelta(days=3650)
SINCE, UNTIL = timedelta(hours=6), timedelta(hours=4)  # what the reconciliation compares
STALE, CONFLICT, REVERSED, MISSED = "DEMO-STALE", "DEMO-CONFLICT", "DEMO-MISTRADE", "DEMO-MISSED"


def furnish(sandbox: Sandbox) -> None:
    """Tell the day, unless the desk has had deliveries before, and every example that is not there."""
    now = timezone.now()
    sandbox.courier.accept(sandbox.market.advance(now))  # of an earlier run: nobody subscribes yet
    if not Delivery.objects.exists():
        rng = seeded("day")
        for number in range(COUNT):
            at = now - DAY * (1 - (number + rng.random()) / COUNT) - timedelta(minutes=2)
            sandbox.market.place_some(1, now=at, speed=SPEED)
    wanted = [example for example in EXAMPLES if not example.is_there()]
    makers = [example.make(sandbox, now) for example in wanted]
    happened = sorted(sandbox.market.advance(now), key=lambda event: event.created_at)
    told = [event for make in makers for event in make(happened)]
    past.tell(sandbox, _announced(happened, told), now=now)
    for example in wanted:
        example.finish(now)


Maker = Callable[[Sequence[Event]], Sequence[Event]]  # of further events, once all has happened


def _nothing(_: Sequence[Event]) -> Sequence[Event]:
    return ()


@dataclass(frozen=True, slots=True)
class Example:
    """A case that the demo always shows; ``finish`` is what the desk does about it afterwards."""

    is_there: Callable[[], bool]
    make: Callable[[Sandbox, datetime], Maker]
    finish: Callable[[datetime], None] = lambda _: None


def _place(
    sandbox: Sandbox,
    reference: str,
    *,
    at: datetime,
    amount: str = "1500.00",
    shape: Callable[[PortfolioOrderFate], PortfolioOrderFate] | None = None,
) -> str:
    """Place an ordinary portfolio order at the broker, not by this desk; return its id."""
    user, account = (str(uuid5(NAMESPACE_OID, f"{reference} {it}")) for it in ("user", "account"))
    order = Placing(user, account, amount, client_reference=reference)
    placed = sandbox.market.place(order, now=at, speed=SPEED, is_ordinary=True, shape=shape)
    return str(placed["id"])


def _has(reference: str, **more: object) -> bool:
    return PortfolioOrder.objects.filter(client_reference=reference, **more).exists()


def _stale(sandbox: Sandbox, now: datetime) -> Maker:
    """Place an order that the broker accepts and never works."""
    at = now - timedelta(minutes=50)
    _place(sandbox, STALE, at=at, shape=lambda fate: replace(fate, accepts=NEVER))
    return _nothing


def _mistrade(sandbox: Sandbox, now: datetime) -> Maker:
    """Place an order of which one execution is cancelled after the fill."""

    def shape(fate: PortfolioOrderFate) -> PortfolioOrderFate:
        first = replace(fate.orders[0], mistrade=True)
        return replace(fate, orders=(first, *fate.orders[1:]))

    _place(sandbox, REVERSED, at=now - timedelta(hours=3), shape=shape)
    return _nothing


def _conflict(sandbox: Sandbox, now: datetime) -> Maker:
    """Place an order that the broker fills, and of which it announces afterwards that it was cancelled."""
    at = now - timedelta(hours=2)
    pk = _place(sandbox, CONFLICT, at=at, shape=lambda fate: replace(fate, settles=NEVER))

    def announce(_: Sequence[Event]) -> Sequence[Event]:
        filled = sandbox.market.portfolio_order(pk)
        later = datetime.fromisoformat(filled["updated_at"]) + timedelta(seconds=20)
        said = {**filled, "status": "CANCELLED", "updated_at": timestamp(later)}
        event_id = str(uuid5(UUID(pk), "PORTFOLIO_ORDER.CANCELLED"))
        return [Event(event_id, later, "PORTFOLIO_ORDER.CANCELLED", said)]

    return announce


def _quarantined(_: Sandbox, now: datetime) -> Maker:
    """Have an event sent that names no order."""
    event = Event(str(uuid4()), now - timedelta(minutes=20), "ORDER.FILLED", {"id": "none"})
    return lambda _: [event]


def _missed(sandbox: Sandbox, now: datetime) -> Maker:
    """Place two orders of which no webhook ever came."""
    for minutes in (40, 70):
        _place(sandbox, MISSED, at=now - UNTIL - timedelta(minutes=minutes))
    return _nothing


def _announced(happened: Sequence[Event], told: Sequence[Event]) -> Sequence[Event]:
    """Return the events that reach the desk: all but those of the orders it is never told of."""
    silent = {
        event.number for event in happened if event.object.get("client_reference") == MISSED
    } - {0}
    return [event for event in (*happened, *told) if event.number not in silent]


def _reconcile(now: datetime) -> None:
    runs.start(Scope.WINDOW, actor=COLLEAGUE, now=now, since=now - SINCE, until=now - UNTIL)


def _unanswered(sandbox: Sandbox, now: datetime) -> Maker:
    """Have a colleague place an order a day ago that the broker took without an answer."""
    at = now - timedelta(hours=25)
    colleague = get_user_model().objects.get_by_natural_key(COLLEAGUE)
    user, account = (uuid5(NAMESPACE_OID, f"unanswered {it}") for it in ("user", "account"))
    wish = Wish(user, account, "1500.00", "EUR", "BUY")
    placement = placing.place(wish, actor=COLLEAGUE, actor_id=colleague.pk, now=at)
    attempt = attempts.begin(placement.pk, actor=COLLEAGUE, now=at)
    if attempt is not None:
        error = UnavailableError("POST /portfolios/orders: no answer in time")
        concluding.fail(attempt, error, now=at + timedelta(seconds=10))
    order = Placing(str(user), str(account), wish.cash_amount)
    at += timedelta(seconds=1)
    sandbox.market.place(order, now=at, speed=SPEED, is_ordinary=True)
    return _nothing


def _proposed(sandbox: Sandbox, now: datetime) -> Maker:
    """Have a colleague propose an order that is large enough to need a second person."""
    colleague = get_user_model().objects.get_by_natural_key(COLLEAGUE)
    known = next(
        it
        for it in sandbox.market.portfolio_orders()
        if (it["type"], it["currency"]) == ("BUY", "EUR")
    )
    wish = Wish(UUID(known["user_id"]), UUID(known["account_id"]), "60000.00", "EUR", "BUY")
    at = now - timedelta(minutes=12)
    placing.place(wish, actor=COLLEAGUE, actor_id=colleague.pk, now=at)
    return _nothing


EXAMPLES = (
    Example(lambda: _has(STALE, status="NEW"), _stale),
    Example(lambda: Order.objects.filter(problems=MISTRADE).exists(), _mistrade),
    Example(lambda: _has(CONFLICT, problems__gt=0), _conflict),
    Example(
        lambda: JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).exists(), _quarantined
    ),
    Example(lambda: Placement.objects.filter(state=PlacementState.UNKNOWN).exists(), _unanswered),
    Example(lambda: Placement.objects.filter(state=PlacementState.PROPOSED).exists(), _proposed),
    Example(Reconciliation.objects.exists, _missed, _reconcile),
)
