"""What the dashboard asks the database about orders: each question from an index or remembered for 15 s."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet
from django.db.models.functions import TruncHour

from backoffice import admin
from backoffice.panels import recent
from backoffice.together import Quantile, Rows, ask, first
from orders import counted, intake, pulse, version
from orders.dashboard import placements
from orders.journal import DISCOVERY
from orders.lifecycle import OPEN_STATUSES, SETTLING
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.problems import OF_ORDERS
from orders.progress import Progress, progress
from orders.reconciliation import latest
from orders.tracked import Source

STALEST = 6
NUMBERS = "orders"  # what they are remembered as
SAMPLE = 10_000  # rows that a median is taken of
RECONCILED = ["pk", "started_at", "state", "compared", "differing", "unknown_there", "is_amber"]
SHOWN = [
    "pk", "status", "type", "cash_amount", "currency", "problems", "news_at", "check_after",
    "asking_until",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class StaleOrder:
    """A portfolio order without news, and how far its orders are; None while it has none."""

    portfolio_order: PortfolioOrder
    progress: Progress | None
    quiet_for: timedelta


def numbers(now: datetime) -> dict[str, Any]:
    """Return the numbers of tiles, notices and the worker's line, with one statement; "at" is their moment."""

    def read() -> dict[str, Any]:
        return ask(
            **_orders(now),
            **_problems(now),
            **_filled(now),
            **_recovered(now),
            **_worker(now),
            **pulse.questions(),
            **placements.questions(now),
            **_reconciled(now),
            **version.questions(),
        )

    return recent(NUMBERS, lambda: {"at": now, **read()})


def _orders(now: datetime) -> dict[str, Any]:
    orders, stale = PortfolioOrder.objects, PortfolioOrder.objects.stale(now=now)
    oldest = {
        f"oldest_{number}": first(stale.filter(pk__in=rows.values("pk")[:1]), "news_at")
        for number, rows in enumerate(_longest_quiet())
    }
    return oldest | {
        "open": Rows(counted.still_open(orders.all()), admin.CAP + 1),
        "new": Rows(orders.filter(status="NEW"), admin.CAP + 1),
        "processing": Rows(orders.filter(status="PROCESSING"), admin.CAP + 1),
        "unknown": Rows(counted.of_unknown_status(orders.all()), admin.CAP + 1),
        "stale": Rows(stale, admin.CAP + 1),
    }


def _problems(now: datetime) -> dict[str, Any]:
    """Return the questions how many portfolio orders have each kind of problem, and how many have any."""
    rows = PortfolioOrder.objects.all()
    names = [counted.ANY, *(problem.name for problem in OF_ORDERS)]
    return {
        **{
            f"problem_{name}": Rows(counted.with_problem(rows, name, now=now), admin.CAP + 1)
            for name in names
        },
        "problem_alone": Rows(counted.alone_with_problem(Order.objects.all()), admin.CAP + 1),
    }


def _filled(now: datetime) -> dict[str, Any]:
    """Return the questions about what was filled in a day."""
    filled = counted.done_since(PortfolioOrder.objects.all(), now - counted.DAY)
    return {
        "filled": Rows(filled, admin.CAP + 1),
        "filled_unknown": Rows(counted.of_unknown_fill_time(filled), admin.CAP + 1),
        "median": Quantile(filled.order_by(), "created_at", "filled_at", 50, SAMPLE),
    }


def _recovered(now: datetime) -> dict[str, Any]:
    entries, since = JournalEntry.objects.all(), now - counted.WEEK
    asked = {"recovered": counted.ASKS, "by_poll": (Source.POLL,), "by_refetch": (Source.REFETCH,)}
    return {
        name: Rows(counted.recovered(entries, since, sources), admin.CAP + 1)
        for name, sources in asked.items()
    }


