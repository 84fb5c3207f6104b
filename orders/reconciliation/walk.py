"""Where a reconciliation goes: part by part through upstream's lists and what we hold, from any position.

Lists are read with overlap. The list of portfolio orders stands still, for it ends before the
reconciliation began, and is sorted by id: what we hold between two of its ids and it does not name
is asked about by id. The lists of an account move; what was seen in one is not counted in the next.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from backoffice.investment_api.calls import OVERLAP, Page
from backoffice.investment_api.client import STATUSES, api
from orders.asking.leases import Row
from orders.attributes import UnreadableError, uuid
from orders.lifecycle import Kind
from orders.reconciliation import books
from orders.reconciliation.cases import (
    MOST,
    Case,
    Part,
    Position,
    asked_about,
    gathered,
    of_answers,
)
from orders.reconciliation.compare import Told, told
from orders.reconciliation.models import Reconciliation, Scope

logger = logging.getLogger(__name__)

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # before any order
LISTED, OURS, OPEN, ALONE = "listed", "ours", "open", "alone"  # phases, beside the statuses
PHASES = {
    Scope.WINDOW: (LISTED,),
    Scope.ACCOUNT: (LISTED, *STATUSES, OURS),
    Scope.OPEN: (OPEN, ALONE),
}


def next_part(run: Reconciliation) -> tuple[Part, Position | None]:
    """Return what comes next, and where to go on once it is settled: None where nothing is left.

    Raises InvestmentAPIError where upstream's list cannot be read.
    """
    position = run.position or {"phase": PHASES[Scope(run.scope)][0]}
    if position["phase"] == LISTED:
        part, end = _listed(run, position)
    elif position["phase"] in STATUSES:
        part, end = _of_account(run, position)
    else:
        part, end = _held(run, position)
    if not part.is_whole:
        end = part.cases[-1].position if part.cases else position
    seen = [*position.get("seen", []), *_seen(part, position["phase"])]
    if end and seen:
        end = {**end, "seen": seen}
    return part, end


def _seen(part: Part, phase: str) -> list[str]:
    return [it.answer.pk.hex for it in part.cases if it.answer] if phase in STATUSES else []


def _next_phase(run: Reconciliation, position: Position) -> Position | None:
    phases = PHASES[Scope(run.scope)]
    rest = phases[phases.index(position["phase"]) + 1 :]
    kept = {"unsorted": True} if position.get("unsorted") else {}
    return {"phase": rest[0], **kept} if rest else None


def _listed(run: Reconciliation, position: Position) -> tuple[Part, Position | None]:
    """Return the next portfolio orders that upstream lists, and those of ours that it leaves out."""
    at = timezone.now()
    page = api().portfolio_orders_from(
        _begin(position), since=run.since or BEGINNING, until=run.until, account_id=run.account_id
    )
    listed = list(_fresh(Kind.PORTFOLIO_ORDER, page, position, at))
    if not _is_sorted(page, position):
        listed = [(it, {**place, "unsorted": True}) for it, place in listed]
    with_orders = run.scope == Scope.WINDOW  # those of an account are listed by themselves
    cases = of_answers(listed, now=at, with_orders=with_orders)
    part, last = Part(cases), listed[-1][1] if listed else position
    if not last.get("unsorted"):
        known = [it.pk for it, _ in listed]
        ours = _left_out(run, position, known, is_last=page.is_last)
        part = _merged(cases, ours, position, at, with_orders=with_orders)
    return gathered(part), _end(run, page, last)


def _end(run: Reconciliation, page: Page, last: Position) -> Position | None:
    """Return where to go on after a whole page; ``last`` is the position after its last entry."""
    return _next_phase(run, last) if page.is_last else _after(page, len(page.entries), last)


def _merged(
    listed: Sequence[Case],
    ours: Sequence[UUID],
    position: Position,
    at: datetime,
    *,
    with_orders: bool,
) -> Part:
    """Return the cases of a list with those of what it leaves out, by id; as many as can be asked about."""
    places: list[tuple[UUID, Position, Case | None]] = []
    known = {case.answer.pk: case for case in listed if case.answer}
    for pk in sorted([*known, *ours]):
        case = known.get(pk)
        position = case.position if case else {**position, "floor": pk.hex}
        places.append((pk, position, case))
    rows = [((Kind.PORTFOLIO_ORDER, pk), place) for pk, place, case in places if not case]
    asked = asked_about(rows[:MOST], now=at, with_orders=with_orders)
    replies = iter(asked.cases)
    cases: list[Case] = []
    for _, _, case in places:
        found = case or next(replies, None)
        if found is None:  # not asked, or in vain: the next part begins there
            return Part(cases, asked.trouble, is_whole=False)
        cases.append(found)
    return Part(cases)


def _of_account(run: Reconciliation, position: Position) -> tuple[Part, Position | None]:
    """Return the next orders of an account with one status, but for those seen before."""
    assert run.account_id  # noqa: S101 -- no other scope has this phase
    at = timezone.now()
    page = api().account_orders_from(
        _begin(position), run.account_id, status=position["phase"], until=run.until
    )
    seen = set(position.get("seen", []))
    entries = [
        (it, place) for it, place in _fresh(Kind.ORDER, page, position, at) if it.pk.hex not in seen
    ]
    last = entries[-1][1] if entries else position
    return gathered(Part(of_answers(entries, now=at, with_orders=False))), _end(run, page, last)


def _held(run: Reconciliation, position: Position) -> tuple[Part, Position | None]:
    """Return the next objects that we hold and have to ask about one by one."""
    phase, done = position["phase"], position.get("done", 0)
    total = position.get("total")
    rows = _rows(run, phase)
    if total is None:
        total = 0 if phase == OURS else rows.count()
    kind = Kind.PORTFOLIO_ORDER if phase == OPEN else Kind.ORDER
    pks = list(_after_floor(rows, position))
    asked: list[tuple[Row, Position]] = [
        ((kind, pk), {**_kept(position), "floor": pk.hex, "done": done + number, "total": total})
        for number, pk in enumerate(pks, start=1)
    ]
    part = gathered(asked_about(asked, now=timezone.now()))
    return part, asked[-1][1] if len(pks) == MOST else _next_phase(run, position)


def _rows(run: Reconciliation, phase: str) -> QuerySet[Any]:
    if phase == OPEN:
        return books.open_portfolio_orders(run)
    return books.open_orders() if phase == ALONE else books.orders_of_account(run)


def _after_floor(rows: QuerySet[Any], position: Position) -> Iterator[UUID]:
    """Yield the ids of what is yet to come and was in no list."""
    seen = set(position.get("seen", []))
    if floor := position.get("floor"):
        rows = rows.filter(pk__gt=UUID(floor))
    some = rows.order_by("pk").values_list("pk", flat=True)[: MOST + len(seen)]
    yield from islice((pk for pk in some if pk.hex not in seen), MOST)


def _left_out(
    run: Reconciliation, position: Position, listed: Sequence[UUID], *, is_last: bool
) -> list[UUID]:
    """Return the portfolio orders of ours that should stand between those of a page, and do not."""
    rows = books.placed(run).exclude(pk__any_of=list(listed))
    if floor := position.get("floor"):
        rows = rows.filter(pk__gt=UUID(floor))
    if not is_last:
        if not listed:
            return []
        rows = rows.filter(pk__lt=listed[-1])
    return list(rows.order_by("pk").values_list("pk", flat=True)[: MOST + 1])


def _fresh(
    kind: Kind, page: Page, position: Position, at: datetime
) -> Iterator[tuple[Told, Position]]:
    """Yield the entries of a page that were not in the one before, each with its place."""
    tail, floor = list(position.get("tail", [])), position.get("floor", "")
    for number, entry in enumerate(page.entries, start=1):
        try:
            pk = uuid(entry, "id", required=True)
        except UnreadableError as error:
            logger.warning("A listed %s is passed over: %s", kind, error)
            continue
        if pk.hex not in tail:
            tail, floor = [*tail[1 - OVERLAP :], pk.hex], max(floor, pk.hex)
            place = {**_after(page, number, position), "tail": tail, "floor": floor}
            yield told(kind, pk, entry, at=at), place


def _begin(position: Position) -> int:
    """Return where the next page begins: a little before where the last one ended."""
    return max(0, int(position.get("offset", 0)) - int(position.get("overlap", 0)))


def _after(page: Page, number: int, position: Position) -> Position:
    """Return the position after so many entries of a page."""
    return {
        **position,
        "offset": page.offset + number,
        "overlap": min(OVERLAP, len(page.entries) // 2),
        "total": None if page.total == math.inf else page.total,
    }


def _is_sorted(page: Page, position: Position) -> bool:
    """Return whether the list is sorted by id, as we ask for it: as far as we have seen it."""
    ids = [str(entry.get("id")).lower() for entry in page.entries]
    is_sorted = all(before < after for before, after in pairwise(ids))
    if not is_sorted and not position.get("unsorted"):
        logger.warning("The broker's list of portfolio orders is not sorted by id")
    return is_sorted and not position.get("unsorted")


def _kept(position: Position) -> Position:
    return {name: position[name] for name in ("phase", "unsorted") if name in position}
