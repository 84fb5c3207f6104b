"""What tests of lists and pages share: the moment at which people look, and how rows get there."""

from datetime import timedelta

from orders import journal, projection
from tests.stories import START

NOW = START + timedelta(minutes=5)


def receive(*events, now=NOW):
    """Have one delivery with these events come, and apply it."""
    journal.record_events(events, delivery_id=1, now=now)
    projection.drain(now=now)


def record_failure(kind, about, reason, *, source, actor, now):
    """Record an ask without a usable answer; return its entry."""
    entry = journal.failed(kind, about, reason, source=source, actor=actor, now=now)
    journal.save_asks([entry])
    return entry
