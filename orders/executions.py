"""What the executions of an order come to: quantities, money, settlement. Pure, and the only place that adds them up.

The words are FIX's: cumulative quantity (CumQty), leaves quantity (LeavesQty), average price (AvgPx). An
execution that was cancelled counts for nothing. Every number is exact, as text; unknown is "".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from orders.amounts import average_price, is_above_zero, is_less, less, total
from orders.lifecycle import CANCELLED_EXECUTED, MISTRADE, Kind, is_final

CANCELLED, SETTLED = "CANCELLED", "SETTLED"
REVERSED = "reversed"  # no word of the broker's: filled, and an execution was cancelled since
EXECUTED = "cancelled but executed"  # no word of the broker's either
FILLED = frozenset({"FILLED", SETTLED})  # of an order
OVER = frozenset({CANCELLED, SETTLED})  # nothing more will be told of such an execution


def is_reversed(status: str, problems: int) -> bool:
    """Return whether an order is filled, and an execution of it was cancelled since: a mistrade."""
    return status == "FILLED" and bool(problems & MISTRADE)


def is_executed_all_the_same(status: str, problems: int) -> bool:
    """Return whether an order or a portfolio order is cancelled, and all of it was executed."""
    return status == CANCELLED and bool(problems & CANCELLED_EXECUTED)


def is_executed(status: str, problems: int) -> bool:
    """Return whether all of an order was executed: it is filled and no trade was reversed, or cancelled in vain."""
    stands = status in FILLED and not is_reversed(status, problems)
    return stands or is_executed_all_the_same(status, problems)


class Extent(StrEnum):
    """How much of an order was executed."""

    NOTHING = ""
    PARTLY = "partly"
    FULLY = "fully"


class ExecutionRow(Protocol):
    """What is added up of an execution; the columns of ``orders.models.Execution``."""

    status: str
    currency: str
    cash_amount: str
    share_quantity: str
    price: str
    tax: str
    settlement_date: date | None


class OrderRow(Protocol):
    """What is needed of its order; the columns of ``orders.models.Order``."""

    status: str
    fact: str
    side: str
    currency: str
    cash_amount: str
    quantity: str
    fee: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """How far the executions that count have settled; ``due`` is by when the others should have."""

    settled: int
    total: int
    has_ended: bool  # the order: no other execution will come
    first: date | None
    last: date | None  # of all of them: unknown while it is of any
    due: date | None

    @property
    def is_complete(self) -> bool:
        """Return whether the order has settled: it has ended, and all of its executions have settled."""
        return self.has_ended and 0 < self.total == self.settled


@dataclass(frozen=True, slots=True)
class Executed:
    """What the executions of one order come to.

    Of several ``currencies`` nothing that is money is added up. ``count`` of the executions count,
    ``cancelled`` were cancelled.
    """

    ordered: str
    quantity: str
    leaves: str
    average_price: str
    cash_amount: str
    tax: str
    fee: str
    currencies: tuple[str, ...]
    count: int
    cancelled: int
    settlement: Settlement

    @property
    def currency(self) -> str:
        """Return the currency of the amounts; "" where there is none, or more than one."""
        return self.currencies[0] if len(self.currencies) == 1 else ""

    @property
    def is_mixed(self) -> bool:
        """Return whether its executions are in several currencies."""
        return len(self.currencies) > 1

    @property
    def is_partial(self) -> bool:
        """Return whether something was executed."""
        return is_above_zero(self.quantity)


def executed(order: OrderRow, executions: Sequence[ExecutionRow]) -> Executed:
    """Return what the executions of an order come to; ``executions`` are all that we hold, cancelled ones too."""
    counting = [it for it in executions if it.status != CANCELLED]
    currencies = tuple(sorted({it.currency or order.currency for it in counting}))
    money = counting if len(currencies) == 1 else []
    quantities = [it.share_quantity for it in counting]
    quantity = total(quantities) or _nothing(order, executions)
    return Executed(
        ordered=order.quantity if is_above_zero(order.quantity) else "",
        quantity=quantity,
        leaves=_leaves(order, quantity),
        average_price=average_price(quantities, [it.price for it in counting]) if money else "",
        cash_amount=total([it.cash_amount for it in money]),
        tax=total([it.tax for it in money]),
        fee=order.fee,
        currencies=currencies,
        count=len(counting),
        cancelled=len(executions) - len(counting),
        settlement=_settlement(order, counting),
    )


def cancelled_but_executed(order: OrderRow, done: Executed) -> Extent:
    """Return how much of a cancelled order was executed all the same; NOTHING for an order that is not cancelled.

    Of an order for an amount of money the amounts are compared: its quantity is only what was executed.
    """
    if order.status != CANCELLED or not done.is_partial:
        return Extent.NOTHING
    if is_above_zero(order.cash_amount):
        is_told = done.cash_amount and done.currency in {order.currency, ""}
        is_whole = is_told and not is_less(done.cash_amount, order.cash_amount)
    else:
        is_whole = done.ordered and not is_less(done.quantity, done.ordered)
    return Extent.FULLY if is_whole else Extent.PARTLY


def is_cancelled_in_vain(order: OrderRow, executions: Sequence[ExecutionRow]) -> bool:
    """Return whether an order is cancelled, and was executed in full all the same."""
    if order.status != CANCELLED or not executions:
        return False
    return cancelled_but_executed(order, executed(order, executions)) is Extent.FULLY


def cancelled_but_executed_together(
    status: str, problems: int, orders: Iterable[tuple[OrderRow, Executed]]
) -> Extent:
    """Return how much of a cancelled portfolio order was executed all the same, of all its orders together."""
    if is_executed_all_the_same(status, problems):
        return Extent.FULLY
    is_partial = status == CANCELLED and any(done.is_partial for _, done in orders)
    return Extent.PARTLY if is_partial else Extent.NOTHING


def _nothing(order: OrderRow, executions: Sequence[ExecutionRow]) -> str:
    """Return 0 where an own report of the order came without executions that count; else unknown."""
    all_cancelled = bool(executions) and all(it.status == CANCELLED for it in executions)
    is_known = all_cancelled or (not executions and order.status != "FILLED")
    return "0" if order.fact and is_known else ""


def _leaves(order: OrderRow, quantity: str) -> str:
    """Return what is still to be executed: nothing of an order that has ended.

    Of an order for an amount of money the quantity is told when it ends; up to then it is what was
    executed so far, or 0, and what is left is unknown.
    """
    if is_final(Kind.ORDER, order.status):
        return "0"
    left = less(order.quantity, quantity)
    return left if is_above_zero(left) or not is_above_zero(order.cash_amount) else ""


def _settlement(order: OrderRow, counting: Sequence[ExecutionRow]) -> Settlement:
    days = [it.settlement_date for it in counting if it.settlement_date]
    open_days = [it.settlement_date for it in counting if it.status != SETTLED]
    due = [day for day in open_days if day]
    return Settlement(
        settled=len(counting) - len(open_days),
        total=len(counting),
        has_ended=is_final(Kind.ORDER, order.status),
        first=min(days, default=None),
        last=max(days) if days and len(days) == len(counting) else None,
        due=max(due) if due and len(due) == len(open_days) else None,
    )


@dataclass(frozen=True, slots=True)
class Sum:
    """An amount of one currency; ``label`` tells sums of one kind apart. "" where a part is unknown."""

    label: str
    amount: str
    currency: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What the executions of the orders of a portfolio order come to, each currency by itself.

    ``settled`` of ``settling`` orders have settled: those of which an execution counts. Of
    ``unknown`` filled orders no execution is known.
    """

    amounts: tuple[Sum, ...]
    fees: tuple[Sum, ...]
    taxes: tuple[Sum, ...]
    settled: int
    settling: int
    unknown: int
    mixed: int
    cancelled: int
    due: date | None


