"""The book of all orders, and the time that moves them."""

import pickle
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from random import Random
from threading import RLock
from typing import Any, TypeVar

from .agenda import Agenda
from .fates import PortfolioOrderFate, identifier, seeded
from .life import Life
from .manners import Manners
from .objects import OPEN, Event, Execution, Json, Order, PortfolioOrder
from .placements import OrderPlacement, Placement, some_placement
from .speed import Speed

T = TypeVar("T")
Shape = Callable[[PortfolioOrderFate], PortfolioOrderFate]


class UnknownError(LookupError):
    """There is no such object."""


class EndedError(ValueError):
    """The object has come too far for what was asked; ``status`` is how that is answered."""

    def __init__(self, message: str, *, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


class Market:
    """Everything that upstream knows of orders. Thread-safe; time is what ``now`` says.

    The same seed and the same placements give the same lives. ``oddities`` multiplies the odds of
    what seldom happens (see fates); the first portfolio order always has an ordinary life with at
    least three orders, so that a demo starts with one.
    """

    def __init__(self, *, seed: int, speed: Speed, oddities: float = 1.0) -> None:
        self._seed = seed
        self._speed = speed
        self._oddities = oddities
        self._lock = RLock()
        self._agenda = Agenda()
        self._events: list[Event] = []
        self._portfolio_orders: dict[str, PortfolioOrder] = {}
        self._orders: dict[str, Order] = {}
        self._orders_of: defaultdict[str, list[Order]] = defaultdict(list)
        self._placed = 0
        self._cancellations = 0
        self.manners = Manners()
        self._life = Life(self._agenda, born=self._record, emit=self._events.append)

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the lock: a market can be pickled and go on where it was."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the life of a pickled market."""
        vars(self).update({"manners": Manners(), **state}, _lock=RLock())

    def pickled(self) -> bytes:
        """Return the market as bytes that ``pickle`` reads, while nothing moves in it."""
        with self._lock:
            return pickle.dumps(self)

    def advance(self, now: datetime) -> list[Event]:
        """Let all happen that is to happen up to ``now``; return the events since the last call."""
        with self._lock:
            self._agenda.advance(now)
            events = self._events.copy()
            self._events.clear()
            return events

    def next_at(self) -> datetime | None:
        """Return when something is going to happen next; the past if events wait to be taken."""
        with self._lock:
            return self._events[0].created_at if self._events else self._agenda.next_at()

    def place(
        self,
        placement: Placement,
        *,
        now: datetime,
        speed: Speed | None = None,
        is_ordinary: bool = False,
        shape: Shape | None = None,
    ) -> Json:
        """Accept a portfolio order and return it.

        It lives at its own ``speed`` if one is given. With ``is_ordinary`` it has at least three
        orders, and nothing seldom happens to it; ``shape`` changes what else will become of it.
        """
        with self._lock:
            number, rng = self._next()
            is_ordinary = is_ordinary or not self._portfolio_orders
            placed = placement.portfolio_order(
                number,
                rng,
                speed=speed or self._speed,
                oddities=0.0 if is_ordinary else self._oddities,
                at_least=3 if is_ordinary else 1,
                at=_to_milliseconds(now),
            )
            if shape:
                placed.fate = shape(placed.fate)
            self._portfolio_orders[placed.id] = placed
            self._life.begin(placed)
            return placed.document()

    def place_order(self, placement: OrderPlacement, *, now: datetime) -> Json:
        """Accept a single order and return it."""
        with self._lock:
            rng = self._next()[1]
            at = _to_milliseconds(now)
            order = placement.order(rng, speed=self._speed, oddities=self._oddities, at=at)
            self._life.begin_order(order)
            return order.document()

    def place_some(
        self, count: int, *, now: datetime, speed: Speed | None = None, is_ordinary: bool = False
    ) -> list[Json]:
        """Place ``count`` portfolio orders as clients, savings plans and rebalancings would.

        With ``is_ordinary`` they are plain purchases with an ordinary life, as the first always is.
        """
        with self._lock:
            return [
                self.place(
                    self._some_placement(is_ordinary), now=now, speed=speed, is_ordinary=is_ordinary
                )
                for _ in range(count)
            ]

    @property
    def placed(self) -> int:
        """Return how many orders were placed: the next portfolio order has the number after it."""
        with self._lock:
            return self._placed

    def cancel(self, order_id: str, *, now: datetime) -> None:
        """Accept to cancel a portfolio order soon. Raises UnknownError, EndedError."""
        with self._lock:
            placed = _found(self._portfolio_orders, order_id)
            if placed.status not in OPEN:
                self._refuse_late("portfolio order", placed.status, self.manners.late)
            self._soon(now, partial(self._life.cancel, placed, self.manners))

    def cancel_order(self, order_id: str, *, now: datetime) -> None:
        """Accept to try to cancel an order; how that went is announced. Raises UnknownError, EndedError."""
        with self._lock:
            order = _found(self._orders, order_id)
            if order.status not in OPEN:
                self._refuse_late("order", order.status, self.manners.late_order)
            self._cancellations += 1
            rejection_id = identifier(seeded(self._seed, "cancellation", self._cancellations))
            self._soon(now, partial(self._life.cancel_order, order, rejection_id, self.manners))

    def portfolio_order(self, order_id: str) -> Json:
        """Return one portfolio order; UnknownError."""
        with self._lock:
            return _found(self._portfolio_orders, order_id).document()

    def order(self, order_id: str) -> Json:
        """Return one order; UnknownError."""
        with self._lock:
            return _found(self._orders, order_id).document()

    def execution(self, order_id: str, execution_id: str) -> Json:
        """Return one execution of an order; UnknownError."""
        with self._lock:
            executions: dict[str, Execution] = {
                e.id: e for e in _found(self._orders, order_id).executions
            }
            return _found(executions, execution_id).document()

    def portfolio_orders(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Json]:
        """Return the portfolio orders created from ``since`` to before ``until``, by id."""
        with self._lock:
            chosen = [
                o for o in self._portfolio_orders.values() if _within(o.created_at, since, until)
            ]
            return [order.document() for order in sorted(chosen, key=lambda order: order.id)]

    def orders(self) -> list[Json]:
        """Return all orders, by id."""
        with self._lock:
            return [self._orders[order_id].document() for order_id in sorted(self._orders)]

    def account_orders(
        self,
        account_id: str,
        *,
        status: str,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Json]:
        """Return the orders of an account with ``status``, the first created first."""
        with self._lock:
            return [
                order.document()
                for order in sorted(
                    self._orders_of[account_id], key=lambda order: (order.created_at, order.id)
                )
                if order.status == status and _within(order.created_at, since, until)
            ]

    def _record(self, order: Order) -> None:
        self._orders[order.id] = order
        self._orders_of[order.account_id].append(order)

    def _next(self) -> tuple[int, Random]:
        self._placed += 1
        return self._placed, seeded(self._seed, self._placed)

    def _some_placement(self, is_ordinary: bool) -> Placement:  # noqa: FBT001
        rng = seeded(self._seed, "placement", self._placed)
        return some_placement(rng, is_first=is_ordinary or not self._portfolio_orders)

    def _refuse_late(self, what: str, status: str, answer: int) -> None:
        if answer >= 300:
            raise EndedError(f"The {what} is {status}.", status=answer)

    def _soon(self, now: datetime, step: partial[None]) -> None:
        takes = self.manners.takes
        wait = self._speed.accept / 10 if takes is None else takes
        self._agenda.after(_to_milliseconds(now), wait, step)


def _found(things: dict[str, T], key: str) -> T:
    if key not in things:
        raise UnknownError(key)
    return things[key]


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment < until)
