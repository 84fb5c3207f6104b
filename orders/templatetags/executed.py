"""What executions come to, in words."""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.amounts import is_above_zero, less
from orders.executions import Executed, Settlement, Sum, Totals
from orders.models import Execution, Order
from orders.templatetags.desk import EMPTY, grouped, money, number
from orders.timeline.seen import Seen

register = template.Library()


@register.filter
def asked_for(order: Order) -> str:
    """Return what an order is for: an amount of money, or "40 shares" where it names none."""
    if is_above_zero(order.quantity) and not is_above_zero(order.cash_amount):
        return f"{number(order.quantity)} share{'' if order.quantity == '1' else 's'}"
    return money(order.cash_amount, order.currency)


@register.filter
def of_ordered(done: Executed) -> str:
    """Return how much of the quantity was executed: "40 of 100"."""
    if not (done.quantity and done.ordered):
        return number(done.quantity)
    return f"{number(done.quantity)} of {number(done.ordered)}"


@register.filter
def left_off(order: Order, done: Executed) -> str:
    """Return how far an order was when it was cancelled: "Cancelled after 40 of 100"; "" for others.

    Of an order for an amount of money the quantity is what was executed of it: then the amounts tell.
    """
    if order.status != "CANCELLED" or not done.is_partial:
        return ""
    if is_above_zero(less(done.ordered, done.quantity)):
        return f"Cancelled after {of_ordered(done)}"
    if done.cash_amount and done.currency == order.currency and is_above_zero(order.cash_amount):
        amount = grouped(done.cash_amount, 2)
        return f"Cancelled after {amount} of {money(order.cash_amount, order.currency)}"
    return f"Cancelled after {number(done.quantity)}"


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
        return "All executions settled"
    far = f"{of.settled} of {of.settling} orders settled"
    return format_html("{}{}", far, _due(of.due, ", the others "))


@register.filter
def money_sum(it: Sum) -> str:
    """Return a sum; one of which a part is unknown says so."""
    return money(it.amount, it.currency) if it.amount else f"not known in {it.currency or EMPTY}"


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
