"""The life of orders: which state follows which, and what is announced.

Portfolio orders: NEW, PROCESSING when the first order leaves NEW, FILLED when every order has ended
and one of them is filled, SETTLED; CANCELLED if none is, or if the client cancelled. Orders: NEW,
PROCESSING, FILLED or CANCELLED; their settlement shows in the executions only.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

from . import amounts
from .agenda import Agenda
from .fates import Part
from .manners import Manners
from .objects import OPEN, Event, Execution, Json, Order, PortfolioOrder

VENUE = "7ae5616b-aeb2-41d6-a8c2-fa0735251827"

_REFUSAL_DETAILS = {"SELL_LIMIT_EXCEEDED": "The amount is above 90 percent of the net asset value."}


class Life:
    """Moves orders through their states as the agenda comes to it."""

    def __init__(
        self, agenda: Agenda, *, born: Callable[[Order], None], emit: Callable[[Event], None]
    ) -> None:
        self._agenda = agenda
        self._born = born
        self._emit = emit

    def begin(self, placed: PortfolioOrder) -> None:
        """Announce a portfolio order and start its life."""
        self._announce("PORTFOLIO_ORDER.NEW", placed.document(), placed.created_at, placed)
        self._agenda.after(placed.created_at, placed.fate.accepts, partial(self._accept, placed))

    def begin_order(self, order: Order) -> None:
        """Announce an order and start its life."""
        self._born(order)
        self._announce("ORDER.NEW", order.document(), order.created_at, order)
        self._agenda.after(order.created_at, order.fate.starts, partial(self._start, order))

    def cancel(self, placed: PortfolioOrder, manners: Manners, at: datetime) -> None:
        """End what is still open of a portfolio order; nothing if it has ended meanwhile."""
        if placed.status not in OPEN:
            return
        for order in [order for order in placed.orders if order.status in OPEN]:
            if manners.mixed and not _heeds(order, manners):
                self._reject(order, str(uuid5(UUID(order.id), f"cancellation {at}")), at)
            else:
                self._end(order, "CANCELLED", at, "CANCELLED_BY_CLIENT")
        if not {order.status for order in placed.orders} & OPEN:
            placed.cancellation_reason = "CANCELLED_BY_CLIENT"
            self._move(placed, "CANCELLED", at)
            self._agenda.after(at, placed.fate.settles, partial(self._settle, placed))

    def cancel_order(self, order: Order, rejection_id: str, manners: Manners, at: datetime) -> None:
        """End an open order, or announce that its cancellation is rejected."""
        if order.status in OPEN and _heeds(order, manners):
            self._end(order, "CANCELLED", at, "CANCELLED_BY_CLIENT")
            self._close(order, at)
        else:
            self._reject(order, rejection_id, at)

    def _reject(self, order: Order, rejection_id: str, at: datetime) -> None:
        rejection = {"id": rejection_id, "order_id": order.id}
        self._announce("ORDER_CANCELLATION.REJECTED", rejection, at, order)

    def _accept(self, placed: PortfolioOrder, at: datetime) -> None:
        if placed.status != "NEW":
            return
        if placed.fate.cancelled:
            placed.cancellation_reason = placed.fate.cancelled
            placed.cancellation_details = _REFUSAL_DETAILS.get(placed.fate.cancelled, "")
            self._move(placed, "CANCELLED", at)
            return
        flow = "PORTFOLIO_REBALANCING" if placed.type == "REBALANCING" else "PORTFOLIO"
        for fate in placed.fate.orders:
            order = Order(
                id=fate.id,
                user_id=placed.user_id,
                account_id=placed.account_id,
                created_at=at,
                updated_at=at,
                cash_amount=amounts.money(fate.cents),
                currency=placed.currency,
                side=fate.side,
                instrument_id=fate.instrument_id,
                initiation_flow=flow,
                fate=fate,
                client_reference=placed.id,
                portfolio_order=placed,
            )
            placed.orders.append(order)
            self.begin_order(order)

    def _start(self, order: Order, at: datetime) -> None:
        if order.status != "NEW":
            return
        order.status, order.updated_at = "PROCESSING", at
        self._announce("ORDER.PROCESSING", order.document(), at, order)
        placed = order.portfolio_order
        if placed is not None and placed.status == "NEW":
            self._move(placed, "PROCESSING", at)
        if order.order_type == "MARKET":  # others rest at the venue until somebody cancels them
            self._work(order, order.fate.parts, at)

    def _work(self, order: Order, parts: tuple[Part, ...], at: datetime) -> None:
        if parts:
            self._agenda.after(at, parts[0].after, partial(self._execute, order, parts))
        else:
            self._agenda.after(at, order.fate.ends, partial(self._finish, order))

    def _execute(self, order: Order, parts: tuple[Part, ...], at: datetime) -> None:
        if order.status != "PROCESSING":
            return
        cents, price = parts[0].cents, order.fate.price
        execution = Execution(
            id=parts[0].id,
            order_id=order.id,
            side=order.side,
            currency=order.currency,
            cash_amount=amounts.money(cents),
            share_quantity=amounts.quantity(amounts.shares(cents, price)),
            price=amounts.money(price),
            transaction_time=at,
            venue_id=VENUE,
            tax=amounts.money(parts[0].tax),
        )
        order.executions.append(execution)
        done = order.fate.parts[: len(order.executions)]
        order.quantity = amounts.quantity(sum(amounts.shares(part.cents, price) for part in done))
        order.updated_at = at
        self._announce("EXECUTION.FILLED", execution.document(), at, order)
        self._work(order, parts[1:], at)

    def _finish(self, order: Order, at: datetime) -> None:
        if order.status != "PROCESSING":
            return
        if order.fate.cancelled:
            self._end(order, "CANCELLED", at, order.fate.cancelled)
        else:
            order.fee = order.fate.fee
            self._end(order, "FILLED", at, "")
        self._close(order, at)

    def _end(self, order: Order, status: str, at: datetime, reason: str) -> None:
        order.status, order.updated_at, order.cancellation_reason = status, at, reason
        self._announce(f"ORDER.{status}", order.document(), at, order)

    def _close(self, order: Order, at: datetime) -> None:
        """End the portfolio order of an order that has ended, if it was the last; see to settlement."""
        placed = order.portfolio_order
        if placed is None:
            self._agenda.after(at, order.fate.settles, partial(self._settle_order, order))
            return
        ends = {sibling.status for sibling in placed.orders}
        if placed.status in OPEN and not ends & OPEN:
            if "FILLED" not in ends:
                placed.cancellation_reason = "CANCELLED_BY_UPVEST"
            self._move(placed, "FILLED" if "FILLED" in ends else "CANCELLED", at)
            self._agenda.after(at, placed.fate.settles, partial(self._settle, placed))

    def _settle(self, placed: PortfolioOrder, at: datetime) -> None:
        for order in placed.orders:
            self._settle_order(order, at)
        if placed.status == "FILLED":
            self._move(placed, "SETTLED", at)

    def _settle_order(self, order: Order, at: datetime) -> None:
        for execution in order.executions:
            execution.status = "CANCELLED" if order.fate.mistrade else "SETTLED"
            execution.settlement_date = "" if order.fate.mistrade else f"{at:%Y-%m-%d}"
            self._announce(f"EXECUTION.{execution.status}", execution.document(), at, order)

    def _move(self, placed: PortfolioOrder, status: str, at: datetime) -> None:
        placed.status, placed.updated_at = status, at
        self._announce(f"PORTFOLIO_ORDER.{status}", placed.document(), at, placed)

    def _announce(
        self, event_type: str, document: Json, at: datetime, about: Order | PortfolioOrder
    ) -> None:
        placed = about if isinstance(about, PortfolioOrder) else about.portfolio_order
        number = placed.number if placed else 0
        child = placed.orders.index(about) + 1 if placed and isinstance(about, Order) else 0
        event_id = str(
            uuid5(UUID(document["id"]), event_type)
        )  # each object has one event of a type
        self._emit(Event(event_id, at, event_type, document, number, child))


def _heeds(order: Order, manners: Manners) -> bool:
    """Return whether an open order is ended by a cancellation: the trading partner need not honour it."""
    is_willing = order.fate.heeds_cancel if manners.heeds is None else manners.heeds
    return order.status == "NEW" or is_willing
