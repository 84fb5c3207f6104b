"""Steps of staff -> rows of their CSV. Pure."""

from typing import NamedTuple

from orders import actors
from orders.audit.about import IN_SENTENCE, subject_with
from orders.audit.kinds import LABELS, OF_TYPE, label
from orders.audit.subjects import PAGES, Subject
from orders.export.cells import Row
from orders.export.columns import (
    Column,
    Kind,
    any_moment,
    certain_moment,
    choice_sql,
    ident,
    listed,
    quoted,
    row_of,
    text,
)
from orders.export.entry_rows import PERSON
from orders.models import JournalEntry, StepDetail


class Step(NamedTuple):
    """What a row is made of: an entry, and its detail where it has one."""

    j: JournalEntry
    d: StepDetail | None

    @property
    def subject(self) -> Subject | None:
        """Return what it is about."""
        return subject_with(self.j, self.d)


ACTION = (
    f"CASE WHEN j.source = 'REFETCH' THEN {quoted(LABELS['refetch'])} ELSE "
    + choice_sql("j.type", {"": LABELS["note"], **{it: LABELS[OF_TYPE[it]] for it in OF_TYPE}})
    + " END"
)
OF_DETAIL = f"d.subject_kind IN {listed(PAGES)}"
IN_A_SENTENCE = f"j.type IN {listed(IN_SENTENCE)}"  # which Python reads
ABOUT = (
    "CASE WHEN j.portfolio_order_id IS NOT NULL THEN {} WHEN j.order_id IS NOT NULL THEN {} "
    f"WHEN j.placement_id IS NOT NULL THEN {{}} WHEN {OF_DETAIL} THEN {{}} "
    f"WHEN {IN_A_SENTENCE} THEN NULL ELSE '' END"
)
KIND = ABOUT.format("'portfolio_order'", "'order'", "'placement'", "d.subject_kind")
KEY = ABOUT.format(
    "j.portfolio_order_id::text", "j.order_id::text", "j.placement_id::text", "d.subject_id"
)

COLUMNS = (
    ident("entry_id", "j.id"),
    certain_moment("recorded_at", "j.recorded_at"),
    Column("person", lambda it: actors.person(it.j), PERSON, Kind.TEXT),
    Column("action", lambda it: label(it.j.source, it.j.type), ACTION, Kind.TEXT),
    Column(
        "what",
        lambda it: actors.sentence(it.j),
        "CASE WHEN j.source <> 'REFETCH' THEN j.message END",
        Kind.TEXT,
    ),
    Column("times", lambda it: str(it.d.times if it.d else 1), "COALESCE(d.times, 1)::text"),
    any_moment("last_at", "d.last_at"),
    text("address", "d.address"),
    Column("about", lambda it: it.subject.kind if it.subject else "", KIND, Kind.TEXT),
    Column("about_id", lambda it: it.subject.key if it.subject else "", KEY, Kind.TEXT),
)


def row(it: JournalEntry, detail: StepDetail | None) -> Row:
    """Return one row; ``times`` is how often the same happened until ``last_at``."""
    return row_of(COLUMNS, Step(it, detail))
