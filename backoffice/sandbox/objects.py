"""What upstream speaks of: portfolio orders, orders, executions, events, and their JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .fates import OrderFate, PortfolioOrderFate

Json = dict[str, Any]

OPEN = frozenset({"NEW", "PROCESSING"})


def timestamp(moment: datetime) -> str:
    """Return ``moment`` in RFC 3339, in UTC, with 0, 2 or 3 digits of a second: upstream sends all."""
    milliseconds = moment.microsecond // 1000
    if milliseconds == 0:
        fraction = ""
    elif milliseconds % 10 == 0:
        fraction = f".{milliseconds // 10:02d}"
    else:
        fraction = f".{milliseconds:03d}"
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _present(document: Json, optional: Iterable[tuple[str, str]]) -> Json:
    """Return ``document`` with those of the ``optional`` fields that have a value."""
    return document | {name: value for name, value in optional if value}


@dataclass(slots=True, eq=False)
class Execution:
    """One trade of an order."""

    id: str
    order_id: str
    side: str
    currency: str
    cash_amount: str
    share_quantity: str
    price: str
    transaction_time: datetime
    venue_id: str
    tax: str
    status: str = "FILLED"
    settlement_date: str = ""

    def document(self) -> Json:
        """Return the execution as the API shows it."""
        return _present(
            {
                "id": self.id,
                "order_id": self.order_id,
                "side": self.side,
                "currency": self.currency,
                "status": self.status,
                "cash_amount": self.cash_amount,
                "share_quantity": self.share_quantity,
                "price": self.price,
                "transaction_time": timestamp(self.transaction_time),
                "taxes": [{"type": "TOTAL", "amount": self.tax}],
                "venue_id": self.venue_id,
            },
            [("settlement_date", self.settlement_date)],
        )


@dataclass(slots=True, eq=False)
class Order:
    """One order for one instrument, by itself or as part of a portfolio order."""

    id: str
    user_id: str
    account_id: str
    created_at: datetime
    updated_at: datetime
    cash_amount: str
    currency: str
    side: str
    instrument_id: str
    initiation_flow: str
    fate: OrderFate
    client_reference: str = ""
    order_type: str = "MARKET"
    quantity: str = "0"
    fee: str = "0.0"
    limit_price: str = ""
    stop_price: str = ""
    status: str = "NEW"
    cancellation_reason: str = ""
    executions: list[Execution] = field(default_factory=list)
    portfolio_order: "PortfolioOrder | None" = None

    def document(self) -> Json:
        """Return the order as the API shows it."""
        return _present(
            {
                "id": self.id,
                "created_at": timestamp(self.created_at),
                "updated_at": timestamp(self.updated_at),
                "user_id": self.user_id,
                "account_id": self.account_id,
                "cash_amount": self.cash_amount,
                "currency": self.currency,
                "side": self.side,
                "instrument_id": self.instrument_id,
                "instrument_id_type": "ISIN",
                "order_type": self.order_type,
                "quantity": self.quantity,
                "user_instrument_fit_acknowledgement": True,
                "limit_price": self.limit_price,
                "stop_price": self.stop_price,
                "status": self.status,
                "fee": self.fee,
                "executions": [execution.document() for execution in self.executions],
                "client_reference": self.client_reference,
                "initiation_flow": self.initiation_flow,
                "execution_flow": "STRAIGHT_THROUGH",
            },
            [("cancellation_reason", self.cancellation_reason)],
        )


@dataclass(slots=True, eq=False)
class PortfolioOrder:
    """An amount of money spread over the instruments of an allocation, one order for each."""

    id: str
    number: int
    """Which one of this market it is, from 1 on; not part of its JSON."""
    user_id: str
    account_id: str
    allocation_id: str
    created_at: datetime
    updated_at: datetime
    cash_amount: str
    currency: str
    type: str
    fate: PortfolioOrderFate
    post_tax: bool = False
    client_reference: str = ""
    initiation_flow: str = "API"
    status: str = "NEW"
    cancellation_reason: str = ""
    cancellation_details: str = ""
    orders: list[Order] = field(default_factory=list)

    def document(self) -> Json:
        """Return the portfolio order as the API shows it; a rebalancing names no user."""
        listed = [{"id": o.id, "side": o.side, "status": o.status} for o in self.orders]
        user: Json = {} if self.type == "REBALANCING" else {"user_id": self.user_id}
        return _present(
            {
                "id": self.id,
                "created_at": timestamp(self.created_at),
                "updated_at": timestamp(self.updated_at),
                **user,
                "account_id": self.account_id,
                "allocation_id": self.allocation_id,
                "cash_amount": self.cash_amount,
                "currency": self.currency,
                "status": self.status,
                "type": self.type,
                "post_tax": self.post_tax,
                "client_reference": self.client_reference,
                "initiation_flow": self.initiation_flow,
                "orders": listed,
            },
            [
                ("cancellation_reason", self.cancellation_reason),
                ("cancellation_details", self.cancellation_details),
            ],
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one object, with the object as it was then."""

    id: str
    created_at: datetime
    type: str
    object: Json
    number: int = 0
    """The number of the portfolio order it is about, 0 for none."""
    child: int = 0
    """Which order of that portfolio order it is about, from 1 on; 0 for the portfolio order."""

    @property
    def topic(self) -> str:
        """Return what a subscription selects by: the type without its last word."""
        return self.type.rpartition(".")[0]

    def document(self, webhook_id: str) -> Json:
        """Return the event as it is delivered to the subscription ``webhook_id``."""
        return {
            "id": self.id,
            "created_at": timestamp(self.created_at),
            "type": self.type,
            "object": self.object,
            "webhook_id": webhook_id,
        }