def totals(orders: Iterable[tuple[OrderRow, Executed]]) -> Totals:
    """Return what the orders of a portfolio order come to together; what they buy and sell apart."""
    known = list(orders)
    settling = [done.settlement for _, done in known if done.count]
    dues = [it.due for it in settling if not it.is_complete]
    due = [day for day in dues if day]
    plain = [(order, done) for order, done in known if done.count and not done.is_mixed]
    return Totals(
        amounts=_sums((order.side, done.currency, done.cash_amount) for order, done in plain),
        fees=_sums(("", order.currency, order.fee) for order, _ in known if order.fee),
        taxes=_sums(("", done.currency, done.tax) for _, done in plain),
        settled=sum(it.is_complete for it in settling),
        settling=len(settling),
        unknown=sum(not done.quantity and order.status == "FILLED" for order, done in known),
        mixed=sum(done.is_mixed for _, done in known),
        cancelled=sum(done.cancelled for _, done in known),
        due=max(due) if due and len(due) == len(dues) else None,
    )


def _sums(parts: Iterable[tuple[str, str, str]]) -> tuple[Sum, ...]:
    """Return the sum of each label and currency."""
    amounts: dict[tuple[str, str], list[str]] = {}
    for label, currency, amount in parts:
        amounts.setdefault((label, currency), []).append(amount)
    return tuple(
        Sum(label, total(of), currency) for (label, currency), of in sorted(amounts.items())
    )
