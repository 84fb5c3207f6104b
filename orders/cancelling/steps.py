"""The steps of a cancellation in the journal, about the order: who did what, and what upstream said."""

from datetime import datetime

from orders import journal
from orders.audit.subjects import Subject
from orders.cancelling import words
from orders.models import Cancellation, JournalEntry
from orders.timeline.seen import CANCELLATION


def note(
    cancellation: Cancellation, word: str, text: str, *, actor: str = "", now: datetime
) -> JournalEntry:
    """Record a step; runs in the transaction that takes it. ``actor`` is the person who took it, if one."""
    return journal.record_step(
        words.told(word, text, actor=actor),
        actor=actor,
        now=now,
        type_=CANCELLATION,
        word=word,
        about=(cancellation.kind, cancellation.about),
        subject=Subject("cancellation", str(cancellation.pk)),
    )
