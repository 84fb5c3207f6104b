"""The verdict on each object of a part: compare, record what is news, apply it, compare again.

Runs in the transaction that keeps the findings: either all of a part counts, or nothing of it does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orders import journal
from orders.asking import asks
from orders.asking.leases import Row
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome
from orders.reconciliation import books
from orders.reconciliation.cases import Case, answered
from orders.reconciliation.compare import Comparison, Told, compare, listings_of
from orders.reconciliation.models import Finding, Verdict
from orders.rows import Rows
from orders.tracked import Source, Tracked

ONLY_NAMED = "only its ID was known here"
LISTED_ALONE = "its portfolio order lists it, but the broker does not find it by its own ID"
NOT_THERE = "not known at the broker"


@dataclass(slots=True)
class Judged:
    """The findings of a part, and how many objects were equal."""

    equal: int = 0
    findings: list[Finding] = field(default_factory=list)


def judge(cases: Sequence[Case], *, now: datetime) -> Judged:
    """Return the verdict on every object of the cases, and write down what is new here."""
    judged = Judged(equal=sum(case.equal for case in cases))
    answers = _answers(cases)
    before = books.held(list(answers.values()))
    found = {row: compare(answer.reading, before) for row, answer in answers.items()}
    entries = _recorded(answers, found, before, now=now)
    after = books.held([answers[row] for row in entries])
    for row, answer in answers.items():
        verdict, detail = _verdict(answer, found[row], _held(before, row), after, entries.get(row))
        if verdict is None:
            judged.equal += 1
        else:
            judged.findings.append(_finding(row, verdict, detail, entries.get(row), now=now))
    judged.findings += _not_found(cases, now=now)
    return judged


def _answers(cases: Iterable[Case]) -> dict[Row, Told]:
    """Return what was said of each object; what it was asked about by itself counts more than a list."""
    found: dict[Row, Told] = {}
    for case in cases:
        if case.answer:
            found[case.answer.kind, case.answer.pk] = case.answer
        for reply in case.replies:
            if reply.answer is not None:
                found[reply.kind, reply.about] = answered(reply)
            else:
                found.pop((reply.kind, reply.about), None)
    return found


def _recorded(
    answers: Mapping[Row, Told],
    found: Mapping[Row, Comparison],
    before: Rows,
    *,
    now: datetime,
) -> dict[Row, JournalEntry]:
    """Record and apply the answers that tell us something, or that contradict us; return their entries."""
    entries = {
        row: journal.record_answer(
            answer.kind,
            answer.payload,
            about=answer.pk,
            source=Source.POLL,
            actor="",
            now=now,
            request_id=answer.request_id,
        ).pk
        for row, answer in answers.items()
        if answer.reason
        or found[row].is_news
        or (found[row].contrary and not _is_ahead(_held(before, row), answer))
    }
    books.apply(list(entries.values()), now=now)
    fresh = JournalEntry.objects.defer("payload").in_bulk(list(entries.values()))
    return {row: fresh[pk] for row, pk in entries.items()}


def _verdict(
    answer: Told,
    found: Comparison,
    row: Tracked | None,
    after: Rows,
    entry: JournalEntry | None,
) -> tuple[Verdict | None, str]:
    """Return what the comparison of one object came to, in words; None where both sides are equal."""
    if entry is None:
        return None, ""
    if entry.outcome == Outcome.QUARANTINED:
        return Verdict.DIFFERING, f"the broker's answer cannot be read: {entry.message}"
    left = compare(answer.reading, after).contrary
    if left and not _is_ahead(row, answer):
        return Verdict.DIFFERING, "; ".join(left)
    if row is None:
        return Verdict.UNKNOWN_HERE, f"status at the broker: {answer.reading.facts[0].status}"
    if not row.fact:
        return Verdict.REPAIRED, ONLY_NAMED
    return (Verdict.REPAIRED, "; ".join(found.changes)) if found.changes else (None, "")


def _is_ahead(row: Tracked | None, answer: Told) -> bool:
    """Return whether we have heard of an object since upstream was asked: its answer is the older one."""
    return row is not None and row.heard_at is not None and row.heard_at > answer.at


def _not_found(cases: Iterable[Case], *, now: datetime) -> list[Finding]:
    """Note in the journal what upstream does not know, as any ask does; the state stays as it is."""
    findings = []
    for case in cases:
        listed = {it.order_id for it in listings_of([case.answer] if case.answer else [])}
        for reply in case.replies:
            if not reply.is_not_found:
                continue
            row = (reply.kind, reply.about)
            entry = asks.record(reply, row=row)
            is_listed = reply.kind is Kind.ORDER and reply.about in listed
            verdict = Verdict.DIFFERING if is_listed else Verdict.UNKNOWN_THERE
            detail = LISTED_ALONE if is_listed else NOT_THERE
            findings.append(_finding(row, verdict, detail, entry, now=now))
    return findings


def _held(rows: Rows, row: Row) -> Tracked | None:
    kind, pk = row
    return rows.orders.get(pk) if kind is Kind.ORDER else rows.portfolio_orders.get(pk)


def _finding(
    row: Row, verdict: Verdict, detail: str, entry: JournalEntry | None, *, now: datetime
) -> Finding:
    kind, pk = row
    return Finding(
        portfolio_order_id=pk if kind is Kind.PORTFOLIO_ORDER else None,
        order_id=pk if kind is Kind.ORDER else None,
        verdict=verdict,
        detail=detail,
        found_at=now,
        entry_id=entry.pk if entry else None,
    )
