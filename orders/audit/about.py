"""The link from a step of staff to what it is about."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.audit.subjects import PAGES, Subject
from orders.models import JournalEntry, StepDetail

# Older releases have it in the sentence alone.
IN_SENTENCE = {
    "RECONCILIATION": ("reconciliation", re.compile(r"[Rr]econciliation (\d{1,18})\b")),
    "REPLAY": ("delivery", re.compile(r"delivery (\d{1,18}) ")),
    "SUBSCRIPTION": (
        "subscription",
        re.compile(r"subscription ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"),
    ),
}
MAY_VIEW = {
    "portfolio_order": "orders.view_portfolioorder",
    "order": "orders.view_order",
    "placement": "orders.view_placement",
    "cancellation": "orders.view_cancellation",
    "reconciliation": "orders.view_reconciliation",
    "entry": "orders.view_journalentry",
    "delivery": "webhooks.view_delivery",
    "subscription": "webhooks.view_subscription",
    "user": "auth.view_user",
    "group": "auth.view_group",
}


def subject_of(entry: JournalEntry) -> Subject | None:
    """Return what an entry is about; None where it is about nothing in particular."""
    return subject_with(entry, getattr(entry, "detail", None))


def subject_with(entry: JournalEntry, detail: StepDetail | None) -> Subject | None:
    """Return the same of an entry whose detail was read beside it."""
    for kind in ("portfolio_order", "order", "placement"):
        if key := getattr(entry, f"{kind}_id"):
            return Subject(kind, str(key))
    if detail and detail.subject_kind in PAGES:
        return Subject(detail.subject_kind, detail.subject_id)
    kind, pattern = IN_SENTENCE.get(entry.type, ("", None))
    found = pattern.search(entry.message) if pattern else None
    return Subject(kind, found[1]) if found else None


def names_of_users(entries: Iterable[JournalEntry]) -> dict[str, str]:
    """Return the names of the users that entries are about, by id; of a user who is gone none: one query."""
    subjects = filter(None, map(subject_of, entries))
    keys = {it.key for it in subjects if it.kind == "user" and it.key.isdecimal()}
    rows = User.objects.filter(pk__in=keys).values_list("pk", "username") if keys else ()
    return {str(pk): name for pk, name in rows}


def link(
    entry: JournalEntry,
    user: AbstractBaseUser | AnonymousUser,
    names: Mapping[str, str] | None = None,
) -> SafeString | str:
    """Return what an entry is about, with a link for those who may see its page; "" where about nothing.

    ``names`` are those of users, where many entries are told at once.
    """
    subject = subject_of(entry)
    if subject is None:
        return ""
    name, page = PAGES[subject.kind]
    text = f"{name} {subject.key[:8]}"
    if subject.kind == "user":
        known = names_of_users([entry]) if names is None else names
        if subject.key not in known:
            return f"{text}, deleted"
        text = f"{name} {known[subject.key]}"
    may_view: Any = getattr(user, "has_perm", lambda _: False)
    if not may_view(MAY_VIEW[subject.kind]):
        return text
    return format_html('<a href="{}">{}</a>', reverse(page, args=[subject.key]), text)
