"""The payloads that a page shows beside its entries, to those who may see them."""

from collections.abc import Iterable

from django.http import HttpRequest

from orders.admin.journal import readable
from orders.admin.pages import PAYLOAD
from orders.audit.subjects import Subject
from orders.audited import note_view
from orders.models import JournalEntry, Order, PortfolioOrder
from orders.timeline.runs import Run

LARGEST = 4_000  # characters: one that is larger has a page of its own, as all have
MOST = 16_000  # characters on one page


def payloads(
    singles: Iterable[Run], request: HttpRequest, row: PortfolioOrder | Order
) -> dict[int, str]:
    """Return the payloads of the runs that are one entry each, by entry, in the order of the page: one query.

    That they are shown on the page of ``row`` is recorded.
    """
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
    if shown:
        is_order = isinstance(row, Order)
        what = "an order" if is_order else "a portfolio order"
        subject = Subject("order" if is_order else "portfolio_order", str(row.pk))
        note_view(request.user, f"the payloads in the history of {what}", subject)
    return shown
