"""The steps of a placement in the journal: who did what, and what upstream made of it."""

from datetime import datetime

from orders import journal
from orders.models import JournalEntry, Placement
from orders.timeline.seen import PLACEMENT

TYPE = PLACEMENT  # of these entries

PROPOSED = "PROPOSED"
SUBMITTED = "SUBMITTED"
APPROVED = "APPROVED"
DECLINED = "DECLINED"
WITHDRAWN = "WITHDRAWN"  # by who proposed it
SENT = "SENT"  # written before the request goes out
NOT_SENT = "NOT_SENT"  # it has not gone out after all
UNKNOWN = "UNKNOWN"
ACCEPTED = "ACCEPTED"
REFUSED = "REFUSED"
LOOKED_UP = "LOOKED_UP"
SETTLED_PLACED = "SETTLED_PLACED"
SETTLED_NOT_PLACED = "SETTLED_NOT_PLACED"


def note(
    placement: Placement, word: str, message: str, *, actor: str = "", now: datetime
) -> JournalEntry:
    """Record a step; runs in the transaction that takes it. ``actor`` is the person who took it, if one."""
    return journal.record_step(
        message,
        actor=actor,
        now=now,
        type_=TYPE,
        word=word,
        placement_id=placement.pk,
    )
