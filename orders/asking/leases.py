"""The right to ask upstream about a row, for one at a time.

A process that dies while it asks leaves a lease that runs out, and nothing else. Source: the model, section 5.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from backoffice.interruptions import INTERRUPTIONS
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.calls import DEADLINE
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from orders.tracked import Source

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)

MODELS: Mapping[Kind, type[PortfolioOrder] | type[Order]] = {
    Kind.PORTFOLIO_ORDER: PortfolioOrder,
    Kind.ORDER: Order,
}
Row = tuple[Kind, UUID]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the poller, or a person by name, who is served first.

    ``until`` (monotonic clock) is when somebody who waits at a screen stops waiting; the poller may
    have one too, when it looks at once what a button came to.
    """

    source: Source
    actor: str = ""
    until: float | None = None

    @property
    def is_person(self) -> bool:
        """Return whether somebody waits for the answer."""
        return self.source == Source.REFETCH or self.until is not None

    @property
    def urgency(self) -> Urgency:
        """Return who goes first."""
        return Urgency.PERSON if self.is_person else Urgency.BACKGROUND

    @property
    def patience(self) -> float:
        """Return how many seconds a call may take."""
        if self.until is None:
            return DEADLINE
        return min(DEADLINE, max(0.0, self.until - time.monotonic()))


POLLER = Asker(Source.POLL)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask about one row until it is ended or runs out."""

    kind: Kind
    pk: UUID
    until: datetime

    @property
    def row(self) -> Row:
        """Return which row it is about."""
        return self.kind, self.pk

    def end(self) -> None:
        """Give the right back; nothing happens if it ran out and another has it."""
        end([self])


def take(kind: Kind, pk: UUID, asker: Asker) -> Lease | None:
    """Take the right to ask about a row; None if another has it, or if it is not due for the poller."""
    now = timezone.now()
    if MODELS[kind].objects.claim(pk, now=now, lease=LEASE, only_due=not asker.is_person):
        return Lease(kind, pk, now + LEASE)
    return None


def claim(kind: Kind, most: int, *, due_at: datetime) -> list[Lease]:
    """Take the right to ask about at most ``most`` rows that were due at ``due_at``, the longest overdue first."""
    now = timezone.now()
    claimed = MODELS[kind].objects.claim_due(most, due_at=due_at, now=now, lease=LEASE)
    return [Lease(kind, pk, now + LEASE) for pk in claimed]


def end(leases: Iterable[Lease]) -> None:
    """Give rights back, with one statement for those that were taken together."""
    together: dict[tuple[Kind, datetime], list[UUID]] = {}
    for lease in leases:
        together.setdefault((lease.kind, lease.until), []).append(lease.pk)
    for (kind, until), pks in together.items():
        rows = MODELS[kind].objects.filter(pk__any_of=pks, asking_until=until)
        rows.update(asking_until=None)


def asking_since(kind: Kind, pk: UUID) -> datetime | None:
    """Return since when somebody has been asking about a row; None if nobody is."""
    until = MODELS[kind].objects.filter(pk=pk).values_list("asking_until", flat=True).first()
    return until - LEASE if until and until >= timezone.now() else None


@contextmanager
def guard(kind: Kind, pk: UUID) -> Iterator[datetime | None]:
    """Keep two people from asking about an object that has no row to claim; yield since when another asks."""
    with alone(f"asking/{kind}/{pk}", LEASE) as since:
        yield since


@contextmanager
def alone(key: str, longest: timedelta) -> Iterator[datetime | None]:
    """Keep another process from doing the same for ``longest``; yield since when another does it.

    Where the cache is away both do it, which costs calls and nothing else.
    """
    now = timezone.now()
    since: datetime | None = None
    try:
        since = None if cache.add(key, now, longest.total_seconds()) else cache.get(key)
    except INTERRUPTIONS:
        raise
    except Exception as error:  # noqa: BLE001 -- each cache has errors of its own
        logger.warning("No guard for %s: %s", key, error)
    try:
        yield since
    finally:
        if since is None:
            _forget(key)


def _forget(key: str) -> None:
    try:
        cache.delete(key)
    except INTERRUPTIONS:
        raise
    except Exception as error:  # noqa: BLE001 -- it runs out by itself
        logger.warning("The guard %s stays until it runs out: %s", key, error)
