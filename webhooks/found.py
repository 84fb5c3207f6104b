"""Deliveries by what was pasted: their number, the key that signed them, or what their events are about."""

from django.db.models import Q, QuerySet

from orders import search
from orders.models import JournalEntry
from orders.pasted import SHORTEST, Pasted
from webhooks.models import Delivery


def deliveries(rows: QuerySet[Delivery], text: str) -> QuerySet[Delivery]:
    """Return those of ``rows`` that have the number or the key pasted, or events about what was pasted."""

    def few(pasted: Pasted) -> search.Questions:
        yield from search.numbered(Delivery, pasted)
        entries = search.entries(JournalEntry.objects.all(), text)
        yield entries.filter(delivery_id__isnull=False).values_list("delivery_id")
        keys = Q()
        for key in pasted.references:
            keys |= Q(key_id__begins=key) if len(key) >= SHORTEST else Q()
        if keys:
            # The index leaves out rows without one; saying so here lets it serve.
            yield Delivery.objects.exclude(key_id="").filter(keys).values_list("pk")

    return search.found(rows, text, few)
