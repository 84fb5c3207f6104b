"""Who is locked out after wrong passwords, until when, and letting them in again.

A lock is of one user from one address: nobody can lock a colleague out who sits elsewhere.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from backoffice.audit import ACCESS, report


@dataclass(frozen=True, slots=True)
class Lock:
    """A user who is locked out from one address, after so many wrong passwords.

    ``since`` is the last of them, ``until`` when the lock ends by itself.
    """

    username: str
    address: str
    failures: int
    since: datetime
    until: datetime


def locks(*, now: datetime) -> list[Lock]:
    """Return the locks of users that exist, the latest first: one query."""
    users = User.objects.values("username")
    return _found(AccessAttempt.objects.filter(username__in=users), now=now)


def until(username: str, address: str | None, *, now: datetime) -> datetime | None:
    """Return until when log-ins with a name are refused at an address; None if they are not.

    A name that no user has is answered alike: nobody learns from a lock which users there are.
    """
    attempts = AccessAttempt.objects.filter(username=username, ip_address=address)
    return next((it.until for it in _found(attempts, now=now)), None)


def _found(attempts: QuerySet[Any], *, now: datetime) -> list[Lock]:
    """Return the locks that attempts come to, the latest first."""
    of: dict[tuple[str, str], list[tuple[datetime, int]]] = defaultdict(list)
    rows = attempts.filter(attempt_time__gte=now - settings.AXES_COOLOFF_TIME)
    rows = rows.order_by("-attempt_time").values_list(
        "username", "ip_address", "attempt_time", "failures_since_start"
    )
    for username, address, at, failures in rows:
        of[username, address or ""].append((at, failures))
    found = [_lock(*pair, tried) for pair, tried in of.items()]
    return sorted((it for it in found if it), key=lambda it: it.since, reverse=True)


def locks_of(username: str, *, now: datetime) -> list[Lock]:
    """Return from which addresses a user is locked out."""
    return [it for it in locks(now=now) if it.username == username]


def lift(username: str) -> int:
    """Let a user try again from everywhere, and report it; return how many addresses had wrong passwords counted."""
    attempts = AccessAttempt.objects.filter(username=username)
    addresses: int = attempts.order_by().values("ip_address").distinct().count()
    attempts.delete()
    user_id = User.objects.filter(username=username).values_list("pk", flat=True).first()
    report(ACCESS, "LOCK_LIFTED", f"Lock of {username} lifted", user_id=user_id)
    return addresses


def _lock(username: str, address: str, tried: list[tuple[datetime, int]]) -> Lock | None:
    """Return the lock that these attempts come to, the last first: each browser has a row of its own."""
    total = 0
    for at, failures in tried:
        total += failures
        if total >= settings.AXES_FAILURE_LIMIT:
            until = at + settings.AXES_COOLOFF_TIME
            counted = sum(it for _, it in tried)
            return Lock(username, address, counted, since=tried[0][0], until=until)
    return None
