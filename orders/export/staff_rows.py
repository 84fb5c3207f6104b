"""Steps of staff -> rows of their CSV. Pure."""

from orders import actors
from orders.audit.about import subject_with
from orders.audit.kinds import label
from orders.export.cells import Row, moment
from orders.models import JournalEntry, StepDetail

COLUMNS = (
    "entry_id", "recorded_at", "person", "action", "what", "times", "last_at", "address",
    "about", "about_id",
)  # fmt: skip


def row(it: JournalEntry, detail: StepDetail | None) -> Row:
    """Return one row; ``times`` is how often the same happened until ``last_at``."""
    subject = subject_with(it, detail)
    return (
        str(it.pk),
        moment(it.recorded_at),
        actors.person(it),
        label(it.source, it.type),
        actors.sentence(it),
        str(detail.times if detail else 1),
        moment(detail.last_at) if detail else "",
        detail.address if detail else "",
        subject.kind if subject else "",
        subject.key if subject else "",
    )
