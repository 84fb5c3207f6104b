"""The payloads that a page shows beside its entries, to those who may see them."""

from collections.abc import Iterable

from django.http import HttpRequest

from orders.admin.journal import readable
from orders.admin.pages import PAYLOAD
from orders.models import JournalEntry
from orders.timeline.runs import Run

LARGEST = 4_000  # characters: one that is larger has a page of its own, as all have
MOST = 16_000  # characters on one page


def payloads(singles: Iterable[Run], request: HttpRequest) -> dict[int, str]:
    """Return the payloads of the runs that are one entry each, by entry, in the order of the page: one query."""
    ids = [run.item.entry.id for run in singles if run.item.entry]
    if not ids or not request.user.has_perm(PAYLOAD):
        return {}
    stored = dict(JournalEntry.objects.filter(pk__in=ids).values_list("pk", "payload"))
    shown: dict[int, str] = {}
    left = MOST
    for pk in ids:
        text = readable(stored[pk])
        if len(text) <= min(left, LARGEST):
            shown[pk] = text
            left -= len(text)
    return shown
