"""Working on a reconciliation, part by part.

Whoever holds its lease works on it, and position, counts and findings of a part are kept in one
transaction. A process that dies loses a part, which is then repeated.
"""

import logging
import time
from datetime import timedelta
from typing import Self

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from backoffice.database import may_pass
from backoffice.interruptions import is_interruption
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from orders.attributes import clean
from orders.reconciliation import runs, walk
from orders.reconciliation.cases import Part, Position
from orders.reconciliation.judge import judge
from orders.reconciliation.models import Finding, Reconciliation, RunState
from orders.reconciliation.sentences import COUNTS

logger = logging.getLogger(__name__)

SHIFT = timedelta(seconds=60)  # of a worker's task: then others get their turn
PAUSE = timedelta(seconds=30)  # after an answer that does not say how long to wait
TRIES = 3  # of writing a part down, where another transaction was in the way
UNSORTED = "The broker's list was not sorted by ID, so orders missing from it were not looked for."


class LostError(Exception):
    """Somebody else works on it, or has ended it: what was just done does not count."""


class Work:
    """The right to work on a reconciliation, for one at a time; ``run`` is as last seen."""

    def __init__(self, run: Reconciliation) -> None:
        self.run = run
        self._lease = run.leased_until

    @classmethod
    def take(cls, pk: int) -> Self | None:
        """Take it; None if another has it, or if it is not under way."""
        now = timezone.now()
        if runs.waiting(now).filter(pk=pk).order_by().update(leased_until=now + runs.LEASE) == 0:
            return None
        return cls(Reconciliation.objects.get(pk=pk))

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to do."""
        return self.run.state != RunState.RUNNING

    def step(self) -> timedelta:
        """Do the next part; return how long upstream wants us to wait before another. Raises LostError."""
        self.run.refresh_from_db()
        if self.is_over or self.run.leased_until != self._lease:
            raise LostError
        if self.run.stop_requested:
            return self._end(RunState.STOPPED)
        try:
            part, follows = walk.next_part(self.run)
            self._keep(part, follows)
        except InvestmentAPIError as error:
            return self._suffer(error)
        except ImproperlyConfigured as error:
            return self._end(RunState.FAILED, str(error))
        except (DatabaseError, LostError):
            raise
        except Exception as error:  # else the sweep would try the same for ever
            if is_interruption(error):
                raise
            logger.exception("Reconciliation %s broke down", self.run.pk)
            return self._end(
                RunState.FAILED, f"It failed unexpectedly: {type(error).__name__}: {error}"
            )
        return self._suffer(part.trouble) if part.trouble else timedelta()

    def release(self, wait: timedelta = timedelta()) -> None:
        """Let another go on with it, after ``wait``."""
        self._write(leased_until=timezone.now() + wait if wait else None)

    def interrupted(self) -> None:
        """Leave it to another soon, after something that says nothing about it; else its lease runs out."""
        try:
            self.release(PAUSE)
        except (DatabaseError, LostError) as error:
            logger.warning("Reconciliation %s goes on later: %s", self.run.pk, error)

    def _keep(self, part: Part, follows: Position | None) -> None:
        """Judge a part and write all of it down, or nothing. Raises LostError."""
        lease = self._lease
        for left in reversed(range(TRIES)):
            try:
                with transaction.atomic():
                    self._write_down(part, follows)
                break
            except BaseException as error:
                self._lease = lease  # rolled back with all else
                if not (left and isinstance(error, DatabaseError) and may_pass(error)):
                    raise
                logger.warning("A part of reconciliation %s is tried again: %s", self.run.pk, error)
        self.run.refresh_from_db()

    def _write_down(self, part: Part, follows: Position | None) -> None:
        now = timezone.now()
        judged = judge(part.cases, now=now)
        for finding in judged.findings:
            finding.reconciliation = self.run
        Finding.objects.bulk_create(judged.findings)
        counts = dict.fromkeys(COUNTS, 0) | {"equal": judged.equal}
        for finding in judged.findings:
            counts[finding.verdict.lower()] += 1
        counts["compared"] = sum(counts.values())
        changes = {name: F(name) + count for name, count in counts.items() if count}
        last = part.cases[-1].position if part.cases else self.run.position
        self._write(position=follows or last, reason="", **changes)
        if follows is None:
            self._end(RunState.DONE, UNSORTED if last.get("unsorted") else "")

    def _suffer(self, error: InvestmentAPIError) -> timedelta:
        """Wait where that helps, else fail."""
        if not isinstance(error, UnavailableError):
            return self._end(RunState.FAILED, str(error))
        self._write(reason=clean(error, 2000))
        self.run.refresh_from_db()
        return max(error.retry_after or PAUSE, timedelta(seconds=1))

    def _end(self, state: RunState, reason: str = "") -> timedelta:
        now = timezone.now()
        with transaction.atomic():
            self._write(state=state, ended_at=now, leased_until=None, reason=clean(reason, 2000))
            self.run.refresh_from_db()
            if state is not RunState.STOPPED:  # that line has been written
                runs.record(self.run, state.value, actor="", now=now)
        return timedelta()

    def _write(self, **changes: object) -> None:
        """Write to the row if it is still ours, and prolong the lease unless told otherwise."""
        lease = changes.setdefault("leased_until", timezone.now() + runs.LEASE)
        mine = Reconciliation.objects.filter(
            pk=self.run.pk, state=RunState.RUNNING, leased_until=self._lease
        )
        if mine.update(**changes) == 0:
            raise LostError
        self._lease = lease


def shift(pk: int) -> bool:
    """Work on a reconciliation for a while, if nobody does; return whether it is to go on at once."""
    work = Work.take(pk)
    if work is None:
        return False
    try:
        return _work_on(work)
    except LostError:
        return False
    except BaseException as error:
        if is_interruption(error):
            work.interrupted()
        raise


def _work_on(work: Work) -> bool:
    ends = time.monotonic() + SHIFT.total_seconds()
    while True:
        wait = work.step()
        if work.is_over:
            return False
        if wait:
            work.release(wait)
            return False
        if time.monotonic() > ends:
            work.release()
            return True
