"""The life of one order as its history tells it: stages, ends, and when we learned of these. Pure.

By the time at which things happened upstream. Source: ux.md, section 6a.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orders.executions import REVERSED
from orders.lifecycle import SETTLING, Kind, is_final
from orders.timeline.items import Item, Remark
from orders.timeline.reports import ENDS
from orders.timeline.seen import Subject


@dataclass(frozen=True, slots=True)
class Stage:
    """The time that an order spent in a status."""

    status: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class End:
    """A status in which an order ended: filled, settled or cancelled; or ``REVERSED``, what became of a fill.

    ``learned_at`` is when we learned it, and ``source`` from where, if that was too late; else None.
    """

    status: str
    at: datetime
    learned_at: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one order or portfolio order, up to ``now``; stages and ends in time's order.

    An order that is only named in a list may have neither, and one whose end is known from a list
    alone has no end: nobody told when it was.
    """

    subject: Subject
    stages: tuple[Stage, ...]
    ends: tuple[End, ...]
    is_problem: bool
    now: datetime

    @property
    def name(self) -> str:
        """What it is called: its instrument, else the beginning of its id."""
        if not self.subject.is_order:
            return "Portfolio order"
        return self.subject.instrument_id or f"Order {str(self.subject.id)[:8]}"

    @property
    def state(self) -> str:
        """What it is drawn as: its status, or that its fill was reversed."""
        return REVERSED if self.subject.is_reversed else self.subject.status

    @property
    def is_final(self) -> bool:
        """Whether no further status can follow."""
        return is_final(self.subject.kind, self.subject.status)

    @property
    def is_open(self) -> bool:
        """Whether it has not been traded yet; a filled portfolio order that settles is not open."""
        settles = self.subject.kind is Kind.PORTFOLIO_ORDER and self.subject.status == SETTLING
        return not (self.is_final or settles)

    @property
    def started_at(self) -> datetime | None:
        """When it began; None where nobody told."""
        starts = [stage.start for stage in self.stages[:1]] + [end.at for end in self.ends[:1]]
        return min(starts, default=None)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None where it has not, or nobody told."""
        return self.ends[0].at if self.ends and not self.is_open else None

    @property
    def took(self) -> timedelta | None:
        """How long it took, or has been open, as the head of the page says; None where nobody told."""
        known = self.subject
        ends = (end.at for end in self.ends if end.status != "SETTLED")
        until = self.now if self.is_open else known.ended_at or next(ends, None)
        since = known.created_at or self.started_at
        return until - since if until and since else None

    @property
    def moments(self) -> Iterator[datetime]:
        """Every moment at which something happened to it or was learned too late."""
        yield from (stage.start for stage in self.stages)
        for end in self.ends:
            yield end.at
            if end.learned_at:
                yield end.learned_at


def life_of(
    subject: Subject, items: Iterable[Item], *, now: datetime, late_after: timedelta
) -> Life:
    """Return the life of ``subject`` from the items of its history, which stand in time's order."""
    own = list(items)
    told = [(item.occurred_at, item) for item in own if item.occurred_at]
    steps = [(at, item.to_status) for at, item in told if item.is_step]
    # A status that we do not know displaces none that we do: it is shown where there is no other.
    begun = (
        [(at, status) for at, status in steps if status not in ENDS] if steps else _unknown(told)
    )
    ends = [_end(at, item, late_after) for at, item in told if _is_end(item)]
    ends += _reversals(subject, told, ends)
    life = Life(subject, (), tuple(ends), is_problem=any(map(_is_problem, own)), now=now)
    return replace(life, stages=tuple(_stages(_from_the_beginning(begun, life), life)))


def _unknown(told: Iterable[tuple[datetime, Item]]) -> list[tuple[datetime, str]]:
    return [(at, item.to_status) for at, item in told if Remark.UNKNOWN_STATUS in item.remarks]


def _from_the_beginning(
    begun: list[tuple[datetime, str]], life: Life
) -> list[tuple[datetime, str]]:
    """Put the time before the first report in front: what was placed was new."""
    placed_at = life.subject.created_at
    first = min([at for at, _ in begun[:1]] + [end.at for end in life.ends[:1]], default=None)
    if placed_at is None or (first and first <= placed_at):
        return begun
    later = begun[1:] if begun and begun[0][1] == "NEW" else begun
    return [(placed_at, "NEW"), *later]


def _stages(begun: Sequence[tuple[datetime, str]], life: Life) -> Iterator[Stage]:
    last = [end.at for end in life.ends[:1]] or ([life.now] if life.is_open else [])
    nexts = [at for at, _ in begun[1:]] + last
    for number, (start, status) in enumerate(begun):
        until = nexts[number] if number < len(nexts) else start  # it ended, nobody told when
        yield Stage(status, start, max(start, until))


def _reversals(
    subject: Subject, told: Iterable[tuple[datetime, Item]], ends: Sequence[End]
) -> list[End]:
    """Return the moment from which on an executed order counts as reversed, if it was told."""
    if not (subject.is_reversed and ends):
        return []
    moments = (at for at, item in told if Remark.MISTRADE in item.remarks and at >= ends[-1].at)
    return [End(REVERSED, at) for at in moments][:1]


def _is_end(item: Item) -> bool:
    moves = item.is_step or Remark.CONFLICT in item.remarks
    return moves and item.to_status in ENDS


def _end(at: datetime, item: Item, late_after: timedelta) -> End:
    learned = item.learned
    if learned is None or learned.recorded_at - at <= late_after:
        return End(item.to_status, at)
    return End(item.to_status, at, learned.recorded_at, learned.source)


def _is_problem(item: Item) -> bool:
    """Return whether it is a problem of the order; a repeated delivery is none, it was ignored."""
    return replace(item, deliveries=1).is_problem
