"""Expected webhooks: which are missing, and who told instead what they would have. Pure.

Source: the model, section 4.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta

from orders.lifecycle import Kind, expected, rank
from orders.timeline.reports import is_about, word
from orders.timeline.seen import Listed, Rules, Seen, Subject, Told


def lateness(entry: Seen, rules: Rules) -> timedelta | None:
    """Return how long after the fact a webhook came; None where it was in time, or is no webhook."""
    delay = entry.recorded_at - entry.occurred_at
    return delay if entry.source == "WEBHOOK" and delay > rules.late_after else None


def missing(subject: Subject, entries: Iterable[Seen], rules: Rules) -> list[str]:
    """Return the words whose webhooks must have been sent and are not in the journal, the earliest first.

    ``entries`` are all that the journal has about ``subject``. An event that is quarantined has arrived.
    """
    if rules.first_webhook_at is None or subject.created_at is None:
        return []
    if subject.created_at < rules.first_webhook_at:
        return []
    words = expected(subject.kind, subject.status, was_processing=subject.processing_at is not None)
    words -= set(subject.announced.split())
    if words:
        words -= {word(entry) for entry in entries if is_about(entry, subject.kind)}
    return sorted(words, key=lambda word: rank(subject.kind, word))


def told(
    kind: Kind, word: str, reports: Iterable[Seen], listed: Collection[Listed] = ()
) -> Told | None:
    """Return who first showed the object at or past ``word``.

    ``reports`` are those of the object itself, in their order of arrival; ``listed`` are the lines
    about it in its portfolio order's lists.
    """
    own = next((entry for entry in reports if _reaches(kind, entry.status, word)), None)
    lines = [line for line in listed if _reaches(kind, line.status, word)]
    line = min(lines, key=lambda line: (line.entry.recorded_at, line.entry.id), default=None)
    if line and (own is None or line.entry.recorded_at < own.recorded_at):
        return Told(line.entry, line.status, is_listing=True)
    return Told(own, own.status, is_listing=False) if own else None


def _reaches(kind: Kind, status: str, word: str) -> bool:
    return status == word or rank(kind, status) > rank(kind, word)
