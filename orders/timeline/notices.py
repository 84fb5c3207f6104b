"""What people should know about an order before anything else on its page. Reads settings, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from orders.clocks import kind_of
from orders.lifecycle import PROBLEMS, SETTLING, is_final
from orders.models import Order, PortfolioOrder
from orders.timeline.durations import duration
from orders.timeline.items import ASKS, Item, Remark, Timeline
from orders.tracked import Source

ASKED = {Source.POLL.value: "poll", Source.REFETCH.value: "refetch"}


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
    found = [*_problems(row, orders), *_mismatch(row, orders), *_impossible(history)]
    if is_stale:
        found.append(_stale(row, history, now))
    if history.missed:
        found.append(_missed(history.missed))
    return found


def _missed(missed: Sequence[Item]) -> Notice:
    """Return how many webhooks never arrived, and how we know what they should have told."""
    is_one = len(missed) == 1
    headline = f"{len(missed)} expected {'webhook' if is_one else 'webhooks'} never arrived"
    by = {item.told.entry.source if item.told else "" for item in missed}
    if len(by) == 1 and by <= ASKED.keys():
        text = f"and {'was' if is_one else 'were'} recovered by {ASKED[by.pop()]}."
        return Notice("stale", "warning", headline, text, shows_problems=True)
    it = "it" if is_one else "they"
    text = (
        f"Later webhooks told what {it} should have."
        if by == {Source.WEBHOOK.value}
        else f"What {it} should have told is marked in the history."
    )
    return Notice("stale", "warning", f"{headline}.", text, shows_problems=True)


def _impossible(history: Timeline) -> list[Notice]:
    """Return that something was reported that cannot be, unless a flag on the order says so already."""
    count = sum(Remark.BACKWARDS in item.remarks for item in history.items)
    if not count:
        return []
    steps = "1 impossible step was" if count == 1 else f"{count} impossible steps were"
    return [
        Notice(
            "failed", "warning", f"{steps} reported.", "What was known before was kept.",
            shows_problems=True,
        )
    ]  # fmt: skip


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


def _stale(row: PortfolioOrder | Order, history: Timeline, now: datetime) -> Notice:
    quiet = f" for {duration(now - row.news_at)}" if row.news_at else ""
    text = f"{_pace(row)} {_asked(row, history)}"
    return Notice("stale", "stale", f"Stale: nothing new{quiet}.", text)


def _pace(row: PortfolioOrder | Order) -> str:
    if row.status == SETTLING:
        return f"Settlement usually takes up to {duration(settings.STALE_FILLED)} (setting)."
    pace: timedelta = settings.STALE_NEW if row.status == "NEW" else settings.STALE_PROCESSING
    hours = " in market hours" if settings.MARKET_HOURS.weekdays else ""
    return f"Usual pace {duration(pace)}{hours} (setting)."


def _asked(row: PortfolioOrder | Order, history: Timeline) -> str:
    """Return how often the broker was asked since the last news, and what it said last."""
    asks = [
        item.entry
        for item in history.items
        if item.kind in ASKS.values() and item.subject.id == row.pk and item.entry
        if row.news_at is None or item.entry.recorded_at > row.news_at
    ]
    if not asks:
        return "Not asked since."
    word = "Polled" if all(entry.source == Source.POLL for entry in asks) else "Asked"
    times = "once" if len(asks) == 1 else f"{len(asks)} times"
    last = f"last at {timezone.localtime(asks[-1].recorded_at):%H:%M:%S}"
    said = asks[-1].message if asks[-1].outcome == "FAILED" else "no change"
    return f"{word} {times} since, {last}: {said.removesuffix('.')}."


def _count(orders: int) -> str:
    return "1 order" if orders == 1 else f"{orders} orders"
