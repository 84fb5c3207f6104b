"""Clocks of tracked rows: what follows when we heard, not what upstream said. No database but the first webhook.

Source: the model, sections 4 (missing) and 5 (heard, news, due).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from django.conf import settings

from orders.entries import Entry
from orders.fold import is_proven, misses
from orders.lifecycle import CONFLICT, NOT_FOUND, Kind, is_final, next_check
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from orders.tracked import Source, Tracked

ASKED = frozenset({Source.POLL, Source.REFETCH})
RESTING_TYPES = frozenset({"LIMIT", "STOP"})  # may rest for months

_first_webhook: list[datetime] = []  # never changes once there is one


def kind_of(row: Tracked) -> Kind:
    """Return what kind of object a row is."""
    return row.kind


def first_webhook_at() -> datetime | None:
    """Return when this installation recorded its first webhook: nothing is expected of what is older."""
    if not _first_webhook:
        webhooks = JournalEntry.objects.filter(source=Source.WEBHOOK).order_by("recorded_at")
        _first_webhook.extend(webhooks.values_list("recorded_at", flat=True)[:1])
    return _first_webhook[0] if _first_webhook else None


def forget_first_webhook() -> None:
    """Forget what is known of the first webhook: the database is another one now."""
    _first_webhook.clear()


def watch_for_gap(
    row: Tracked, *, recorded_at: datetime, first_webhook_at: datetime | None
) -> None:
    """Note since when a webhook that must have been sent is missing, or that none is."""
    expects = bool(first_webhook_at and row.created_at and row.created_at >= first_webhook_at)
    if not (expects and misses(kind_of(row), row)):
        row.missing_since = None
    elif row.missing_since is None:
        row.missing_since = recorded_at


def hear(row: Tracked, entry: Entry) -> None:
    """Note when and how we last heard of an object, and whether it was news."""
    if row.heard_at is None or row.heard_at <= entry.recorded_at:
        row.heard_at, row.heard_via = entry.recorded_at, entry.source
    if entry.outcome == Outcome.APPLIED:
        row.news_at = max(row.news_at or entry.recorded_at, entry.recorded_at)
    about = entry.portfolio_order_id if row.kind is Kind.PORTFOLIO_ORDER else entry.order_id
    if entry.source in ASKED and about == row.pk:
        row.problems &= ~NOT_FOUND


def inherit(portfolio_order: PortfolioOrder, order: Order) -> None:
    """Take over what was heard of an order before its portfolio order was known."""
    if order.heard_at and (
        portfolio_order.heard_at is None or portfolio_order.heard_at < order.heard_at
    ):
        portfolio_order.heard_at, portfolio_order.heard_via = order.heard_at, order.heard_via
    if order.news_at:
        portfolio_order.news_at = max(portfolio_order.news_at or order.news_at, order.news_at)


def plan(row: Tracked, *, now: datetime, orders: Iterable[Order] = (), owed: bool = False) -> None:
    """Set when to ask upstream next about a row; ``orders`` are those of a portfolio order.

    ``owed``: an execution of it, or of its orders, has not settled.
    """
    kind, orders = kind_of(row), list(orders)
    # Named, but not here.
    parentless = kind is Kind.ORDER and cast("Order", row).portfolio_order_id is not None
    doubtful = parentless or not is_proven(kind, row) or bool(row.problems & CONFLICT)
    doubtful |= any(
        not is_proven(Kind.ORDER, order) or bool(order.problems & CONFLICT) for order in orders
    )
    watched: list[Tracked] = [*orders] or [row]
    unfinished = [order for order in watched if not is_final(kind_of(order), order.status)]
    row.check_after = next_check(
        kind=kind,
        pk=row.pk,
        status=row.status,
        now=now,
        checks=row.checks,
        doubtful=doubtful,
        resting=bool(unfinished) and all(_rests(order) for order in unfinished),
        owed=owed,
        first=settings.POLL_AFTER,
        longest=settings.POLL_LONGEST,
    )


def _rests(row: Tracked) -> bool:
    return row.kind is Kind.ORDER and cast("Order", row).order_type in RESTING_TYPES
