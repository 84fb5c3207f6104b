"""What orders are placed with, and the order that comes of it."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from uuid import NAMESPACE_OID, uuid5

from . import amounts
from .fates import identifier, order_fate, portfolio_order_fate, seeded
from .objects import Order, PortfolioOrder
from .speed import Speed

_AMOUNTS = (
    "25.00",
    "50",
    "100.00",
    "250.00",
    "499.99",
    "1000",
    "1000.00",
    "1234.56",
    "7500.00",
    "18000.00",
)
_ACCOUNTS = 40


@dataclass(frozen=True, slots=True)
class Placement:
    """What a portfolio order is placed with."""

    user_id: str
    account_id: str
    cash_amount: str
    currency: str = "EUR"
    type: str = "BUY"
    post_tax: bool = False
    initiation_flow: str = "API"
    client_reference: str = ""

    def portfolio_order(
        self,
        number: int,
        rng: Random,
        *,
        speed: Speed,
        oddities: float,
        at_least: int,
        at: datetime,
    ) -> PortfolioOrder:
        """Return the new portfolio order, its fate drawn from ``rng``."""
        new_id = identifier(rng)
        invested = amounts.cents(self.cash_amount)
        if not invested:  # a rebalancing names no amount
            invested = rng.randint(50_000, 500_000)
        fate = portfolio_order_fate(
            rng,
            speed,
            own_id=new_id,
            kind=self.type,
            cents=invested,
            oddities=oddities,
            at_least=at_least,
        )
        return PortfolioOrder(
            id=new_id,
            number=number,
            user_id=self.user_id,
            account_id=self.account_id,
            allocation_id=str(uuid5(NAMESPACE_OID, self.account_id)),
            created_at=at,
            updated_at=at,
            cash_amount=self.cash_amount,
            currency=self.currency,
            type=self.type,
            fate=fate,
            post_tax=self.post_tax,
            client_reference=self.client_reference,
            initiation_flow=self.initiation_flow,
        )


@dataclass(frozen=True, slots=True)
class OrderPlacement:
    """What a single order is placed with; LIMIT and STOP orders rest until they are cancelled."""

    user_id: str
    account_id: str
    cash_amount: str
    instrument_id: str
    currency: str = "EUR"
    side: str = "BUY"
    order_type: str = "MARKET"
    quantity: str = "0"
    limit_price: str = ""
    stop_price: str = ""
    client_reference: str = ""
    initiation_flow: str = "API"

    def order(self, rng: Random, *, speed: Speed, oddities: float, at: datetime) -> Order:
        """Return the new order, its fate drawn from ``rng``."""
        fate = order_fate(
            rng,
            speed,
            side=self.side,
            cents=amounts.cents(self.cash_amount) or 1,
            instrument_id=self.instrument_id,
            oddities=oddities,
        )
        return Order(
            id=fate.id,
            user_id=self.user_id,
            account_id=self.account_id,
            created_at=at,
            updated_at=at,
            cash_amount=self.cash_amount,
            currency=self.currency,
            side=self.side,
            instrument_id=self.instrument_id,
            initiation_flow=self.initiation_flow,
            fate=fate,
            client_reference=self.client_reference,
            order_type=self.order_type,
            quantity=self.quantity,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
        )


def some_placement(rng: Random, *, is_first: bool) -> Placement:
    """Return what a client, a savings plan or a rebalancing would place; the first is a plain BUY."""
    account = seeded("account", rng.randrange(_ACCOUNTS))
    user_id, account_id = identifier(account), identifier(account)
    kind = 1.0 if is_first else rng.random()
    if kind < 0.1:
        return Placement(user_id, account_id, "0", type="REBALANCING")
    amount = rng.choice(_AMOUNTS)
    if kind < 0.2:
        plan = identifier(rng)
        return Placement(
            user_id, account_id, amount, initiation_flow="SAVINGS_PLAN", client_reference=plan
        )
    side = "SELL" if kind < 0.4 else "BUY"
    return Placement(
        user_id, account_id, amount, type=side, currency="GBP" if kind < 0.25 else "EUR"
    )
