"""What the dashboard asks the database about orders: each question from an index or remembered for 15 s."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import TruncHour

from backoffice.admin import CAP
from backoffice.panels import recent
from backoffice.together import Quantile, Rows, ask, first
from orders.dashboard import placements
from orders.journal import DISCOVERY
from orders.lifecycle import KNOWN_STATUSES, OPEN_STATUSES, SETTLING
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.progress import Progress
from orders.reconciliation import latest
from orders.tracked import Source

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
# Filled within a day and settled already: such an order was placed a few days ago at most.
LONGEST_WAY = timedelta(days=4)
STALEST = 6
MOST = CAP + 1  # counted at most: "10,000+"
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
            **_filled(now),
            **_recovered(now),
            **_worker(now),
            **placements.questions(now),
            **_reconciled(now),
        )

    return recent(NUMBERS, lambda: {"at": now, **read()})


def _orders(now: datetime) -> dict[str, Any]:
    orders, stale = PortfolioOrder.objects, PortfolioOrder.objects.stale(now=now)
    oldest = {
        f"oldest_{number}": first(stale.filter(pk__in=rows.values("pk")[:1]), "news_at")
        for number, rows in enumerate(_longest_quiet())
    }
    return oldest | {
        "new": Rows(orders.filter(status="NEW"), MOST),
        "processing": Rows(orders.filter(status="PROCESSING"), MOST),
        "unknown": Rows(_unknown(orders.exclude(status="")), MOST),
        "stale": Rows(stale, MOST),
    }


def _filled(now: datetime) -> dict[str, Any]:
    """Return the questions about what was filled in a day.

    No index holds the moment of the fill: what is filled had news since, and what is settled was
    placed a few days ago at most.
    """
    since = now - DAY
    filled = PortfolioOrder.objects.filter(
        Q(status=SETTLING, news_at__gte=since)
        | Q(status="SETTLED", created_at__gte=since - LONGEST_WAY),
        filled_at__gte=since,
    )
    return {
        "filled": Rows(filled, MOST),
        "median": Quantile(filled.order_by(), "created_at", "filled_at", 50, SAMPLE),
    }


def _recovered(now: datetime) -> dict[str, Any]:
    applied = _asks().filter(outcome=Outcome.APPLIED, recorded_at__gte=now - WEEK)
    told = applied.exclude(status="")
    return {
        "by_poll": Rows(told.filter(source=Source.POLL), MOST),
        "by_refetch": Rows(told.filter(source=Source.REFETCH), MOST),
    }


def _worker(now: datetime) -> dict[str, Any]:
    pending = JournalEntry.objects.filter(outcome=Outcome.PENDING)
    newest = _asks().filter(recorded_at__gte=now - DAY).order_by("-recorded_at")
    rounds = newest.filter(type=DISCOVERY)
    # A round that is under way is an entry that says it failed, until it is closed.
    failed = newest.filter(outcome=Outcome.FAILED).exclude(type=DISCOVERY, applied_at=None)
    failed = failed.exclude(_slip())
    return {
        "pending": Rows(pending, MOST),
        # The head of the queue. Asked for by time of receipt, the database may read the whole journal.
        "pending_since": first(pending.order_by("occurred_at", "id"), "recorded_at"),
        "overdue": Rows(PortfolioOrder.objects.overdue(now=now), MOST),
        "overdue_orders": Rows(Order.objects.overdue(now=now), MOST),
        "polled_at": first(
            newest.filter(source=Source.POLL).exclude(type=DISCOVERY), "recorded_at"
        ),
        "round_at": first(rounds, "recorded_at"),
        "round_said": first(rounds.filter(outcome=Outcome.NOTED), "message"),
        "error_at": first(failed, "recorded_at"),
        "error": first(failed, "message"),
        "error_id": first(failed, "pk"),
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
        PortfolioOrder.objects.filter(created_at__gte=since, created_at__lte=now)
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
        .values(*SHOWN, word=F("orders__status"))
        .annotate(n=Count("orders__pk"))
    )
    found: dict[UUID, PortfolioOrder] = {}
    counts: dict[UUID, Counter[str]] = {}
    for row in rows:
        word, n = row.pop("word"), row.pop("n")
        order = found.setdefault(row["pk"], PortfolioOrder(**row))
        counts.setdefault(order.pk, Counter())[word] += n
    return [
        StaleOrder(order, _progress(counts[pk]), now - (order.news_at or now))
        for pk, order in list(found.items())[:STALEST]
    ]


def _progress(counts: Mapping[str, int]) -> Progress | None:
    known = {word: n for word, n in counts.items() if n}  # without orders there is one empty row
    return Progress(known) if known else None


def _longest_quiet() -> list[QuerySet]:
    """Return what may be stale, the longest quiet first, a query for each status.

    The index on status and news orders each. Whether the first are stale is asked of them alone:
    else the database would look for stale ones among all that settle.
    """
    heard = PortfolioOrder.objects.filter(news_at__isnull=False).order_by("news_at")
    known = [heard.filter(status=status) for status in (*OPEN_STATUSES, SETTLING)]
    return [*known, _unknown(heard)]


def _unknown(rows: QuerySet) -> QuerySet:
    """Return the rows in a status that this release does not know; they carry a flag that has an index."""
    return rows.filter(problems__gt=0).exclude(status__in=KNOWN_STATUSES)


def _slip() -> Q:
    """Return what tells an id that somebody mistyped: asked for by hand, unknown upstream and here."""
    parents = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
    orders = Order.objects.filter(pk=OuterRef("order_id"))
    return Q(source=Source.REFETCH, message__contains=": 404") & ~Exists(parents) & ~Exists(orders)


def _asks() -> QuerySet[JournalEntry]:
    """Return what we asked upstream for: few entries, with an index of their own."""
    return JournalEntry.objects.filter(source__in=[Source.POLL, Source.REFETCH])
