"""Keeping in the journal what is reported of log-ins and access, and which payloads were looked at.

What a stranger can cause any number of times becomes one entry for each user, address and window,
with a count; a window has room for so many of these entries, and one more counts all that are beyond.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone

from backoffice import audit
from backoffice.audit import Step
from orders import journal
from orders.audit.models import StepDetail
from orders.audit.subjects import Subject
from orders.models import JournalEntry

WINDOW = timedelta(minutes=10)
MOST = 50  # entries of strangers in a window
BEYOND = "BEYOND"  # the word of the entry that counts the others
REPEATS = UUID("5b0c8f5e-3a55-4d0f-9d0b-1f6a3f6c8a11")
PAYLOAD = "PAYLOAD"  # type of the entries that say who looked at a raw payload
ONCE_IN = timedelta(minutes=1)  # a page that is loaded again is no other look


@receiver(audit.step_taken, dispatch_uid="orders.audited")
def keep(step: Step, **_: Any) -> None:
    """Write a step that was reported into the journal."""
    now = timezone.now()
    if step.is_repeatable:
        _count(step, now=now)
    else:
        _record(step, step.sentence, now=now)


def note_view(user: User | AnonymousUser, what: str, subject: Subject) -> None:
    """Record that somebody looks at a raw payload; once a minute for each person and page.

    Called before the payload is shown: where it cannot be recorded, nothing is shown.
    """
    now, actor = timezone.now(), user.get_username()
    seen = StepDetail.objects.filter(
        subject_kind=subject.kind,
        subject_id=subject.key,
        entry__type=PAYLOAD,
        entry__actor=actor,
        entry__recorded_at__gt=now - ONCE_IN,
    )
    if not seen.exists():
        journal.record_step(f"Viewed {what}", actor=actor, now=now, type_=PAYLOAD, subject=subject)


def _count(step: Step, *, now: datetime) -> None:
    """Count a step in the entry of its window; make that entry where it is the first."""
    slot = now.astimezone(UTC).timestamp() // WINDOW.total_seconds()
    key = uuid5(REPEATS, f"{step.word}/{step.user_id}/{step.address}/{slot}")
    if _counted(key, now=now) or _made(step, step.sentence, key, slot, now=now):
        return
    beyond = Step(step.kind, BEYOND, "", "", "")
    key = uuid5(REPEATS, f"{BEYOND}/{slot}")
    said = "Further log-ins refused, of other users or from other addresses"
    if not _counted(key, now=now) and not _insert(beyond, said, key, now=now):
        _counted(key, now=now)


def _counted(key: UUID, *, now: datetime) -> bool:
    rows = StepDetail.objects.filter(entry__event_id=key)
    return bool(rows.update(times=F("times") + 1, last_at=now))


def _made(step: Step, said: str, key: UUID, slot: float, *, now: datetime) -> bool:
    """Make the entry of a window, if there is room; whoever else made it first has its count."""
    begin = datetime.fromtimestamp(slot * WINDOW.total_seconds(), UTC)
    lately = JournalEntry.objects.filter(type=step.kind, recorded_at__gte=begin)
    if lately.filter(event_id__isnull=False).order_by()[:MOST].count() >= MOST:
        return False
    return _insert(step, said, key, now=now) or _counted(key, now=now)


def _insert(step: Step, said: str, key: UUID, *, now: datetime) -> bool:
    try:
        with transaction.atomic():
            _record(step, said, event_id=key, now=now)
    except IntegrityError:  # another process was faster
        return False
    return True


def _record(step: Step, said: str, *, event_id: UUID | None = None, now: datetime) -> None:
    ids = {"user": step.user_id, "group": step.group_id}
    subject = next((Subject(kind, str(pk)) for kind, pk in ids.items() if pk), None)
    journal.record_step(
        said,
        actor=step.actor,
        now=now,
        type_=step.kind,
        word=step.word,
        subject=subject,
        address=step.address,
        event_id=event_id,
    )
