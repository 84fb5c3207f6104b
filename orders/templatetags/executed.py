"""What executions come to, in words."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.amounts import is_above_zero, is_equal, less
from orders.currencies import decimals_of
from orders.executions import (
    Executed,
    Extent,
    Settlement,
    Sum,
    Totals,
    cancelled_but_executed,
    is_reversed,
)
from orders.models import Execution, Order
from orders.templatetags.desk import EMPTY, badge, grouped, money, number, pill
from orders.timeline.seen import Seen

register = template.Library()

DONE = {"BUY": "bought", "SELL": "sold"}


@register.filter
def asked_for(order: Order) -> str:
    """Return what an order is for: an amount of money, or "40 shares" where it names none."""
    if is_above_zero(order.quantity) and not is_above_zero(order.cash_amount):
        return _shares(order.quantity)
    return money(order.cash_amount, order.currency)


@register.filter
def of_ordered(done: Executed) -> str:
    """Return how much of the quantity was executed: "40 of 100"; all of it in one spelling: "2.5 of 2.5"."""
    if not (done.quantity and done.ordered):
        return number(done.quantity)
    if is_equal(done.quantity, done.ordered):
        return f"{number(done.ordered)} of {number(done.ordered)}"
    return f"{number(done.quantity)} of {number(done.ordered)}"


@register.filter
def cancelled_but(order: Order, done: Executed) -> str:
    """Return "Cancelled, but fully executed: 1,234.56 GBP sold", or how much was; "" where nothing was.

    Of an order for an amount of money the quantity is what was executed of it: then the amounts tell.
    """
    extent = cancelled_but_executed(order, done)
    if not extent:
        return ""
    has_amount = done.cash_amount and done.currency == order.currency
    if extent is Extent.FULLY:
        what = money(done.cash_amount, done.currency) if has_amount else _shares(done.quantity)
    elif is_above_zero(less(done.ordered, done.quantity)):
        what = f"{number(done.quantity)} of {_shares(done.ordered)}"
    elif has_amount and is_above_zero(order.cash_amount):
        amount = grouped(done.cash_amount, decimals_of(order.currency))
        what = f"{amount} of {money(order.cash_amount, order.currency)}"
    else:
        what = _shares(done.quantity)
    return f"Cancelled, but {extent} executed: {what} {DONE.get(order.side, 'traded')}"


@register.simple_tag
def cancelled_but_together(extent: Extent, of: Totals) -> str:
    """Return the same of a portfolio order: "Cancelled, but fully executed: 1,234.56 GBP sold"."""
    if not extent:
        return ""
    known = [it for it in of.amounts if it.amount]
    sums = ", ".join(f"{money_sum(it)} {DONE.get(it.label, 'traded')}" for it in known)
    return f"Cancelled, but {extent} executed{': ' if sums else ''}{sums}"


@register.filter
def status_of(order: Any) -> SafeString:
    """Return the badge of the status of an order, and a mark beside it where its trade was reversed."""
    shown = badge(order.status)
    if not is_reversed(order.status, order.problems):
        return shown
    words = "Partly reversed" if order.done.count else "Reversed"
    return format_html("{} {}", shown, pill("failed", "reversed", words))


@register.filter
def entry_of(learned: Mapping[UUID, Seen], execution: Execution) -> Seen | None:
    """Return the journal entry that told an execution as it is now."""
    return learned.get(execution.pk)


@register.filter
def settlement(it: Settlement) -> SafeString | str:
    """Return how far the executions of an order have settled."""
    if not it.total:
        return EMPTY
    if it.is_complete:
        return f"Settled on {_days(it.first, it.last)}" if it.last else "Settled"
    if it.settled:
        far = f"Partly settled, {it.settled} of {it.total} executions"
        return format_html("{}{}", far, _due(it.due, ", the others "))
    return _due(it.due) or "Not settled yet"


@register.filter
def settled_orders(of: Totals) -> SafeString | str:
    """Return how many of the orders of a portfolio order have settled."""
    if not of.settling:
        return EMPTY
    if of.settled == of.settling:
        return "All other executions settled" if of.cancelled else "All executions settled"
    far = f"{of.settled} of {of.settling} order{'' if of.settling == 1 else 's'} settled"
    return format_html("{}{}", far, _due(of.due, ", the others "))


@register.filter
def money_sum(it: Sum) -> str:
    """Return a sum; one of which a part is unknown says so."""
    return money(it.amount, it.currency) if it.amount else f"not known in {it.currency or EMPTY}"


def _shares(quantity: str) -> str:
    return f"{number(quantity)} share{'' if is_equal(quantity, '1') else 's'}"


def _due(day: date | None, lead: str = "") -> SafeString | str:
    """Return by when something settles; a day that has passed stands out."""
    if day is None:
        return ""
    shown = date_format(day, "j M Y")
    if day < timezone.localdate():
        words = f"{lead}should have settled by {shown}"
        return format_html('<span class="late">{}</span>', _opening(words))
    words = f"{lead}settle by {shown}" if lead else f"settles by {shown}"
    return _opening(words)


def _opening(words: str) -> str:
    return words if words.startswith(",") else f"{words[0].upper()}{words[1:]}"


def _days(first: date | None, last: date) -> str:
    if first and first != last:
        return f"{date_format(first, 'j M')} to {date_format(last, 'j M Y')}"
    return date_format(last, "j M Y")
