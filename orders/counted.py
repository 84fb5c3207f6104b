"""The sets of rows that pages count and list, each defined once: for tiles, charts, tabs, filters and links.

A number and the list behind it agree because both take their rows from here.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from orders.lifecycle import KNOWN_STATUSES, OPEN_STATUSES
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.problems import BY_NAME, MISSED
from orders.timeline.seen import CANCELLATION, PLACEMENT
from orders.tracked import Source

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
DONE = ("FILLED", "SETTLED")
ANY = "any"  # problem
ASKS = (Source.POLL, Source.REFETCH)  # what we asked the broker for: few entries, with an index


def of_unknown_status(rows: QuerySet) -> QuerySet:
    """Return the rows in a status that this release does not know."""
    return rows.filter(_unknown())


def still_open(rows: QuerySet) -> QuerySet:
    """Return the rows that have not ended, as far as we know: a status that nobody knows is open."""
    return rows.filter(Q(status__in=OPEN_STATUSES) | _unknown())


def done(rows: QuerySet) -> QuerySet:
    """Return the rows that are filled, or have settled already."""
    return rows.filter(status__in=DONE)


def done_since(rows: QuerySet, since: datetime) -> QuerySet:
    """Return the portfolio orders filled since a moment, or settled since then if nobody told when they were filled."""
    since_then: QuerySet = with_end(done(rows)).filter(done_at__gte=since)
    return since_then


def of_unknown_fill_time(rows: QuerySet) -> QuerySet:
    """Return those of the rows that are filled, and nobody told when."""
    return done(rows).filter(filled_at=None)


def with_end(rows: Any) -> Any:
    """Return portfolio orders with ``done_at``: when filled, else when settled; there is an index on it."""
    return rows.alias(done_at=Coalesce("filled_at", "settled_at"))


def with_problem(rows: QuerySet, name: str, *, now: datetime) -> QuerySet:
    """Return the rows with one kind of problem, or with any; a portfolio order has those of its orders, too."""
    first, *rest = _ids_with_problem(rows.model, name, now)
    return rows.filter(pk__in=first.union(*rest) if rest else first)


def alone_with_problem(orders: QuerySet) -> QuerySet:
    """Return the orders with a problem that no portfolio order known here stands for."""
    known = PortfolioOrder.objects.filter(pk=OuterRef("portfolio_order_id"))
    return orders.filter(~Exists(known), problems__gt=0)


def recovered(entries: QuerySet, since: datetime, sources: tuple[Source, ...] = ASKS) -> QuerySet:
    """Return the answers of the broker that told what a webhook should have: they changed an order."""
    asked = entries.filter(source__in=sources, recorded_at__gte=since)
    return asked.filter(outcome=Outcome.APPLIED).exclude(status="")


def quarantined(entries: QuerySet) -> QuerySet:
    """Return the webhook events that could not be applied, and wait for a release or a decision."""
    return entries.filter(outcome=Outcome.QUARANTINED, source=Source.WEBHOOK)


def quarantined_answers(since: datetime, source: Source) -> QuerySet[JournalEntry]:
    """Return the answers that could not be applied; each is asked for again."""
    entries = JournalEntry.objects.filter(outcome=Outcome.QUARANTINED)
    return entries.filter(source=source, recorded_at__gte=since)


def failed_asks(since: datetime) -> QuerySet[JournalEntry]:
    """Return the asks that the broker gave no usable answer to; a 404 is an answer."""
    asked = JournalEntry.objects.filter(source__in=ASKS, recorded_at__gte=since)
    return asked.filter(outcome=Outcome.FAILED).exclude(message__contains=": 404")


def unanswered(since: datetime) -> QuerySet[JournalEntry]:
    """Return the steps that tell of a placement or a cancellation that the broker refused, or did not answer."""
    steps = JournalEntry.objects.filter(source=Source.STAFF, recorded_at__gte=since)
    return steps.filter(type__in=[PLACEMENT, CANCELLATION], status__in=["UNKNOWN", "REFUSED"])


def _unknown() -> Q:
    # Each of them carries the flag: few rows, and an index.
    return Q(problems__gt=0) & ~Q(status__in=[*KNOWN_STATUSES, ""])


def _ids_with_problem(model: Any, name: str, now: datetime) -> list[QuerySet]:
    """Return the ids of rows with a problem, one question for each index that answers a part."""
    tables: list[tuple[Any, str]] = [(model.objects.all(), "pk")]
    if model is PortfolioOrder:
        linked = Order.objects.filter(portfolio_order__isnull=False)
        tables.append((linked, "portfolio_order_id"))
    return [_with_problem(rows, name, now).order_by().values(column) for rows, column in tables]


def _with_problem(rows: Any, name: str, now: datetime) -> QuerySet:
    if name == MISSED.name:
        missed: QuerySet = rows.missed(now=now)
        return missed
    some = rows.filter(problems__gt=0)
    if name != ANY:
        bit = BY_NAME[name].bit
        some = some.alias(bit=F("problems").bitand(bit)).filter(bit=bit)
    found: QuerySet = some
    return found
