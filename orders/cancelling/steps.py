"""The steps of a cancellation in the journal, about the order: who did what, and what upstream said."""

from datetime import datetime

from orders import journal
from orders.cancelling import words
from orders.models import Cancellation, JournalEntry
from orders.timeline.seen import CANCELLATION


def note(cancellation: Cancellation, word: str, text: str, *, now: datetime) -> JournalEntry:
    """Record a step; runs in the transaction that takes it. The actor is who asked for it."""
    return journal.record_step(
        words.told(word, text, actor=cancellation.requested_by),
        actor=cancellation.requested_by,
        now=now,
        type_=CANCELLATION,
        word=word,
        about=(cancellation.kind, cancellation.about),
    )
