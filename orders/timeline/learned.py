"""Where we learned what we hold of an execution: the journal entry behind its winning fact. Pure."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from orders.fold import told_by
from orders.timeline.items import ASKS
from orders.timeline.seen import Seen


class Folded(Protocol):
    """What is needed of an execution."""

    pk: UUID
    fact: str


def learned(executions: Iterable[Folded], told: Iterable[Seen]) -> Mapping[UUID, Seen]:
    """Return the entry that told each execution as it is now; none where it is not among those given.

    An event is known by its id, an answer by the version that it told: the first of those counts.
    """
    entries = list(told)
    events = {str(entry.event_id): entry for entry in entries if entry.event_id}
    answers = {
        entry.occurred_at: entry
        for entry in sorted(entries, key=lambda entry: entry.id, reverse=True)
        if entry.source in ASKS and entry.outcome != "FAILED"
    }
    found: dict[UUID, Seen] = {}
    for execution in executions:
        if execution.fact:
            version, is_answer, tie = told_by(execution.fact)
            entry = answers.get(version) if is_answer else events.get(tie)
            if entry:
                found[execution.pk] = entry
    return found
