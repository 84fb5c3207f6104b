"""The inbox: a signed delivery is stored whole, as it came, and read into the journal later.

Refusing one would hold back everything behind it for ever, so nothing in its body decides anything
here. Source: investment-api.md, section 4.3; the model, section 3.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Min

from backoffice.http_signatures import Message, Verified
from orders import bulk
from orders.attributes import clean
from webhooks.models import Delivery, Verdict

# What may be kept of a request: evidence of the signature and the sender, no credentials.
KEPT_HEADERS = (
    "accept", "content-digest", "content-encoding", "content-length", "content-type", "date",
    "digest", "host", "signature", "signature-input", "upvest-api-version", "upvest-client-id",
    "upvest-signature-version", "user-agent", "via", "x-forwarded-for", "x-request-id",
)  # fmt: skip
STORED = (
    "received_at", "verdict", "sender", "key_id", "signed_at", "headers", "size", "fingerprint",
    "read_at",
)  # fmt: skip
KEPT = "FROM webhooks_delivery WHERE fingerprint = %s AND body IS NOT NULL"
# Nothing but names of our own is written into it.
INSERT = (
    f"INSERT INTO webhooks_delivery ({', '.join(STORED)}, same_body_as, body)"  # noqa: S608
    f" VALUES ({', '.join(['%s'] * len(STORED))}, (SELECT MIN(id) {KEPT}),"
    f" CASE WHEN EXISTS (SELECT 1 {KEPT}) THEN NULL ELSE %s END)"
)
LONGEST_HEADER = 4000  # characters


def receive(message: Message, *, signature: Verified, sender: str = "", now: datetime) -> Delivery:
    """Store a correctly signed delivery whole, with one statement, and return it.

    ``sender`` is the address that it came from.

    Nothing of the body is read, so nothing in it can matter to the answer. A body that is kept
    already is not stored again. Whatever this raises, nothing is stored: it is to come again.
    """
    fingerprint = UUID(bytes=hashlib.sha256(message.body).digest()[:16])
    delivery = Delivery(
        received_at=now,
        verdict=Verdict.ACCEPTED,
        sender=sender,
        key_id=clean(signature.key_id, 64),
        signed_at=signature.created,
        headers=kept_headers(message),
        size=len(message.body),
        fingerprint=fingerprint,
        read_at=None,
    )
    try:
        delivery.pk = _insert(delivery, message.body)
    except IntegrityError:  # another process stored the same body between its look and its insert
        delivery.pk = _insert(delivery, message.body)
    return delivery


def _insert(delivery: Delivery, body: bytes) -> int:
    """Insert a delivery, with its body unless that is kept already; return its id."""
    fields = {it.name: it for it in Delivery._meta.concrete_fields}  # noqa: SLF001
    cells = [fields[it].get_db_prep_save(getattr(delivery, it), connection) for it in STORED]
    fingerprint = cells[STORED.index("fingerprint")]
    parameters = [*cells, fingerprint, fingerprint, body]
    if connection.vendor == "postgresql":
        return int(bulk.ask_for_row(f"{INSERT} RETURNING id", parameters)[0])
    with connection.cursor() as cursor:
        cursor.execute(INSERT, parameters)
        return int(cursor.lastrowid)


def hand_over_bodies(ids: Collection[int]) -> None:
    """Give the bodies of deliveries that are about to go to later ones that brought the same."""
    later = Delivery.objects.filter(same_body_as__in=ids).exclude(pk__in=ids)
    heirs = later.values_list("same_body_as").annotate(heir=Min("pk"))
    for pk, heir in heirs.order_by():
        with transaction.atomic():
            body = Delivery.objects.filter(pk=pk).values_list("body", flat=True).get()
            Delivery.objects.filter(pk=pk).update(fingerprint=None)
            Delivery.objects.filter(same_body_as=pk).update(same_body_as=heir)
            Delivery.objects.filter(pk=heir).update(body=body, same_body_as=None)


def kept_headers(message: Message) -> dict[str, str]:
    """Return the headers that are kept, by lower-case name."""
    kept = {name.lower(): value for name, value in message.headers.items()}
    return {name: clean(kept[name], LONGEST_HEADER) for name in KEPT_HEADERS if kept.get(name)}
