"""Cases: one object each, with what upstream said of it and what has to be asked besides. Nothing is written here.

All questions of a part are asked before anything is recorded, so a part that breaks off can be repeated.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from backoffice.investment_api.errors import InvestmentAPIError
from orders.asking import asks
from orders.asking.asks import Reply
from orders.asking.leases import POLLER, Row
from orders.lifecycle import Kind
from orders.reconciliation import books
from orders.reconciliation.compare import Told, compare, is_doubtful, told, without_lists
from orders.rows import Rows

THREADS = 8  # calls wait for upstream most of their time
MOST = 32  # calls about single objects in one part: what a process that dies has to ask again

Position = dict[str, Any]


@dataclass(slots=True)
class Case:
    """One object on the way to its verdict; ``position`` is where to go on after it.

    ``to_ask`` are the objects that the answer leaves open, its own among them where what we hold
    contradicts it; ``equal`` counts its orders that its list tells as we hold them.
    """

    position: Position
    answer: Told | None = None
    to_ask: list[Row] = field(default_factory=list)
    equal: int = 0
    replies: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """Cases that are settled together; ``trouble`` is what ended it early. ``is_whole``: none was left out."""

    cases: list[Case]
    trouble: InvestmentAPIError | None = None
    is_whole: bool = True


def of_answers(
    answers: Sequence[tuple[Told, Position]],
    *,
    now: datetime,
    with_orders: bool,
    is_list: bool = True,
) -> list[Case]:
    """Return the cases of answers, each with what else must be asked to judge it.

    An answer of no list was asked for by itself: it is not asked for again.
    """
    alone = [answer for answer, _ in answers]
    books.apply_waiting(alone, now=now)
    held = books.held(alone)
    own = books.by_portfolio_order(held)
    unsettled = books.unsettled(alone) if with_orders else set()
    cases = []
    for answer, position in answers:
        case = Case(position, answer)
        if is_list:
            _ask_again(case, answer, held)
        if with_orders:
            _add_orders(case, answer, held, own.get(answer.pk, set()), unsettled)
        cases.append(case)
    return cases


def _ask_again(case: Case, answer: Told, held: Rows) -> None:
    """Ask about an object itself where we hold more than a list says: a webhook came while it was read."""
    if answer.reason:
        return
    comparison = compare(without_lists(answer).reading, held)
    if comparison.contrary and not comparison.is_news:
        case.to_ask.append((answer.kind, answer.pk))


def _add_orders(
    case: Case,
    answer: Told,
    held: Rows,
    own: AbstractSet[UUID],
    unsettled: AbstractSet[UUID],
) -> None:
    """Sort the orders of a portfolio order into those told by its list and those to ask about."""
    if answer.kind is not Kind.PORTFOLIO_ORDER or answer.reason:
        return
    listed = {listing.order_id: listing for listing in answer.reading.listings}
    for pk, listing in listed.items():
        if pk in unsettled or is_doubtful(listing, held.orders.get(pk)):
            case.to_ask.append((Kind.ORDER, pk))
        else:
            case.equal += 1
    case.to_ask += [(Kind.ORDER, pk) for pk in sorted(own - listed.keys())]


def ask(rows: Sequence[Row]) -> tuple[list[Reply], InvestmentAPIError | None]:
    """Ask about objects, several at a time; return the replies up to the first error but 404, and that."""
    replies: list[Reply] = []
    if not rows:
        return replies, None
    with ThreadPoolExecutor(min(THREADS, len(rows))) as pool:
        for start in range(0, len(rows), THREADS):
            for reply in pool.map(_put, rows[start : start + THREADS]):
                if reply.error is not None and not reply.is_not_found:
                    return replies, reply.error
                replies.append(reply)
    return replies, None


def gathered(part: Part) -> Part:
    """Ask what the cases of a part leave open, as many of them as fit into one.

    Those whose questions were all answered are kept; the first that was not is where to go on.
    """
    chosen = list(_that_fit(part.cases))
    replies, failed = ask([row for case in chosen for row in case.to_ask])
    whole = []
    for case in chosen:
        if len(replies) < len(case.to_ask):
            break
        case.replies += replies[: len(case.to_ask)]
        del replies[: len(case.to_ask)]
        whole.append(case)
    trouble = failed or (part.trouble if len(chosen) == len(part.cases) else None)
    is_whole = part.is_whole and not trouble and len(whole) == len(part.cases)
    return Part(whole, trouble, is_whole)


def _that_fit(cases: Iterable[Case]) -> Iterator[Case]:
    count = 0
    for number, case in enumerate(cases):
        count += len(case.to_ask)
        if number and count > MOST:
            return
        yield case


def answered(reply: Reply) -> Told:
    """Return what a reply says that is an answer."""
    answer = reply.answer
    assert answer is not None  # noqa: S101 -- its caller has looked
    return told(reply.kind, reply.about, answer.payload, at=reply.at, request_id=answer.request_id)


def asked_about(
    rows: Sequence[tuple[Row, Position]], *, now: datetime, with_orders: bool = True
) -> Part:
    """Ask about objects that no list tells of, and return their cases."""
    replies, trouble = ask([row for row, _ in rows])
    places = dict(rows)
    told_of = [(answered(it), places[it.kind, it.about]) for it in replies if it.answer is not None]
    cases = of_answers(told_of, now=now, with_orders=with_orders, is_list=False)
    found = {(case.answer.kind, case.answer.pk): case for case in cases if case.answer}
    # In the order in which they were asked: the position is that of the last one settled.
    return Part(
        [
            found.get((it.kind, it.about)) or Case(places[it.kind, it.about], replies=[it])
            for it in replies
        ],
        trouble,
        is_whole=trouble is None,
    )


def _put(row: Row) -> Reply:
    return asks.put(*row, POLLER)
