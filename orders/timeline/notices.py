"""What people should know about an order before anything else on its page. Reads settings, no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from orders.clocks import kind_of
from orders.lifecycle import SETTLING, UNREADABLE_ATTRIBUTE, Kind, is_final
from orders.models import Order, PortfolioOrder
from orders.problems import OF_ORDERS, problems_in
from orders.timeline.durations import duration
from orders.timeline.plain import plain
from orders.timeline.seen import Asked
from orders.tracked import Source

NAMED = 5  # orders with the same problem
MOST_WAITING = 1_000  # deliveries counted on the page of an order
ASKED = {Source.POLL.value: "check", Source.REFETCH.value: "refetch"}


@dataclass(frozen=True, slots=True)
class Notice:
    """A headline and its explanation; ``tone`` is stale (look at it) or failed (something is wrong)."""

    tone: str
    symbol: str
    headline: str
    text: str = ""
    shows_problems: bool = False


class Told(Protocol):
    """What is needed of a history, whole or not."""

    @property
    def missed_by(self) -> Mapping[str, int]:
        """The number of webhooks that never arrived, by the source that told instead; "" where none did."""

    @property
    def impossible(self) -> int:
        """The number of steps backwards."""

    def asked_since(self, kind: Kind, pk: UUID, moment: datetime | None) -> Asked:
        """Return how often an object itself was asked about."""


class Doubtful(Protocol):
    """What is needed of an order with a problem."""

    pk: UUID
    problems: int
    instrument_id: str


@dataclass(frozen=True, slots=True)
class Children:
    """The orders of a portfolio order: how many in each status, and with each combination of problems.

    Of those with problems some are named in ``doubtful``.
    """

    statuses: Mapping[str, int]
    problems: Mapping[int, int]
    doubtful: Sequence[Doubtful]


NONE = Children({}, {}, ())


def notices(
    row: PortfolioOrder | Order,
    *,
    is_stale: bool,
    orders: Children,
    history: Told,
    now: datetime,
) -> list[Notice]:
    """Return the notices of a page, the gravest first; ``orders`` are those of a portfolio order."""
    found = [*_problems(row, orders), *_mismatch(row, orders.statuses)]
    found += _impossible(history.impossible)
    if is_stale:
        found.append(_stale(row, history, now))
    if missed := history.missed_by:
        found.append(_missed(missed))
    return found


def waiting(count: int, since: datetime | None, *, now: datetime) -> list[Notice]:
    """Return that ``count`` deliveries, the oldest received at ``since``, are still to be read, if any are.

    They may tell of any order: which, nobody knows before they are read. ``count`` may have stopped
    at ``MOST_WAITING``.
    """
    if not count:
        return []
    more = "more than " if count > MOST_WAITING else ""
    noun = "webhook delivery is" if count == 1 else "webhook deliveries are"
    age = f", the oldest for {duration(now - since)}" if since else ""
    headline = f"{more}{min(count, MOST_WAITING):,} {noun} received and not yet applied{age}."
    text = "What they tell of this order, if anything, is not on this page yet."
    is_late = since is not None and now - since > settings.APPLY_WITHIN
    look_for = " No worker may be running: see Today." if is_late else ""
    return [
        Notice("failed" if is_late else "stale", "stale", headline.capitalize(), text + look_for)
    ]


def _missed(missed: Mapping[str, int]) -> Notice:
    """Return how many webhooks never arrived, and how we know what they should have told."""
    count = sum(missed.values())
    is_one = count == 1
    headline = f"{count:,} expected {'webhook' if is_one else 'webhooks'} never arrived"
    by = set(missed)
    if len(by) == 1 and by <= ASKED.keys():
        text = f"and {'was' if is_one else 'were'} recovered by {ASKED[by.pop()]}."
        return Notice("stale", "warning", headline, text, shows_problems=True)
    text = (
        "Later webhooks brought the same news."
        if by == {Source.WEBHOOK.value}
        else "The history shows what was missed."
    )
    return Notice("stale", "warning", f"{headline}.", text, shows_problems=True)


def _impossible(count: int) -> list[Notice]:
    """Return that something was reported that cannot be, unless a flag on the order says so already."""
    if not count:
        return []
    steps = "1 impossible step was" if count == 1 else f"{count:,} impossible steps were"
    return [
        Notice(
            "failed", "warning", f"{steps} reported.", "The earlier status was kept.",
            shows_problems=True,
        )
    ]  # fmt: skip


def _problems(row: PortfolioOrder | Order, orders: Children) -> list[Notice]:
    found = [
        _unreadable(row)
        if problem.bit == UNREADABLE_ATTRIBUTE
        else Notice("failed", "warning", f"{problem.label}.", problem.line)
        for problem in problems_in(row.problems)
    ]
    for problem in OF_ORDERS:
        if count := sum(n for bits, n in orders.problems.items() if bits & problem.bit):
            of = [order for order in orders.doubtful if order.problems & problem.bit][:NAMED]
            names = ", ".join(order.instrument_id or str(order.pk)[:8] for order in of)
            more = " and others" if count > len(of) else ""
            headline = f"{problem.label}, {_count(count)}:"
            text = f"{names}{more}. {problem.line}"
            found.append(Notice("failed", "warning", headline, text))
    return found


def _unreadable(row: PortfolioOrder | Order) -> Notice:
    """Return which attributes could not be read, those of the executions on the page as well."""
    names = row.unreadable.split()
    for trade in getattr(row, "trades", ()):
        names += [
            f"{name} of execution {str(trade.upstream_id)[:8]}" for name in trade.unreadable.split()
        ]
    what = (
        "1 attribute" if len(names) == 1 else f"{len(names)} attributes" if names else "Something"
    )
    text = (
        f"{', '.join(names)}. The earlier values were kept; the entry shows what the broker sent."
    )
    return Notice("failed", "warning", f"{what} could not be read:", text)


def _mismatch(row: PortfolioOrder | Order, statuses: Mapping[str, int]) -> list[Notice]:
    if not statuses or is_final(kind_of(row), row.status) or row.status == SETTLING:
        return []
    if not all(is_final(Kind.ORDER, status) for status in statuses):
        return []
    ended = {status.lower() for status in statuses}
    word = ended.pop() if len(ended) == 1 else "final"
    count = sum(statuses.values())
    what = f"All {count:,} orders are" if count > 1 else "The only order is"
    still = row.status.capitalize() or "without a status"
    return [Notice("stale", "warning", f"{what} {word}, but the portfolio order is still {still}.")]


def _stale(row: PortfolioOrder | Order, history: Told, now: datetime) -> Notice:
    quiet = f" for {duration(now - row.news_at)}" if row.news_at else ""
    text = f"{_pace(row)} {_asked(row, history)}"
    return Notice("stale", "stale", f"Stale: no change{quiet}.", text)


def _pace(row: PortfolioOrder | Order) -> str:
    if row.status == SETTLING:
        return f"Settlement usually takes up to {duration(settings.STALE_FILLED)} (setting)."
    pace: timedelta = settings.STALE_NEW if row.status == "NEW" else settings.STALE_PROCESSING
    hours = " in market hours" if settings.MARKET_HOURS.weekdays else ""
    return f"Expected within {duration(pace)}{hours} (setting)."


def _asked(row: PortfolioOrder | Order, history: Told) -> str:
    """Return how often the broker was asked since the last news, and what it said last."""
    count, polls, entry = history.asked_since(kind_of(row), row.pk, row.news_at)
    if entry is None:
        return "Not checked since."
    word = "Checked" if polls == count else "Asked"
    times = "once" if count == 1 else f"{count:,} times"
    last = f"last at {timezone.localtime(entry.recorded_at):%H:%M:%S}"
    zone = timezone.get_current_timezone()
    reason = plain(entry.message, zone, said_at=entry.recorded_at)
    said = f"{reason[:1].lower()}{reason[1:]}" if entry.outcome == "FAILED" else "no change"
    return f"{word} {times} since, {last}: {said.removesuffix('.')}."


def _count(orders: int) -> str:
    return "1 order" if orders == 1 else f"{orders:,} orders"
