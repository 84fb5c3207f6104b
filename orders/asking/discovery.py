"""Find portfolio orders whose every webhook was lost: list what upstream has, record what is unknown here.

Every slot of a quarter of an hour has one round, whatever the number of beats; the journal's entry
of a round is its claim and its result. Source: the model, section 5.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from orders import journal, projection
from orders.asking import asks
from orders.attributes import UnreadableError, uuid
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome, PortfolioOrder
from orders.tracked import Source

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
OVERLAP = timedelta(hours=1)  # an order may be listed later than its creation says
FIRST_DAY = timedelta(hours=24)
BATCH = 200  # as many as the client reads at a time


@dataclass(frozen=True, slots=True)
class Listed:
    """How many portfolio orders upstream listed, and how many of them were unknown here."""

    listed: int = 0
    unknown: int = 0

    def __add__(self, other: "Listed") -> "Listed":
        return Listed(self.listed + other.listed, self.unknown + other.unknown)

    def __str__(self) -> str:
        return f"{self.listed} listed, {self.unknown} new"


def discover(*, now: datetime) -> Listed | None:
    """List what was created since the last round that succeeded, unless this slot's round is another's.

    Raises InvestmentAPIError; the next round then begins where this one did.
    """
    if asks.shut_until():
        return (
            None  # nothing would be sent: the round is left to the next beat, and to the same slot
        )
    since = _since(now)
    entry = journal.open_round(_slot(now), now=now)
    if entry is None:
        return None
    try:
        # What is younger may still have its webhook under way.
        listed = record_created(since=since, until=now - settings.LATE_AFTER)
    except InvestmentAPIError as error:
        journal.close_round(entry, Outcome.FAILED, str(error), now=timezone.now())
        raise
    journal.close_round(entry, Outcome.NOTED, str(listed), now=timezone.now())
    return listed


def record_created(
    *,
    since: datetime,
    until: datetime | None = None,
    progress: Callable[[Listed], None] = lambda _: None,
) -> Listed:
    """Record and apply all portfolio orders created from ``since`` on that are unknown here.

    One page in memory at a time; ``progress`` is told the sum after each. Raises InvestmentAPIError.
    """
    done = Listed()
    answers = iter(api().portfolio_orders(since=since, until=until))
    while page := list(islice(answers, BATCH)):
        done += Listed(len(page), _record_unknown(page))
        progress(done)
    return done


def _record_unknown(page: Iterable[dict[str, object]]) -> int:
    answers = dict(_identified(page))
    unknown = answers.keys() - _known(answers)
    now = timezone.now()
    entries = journal.record_answers(
        Kind.PORTFOLIO_ORDER,
        ((pk, answers[pk]) for pk in sorted(unknown)),
        source=Source.POLL,
        now=now,
    )
    projection.drain(now=now, only=entries)
    return len(entries)


def _identified(page: Iterable[dict[str, object]]) -> Iterator[tuple[UUID, object]]:
    for answer in page:
        try:
            yield uuid(answer, "id", required=True), answer
        except UnreadableError as error:
            logger.warning("A listed portfolio order is passed over: %s", error)


def _known(ids: Iterable[UUID]) -> set[UUID]:
    """Return those that are here, or of which something is waiting to be applied."""
    wanted = list(ids)
    pending = JournalEntry.objects.filter(portfolio_order_id__in=wanted, outcome=Outcome.PENDING)
    known = set(PortfolioOrder.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    return known | {pk for pk in pending.values_list("portfolio_order_id", flat=True) if pk}


def _slot(now: datetime) -> datetime:
    return datetime.fromtimestamp(
        now.timestamp() // EVERY.total_seconds() * EVERY.total_seconds(), UTC
    )


def _since(now: datetime) -> datetime:
    """Return what the next round lists from: the last that succeeded, however long ago, else the first day."""
    rounds = JournalEntry.objects.filter(source=Source.POLL, type=journal.DISCOVERY)
    if last := rounds.filter(outcome=Outcome.NOTED).order_by("-pk").first():
        return last.recorded_at - OVERLAP
    first = rounds.order_by("pk").first()  # none has succeeded since the first day
    return (first.recorded_at if first else now) - FIRST_DAY
