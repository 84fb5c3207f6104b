"""What people should know about an order before anything else on its page. Reads settings, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from orders.clocks import kind_of
from orders.durations import duration
from orders.lifecycle import PROBLEMS, SETTLING, is_final
from orders.models import Order, PortfolioOrder
from orders.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Notice:
    """A headline and its explanation; ``tone`` is stale (look at it) or failed (something is wrong)."""

    tone: str
    symbol: str
    headline: str
    text: str = ""
    shows_problems: bool = False


def notices(
    row: PortfolioOrder | Order,
    *,
    is_stale: bool,
    orders: Sequence[Order],
    history: Timeline,
    now: datetime,
) -> list[Notice]:
    """Return the notices of a page, the gravest first; ``orders`` are those of a portfolio order."""
    found = [*_problems(row, orders), *_mismatch(row, orders)]
    if is_stale:
        found.append(_stale(row, now))
    if missed := len(history.missed):
        webhooks = "webhook" if missed == 1 else "webhooks"
        headline = f"{missed} expected {webhooks} never arrived."
        text = f"What {'it' if missed == 1 else 'they'} should have told is marked in the history."
        found.append(Notice("stale", "warning", headline, text, shows_problems=True))
    return found


def _problems(row: PortfolioOrder | Order, orders: Sequence[Order]) -> list[Notice]:
    found = [
        Notice("failed", "warning", f"{words[0].upper()}{words[1:]}.")
        for bit, words in PROBLEMS.items()
        if row.problems & bit
    ]
    for bit, words in PROBLEMS.items():
        if of := [order for order in orders if order.problems & bit]:
            names = ", ".join(order.instrument_id or str(order.pk)[:8] for order in of[:5])
            more = " and others" if len(of) > 5 else ""
            headline = f"{words[0].upper()}{words[1:]}, for {_count(len(of))}:"
            found.append(Notice("failed", "warning", headline, f"{names}{more}"))
    return found


def _mismatch(row: PortfolioOrder | Order, orders: Sequence[Order]) -> list[Notice]:
    if not orders or is_final(kind_of(row), row.status) or row.status == SETTLING:
        return []
    if not all(is_final(kind_of(order), order.status) for order in orders):
        return []
    ended = {order.status.lower() for order in orders}
    word = ended.pop() if len(ended) == 1 else "ended"
    what = f"All {len(orders)} orders are" if len(orders) > 1 else "The only order is"
    still = row.status.capitalize() or "not known"
    return [
        Notice("stale", "warning", f"{what} {word}, but the portfolio order still says {still}.")
    ]


def _stale(row: PortfolioOrder | Order, now: datetime) -> Notice:
    quiet = f" for {duration(now - row.news_at)}" if row.news_at else ""
    return Notice("stale", "stale", f"Stale: nothing new{quiet}.", f"{_pace(row)}{_asked(row)}")


def _pace(row: PortfolioOrder | Order) -> str:
    if row.status == SETTLING:
        return f"Settlement usually takes up to {duration(settings.STALE_FILLED)}."
    pace: timedelta = settings.STALE_NEW if row.status == "NEW" else settings.STALE_PROCESSING
    hours = " in market hours" if settings.MARKET_HOURS.weekdays else ""
    return f"Usual pace {duration(pace)}{hours}."


def _asked(row: PortfolioOrder | Order) -> str:
    if not row.checks:
        return " Not asked since."
    times = "once" if row.checks == 1 else f"{row.checks} times"
    return f" Asked {times} since: {row.check_error or 'no change'}"


def _count(orders: int) -> str:
    return "1 order" if orders == 1 else f"{orders} orders"
