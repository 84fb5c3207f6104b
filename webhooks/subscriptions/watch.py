"""The watch: every five minutes it compares what is registered with what should be, and keeps the result."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable

from backoffice import panels
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.together import ask, first
from orders.attributes import clean
from webhooks.models import Delivery, FeedWatch, Verdict
from webhooks.subscriptions import registry
from webhooks.subscriptions.condition import COLUMNS, Condition, Learned, State, condition
from webhooks.subscriptions.silence import silent_since
from webhooks.subscriptions.wanted import Registered, drift, leading_to

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
PANEL = "feed"  # what Today remembers of the feed


def current(*, now: datetime) -> Condition:
    """Return the condition of the feed, from what the watch last learned."""
    return condition(learned(), url=settings.WEBHOOK_PUBLIC_URL, now=now)


def learned() -> Learned:
    """Return what the watch last learned; nothing before its first check."""
    return learned_from(ask(**questions()))


def questions() -> dict[str, Combinable]:
    """Return what to ask of the row of the watch, and when something signed came last.

    For those who ask for much else with the same statement.
    """
    signed = Delivery.objects.exclude(verdict=Verdict.REFUSED).order_by("-received_at")
    return {
        **{name: first(FeedWatch.objects.order_by("pk"), name) for name in COLUMNS},
        "last_at": first(signed, "received_at"),
    }


def learned_from(answers: Mapping[str, Any]) -> Learned:
    """Return what the watch last learned, from the answers to its ``questions``.

    A silence that has ended since its last check is none.
    """
    known = {name: answers[name] for name in COLUMNS if answers[name] is not None}
    last_at, since = answers["last_at"], known.get("silent_since")
    if last_at and since and last_at > since:
        del known["silent_since"]
    return Learned(**known)


def check_if_due(*, now: datetime) -> bool:
    """Check, unless another has done so less than ``EVERY`` ago: one conditional UPDATE decides."""
    is_due = Q(check_after=None) | Q(check_after__lte=now)
    is_mine = the_row().filter(is_due).update(check_after=now + EVERY) == 1
    if is_mine:
        check(now=now)
    return is_mine


def check(*, now: datetime) -> None:
    """Ask upstream what is registered, and keep what that tells, or why nothing was told."""
    try:
        found = registry.listed(urgency=Urgency.BACKGROUND)
    except (InvestmentAPIError, ImproperlyConfigured) as error:
        logger.warning("The subscriptions cannot be listed: %s", error)
        _keep_failure(str(error), now=now)
        return
    keep(found, now=now)


def keep(found: Sequence[Registered], *, now: datetime, is_list: bool = True) -> None:
    """Mirror what is registered and keep the verdict; ``is_list``: upstream has just listed it."""
    state, differs = verdict(found)
    with transaction.atomic():
        row = the_row().select_for_update().get()
        registry.mirror(found, now=now)
        if row.found != state:
            logger.log(
                logging.INFO if state is State.OK else logging.ERROR,
                "The subscription of the feed: %s %s", state, differs,
            )  # fmt: skip
            row.since = now
        row.found, row.differs = state, differs
        if is_list:
            row.listed_at = row.tried_at = now
            row.failing_since, row.error = None, ""
        row.silent_since = silent_since(now)
        row.save()
    panels.forget(PANEL)


def verdict(found: Sequence[Registered]) -> tuple[State, str]:
    """Return what is registered for us comes to, and in what it differs."""
    if not settings.WEBHOOK_PUBLIC_URL:
        return State.UNCHECKED, ""
    ours, _ = leading_to(settings.WEBHOOK_PUBLIC_URL, found)
    if ours is None:
        return State.MISSING, ""
    if not ours.enabled:
        return State.DISABLED, ""
    words = drift(ours)
    return (State.DRIFTED, ", ".join(words)) if words else (State.OK, "")


def the_row() -> QuerySet[FeedWatch]:
    """Return the query of the only row, made when first asked for."""
    FeedWatch.objects.bulk_create([FeedWatch(pk=1)], ignore_conflicts=True)
    return FeedWatch.objects.filter(pk=1)


def _keep_failure(error: str, *, now: datetime) -> None:
    with transaction.atomic():
        row = the_row().select_for_update().get()
        row.tried_at, row.error = now, clean(error, 400)
        row.failing_since = row.failing_since or now
        row.silent_since = silent_since(now)  # our own tables know it
        row.save()
    panels.forget(PANEL)