def _worker(now: datetime) -> dict[str, Any]:
    since = now - counted.DAY
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING)
    asked = JournalEntry.objects.filter(source__in=counted.ASKS, recorded_at__gte=since)
    newest = asked.order_by("-recorded_at")
    rounds = newest.filter(type=DISCOVERY)
    # A round that is under way is an entry that says it failed, until it is closed.
    failed = counted.failed_asks(since).exclude(type=DISCOVERY, applied_at=None)
    failed = failed.order_by("-recorded_at")
    unanswered = counted.unanswered(since).order_by("-pk")
    return {
        **intake.questions(admin.CAP + 1),
        "pending": Rows(pending, admin.CAP + 1),
        # The head of the queue. Asked for by time of receipt, the database may read the whole journal.
        "pending_since": first(pending.order_by("occurred_at", "id"), "recorded_at"),
        "overdue": Rows(PortfolioOrder.objects.overdue(now=now), admin.CAP + 1),
        "overdue_orders": Rows(Order.objects.overdue(now=now), admin.CAP + 1),
        "polled_at": first(
            newest.filter(source=Source.POLL).exclude(type=DISCOVERY), "recorded_at"
        ),
        "round_at": first(rounds, "recorded_at"),
        "round_said": first(rounds.filter(outcome=Outcome.NOTED), "message"),
        "error_at": first(failed, "recorded_at"),
        "error": first(failed, "message"),
        "error_id": first(failed, "pk"),
        "unanswered_at": first(unanswered, "recorded_at"),
        "unanswered": first(unanswered, "message"),
        "unanswered_id": first(unanswered, "pk"),
    }


def _reconciled(now: datetime) -> dict[str, Any]:
    rows = latest.told_of(now)
    return {f"reconciled_{name}": first(rows, name) for name in RECONCILED}


def placed(now: datetime) -> dict[tuple[datetime, str], int]:
    """Return how many portfolio orders were placed in each of the last 24 hours, by their status now.

    Hours of UTC: in the display zone one hour of a year comes twice, and would be one.
    """
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    rows = (
        PortfolioOrder.objects.filter(created_at__gte=since, created_at__lt=since + counted.DAY)
        .order_by()
        .values_list(TruncHour("created_at", tzinfo=UTC), "status")
        .annotate(n=Count("pk"))
    )
    return recent("placed", lambda: {(hour, status): n for hour, status, n in rows})


def stalest(now: datetime) -> list[StaleOrder]:
    """Return the portfolio orders that have been stale for longest, with one statement; never remembered.

    A row for each status of the orders of each: so progress needs no statement of its own.
    """
    each = [
        PortfolioOrder.objects.filter(pk__in=rows.values("pk")[:STALEST]).order_by().values("pk")
        for rows in _longest_quiet()
    ]
    rows = (
        PortfolioOrder.objects.stale(now=now)
        .filter(pk__in=each[0].union(*each[1:]))
        .order_by("news_at", "pk")
        .values(*SHOWN, word=F("orders__status"), bits=F("orders__problems"))
        .annotate(n=Count("orders__pk"))
    )
    found: dict[UUID, PortfolioOrder] = {}
    told: defaultdict[UUID, list[tuple[str, int, int, int]]] = defaultdict(list)
    for row in rows:
        word, bits, n = (row.pop(name) for name in ("word", "bits", "n"))
        order = found.setdefault(row["pk"], PortfolioOrder(**row))
        if n:  # without orders there is one empty row
            told[order.pk].append((word, bits, n, 0))
    return [
        StaleOrder(order, progress(told[pk]) if told[pk] else None, now - (order.news_at or now))
        for pk, order in list(found.items())[:STALEST]
    ]


def _longest_quiet() -> list[QuerySet]:
    """Return what may be stale, the longest quiet first, a query for each status.

    The index on status and news orders each. Whether the first are stale is asked of them alone:
    else the database would look for stale ones among all that settle.
    """
    heard = PortfolioOrder.objects.filter(news_at__isnull=False).order_by("news_at")
    known = [heard.filter(status=status) for status in (*OPEN_STATUSES, SETTLING)]
    return [*known, counted.of_unknown_status(heard)]
