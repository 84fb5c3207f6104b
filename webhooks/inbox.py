"""The inbox: a signed delivery is stored whole, as it came, and read into the journal later.

Refusing one would hold back everything behind it for ever, so nothing in its body decides anything
here. Source: investment-api.md, section 4.3; the model, section 3.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Min

from backoffice import database
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
# Nothing but names of our own is written into these.
CELLS = ", ".join(["%s"] * len(STORED))
INSERT = (
    f"INSERT INTO webhooks_delivery ({', '.join(STORED)}, body) VALUES ({CELLS}, %s)"  # noqa: S608
    " ON CONFLICT (fingerprint) WHERE body IS NOT NULL DO NOTHING"
)
INSERT_REPEAT = (
    f"INSERT INTO webhooks_delivery ({', '.join(STORED)}, same_body_as)"  # noqa: S608
    f" SELECT {CELLS}, id FROM webhooks_delivery WHERE fingerprint = %s AND body IS NOT NULL"
)
LONGEST_HEADER = 4000  # characters
TRIES = 3  # to insert: the body that was kept a moment ago is purged, or moved to another


def receive(message: Message, *, signature: Verified, sender: str = "", now: datetime) -> Delivery:
    """Store a correctly signed delivery whole, with one statement unless its body is kept, and return it.

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
    delivery.pk = database.once_more(lambda: _insert(delivery, message.body))
    return delivery


def _insert(delivery: Delivery, body: bytes) -> int:
    """Insert a delivery, with its body unless that is kept already; return its id."""
    fields = {it.name: it for it in Delivery._meta.concrete_fields}  # noqa: SLF001
    cells = [fields[it].get_db_prep_save(getattr(delivery, it), connection) for it in STORED]
    fingerprint = cells[STORED.index("fingerprint")]
    # No purge may take the body away meanwhile; drains are not waited for.
    lock = " FOR KEY SHARE" if connection.vendor == "postgresql" else ""
    for _ in range(TRIES):
        for statement, last in ((INSERT, body), (f"{INSERT_REPEAT}{lock}", fingerprint)):
            if (pk := _inserted(statement, [*cells, last])) is not None:
                return pk
    raise OperationalError("the body is kept, and is not")


def _inserted(statement: str, cells: Sequence[Any]) -> int | None:
    """Run an insert; return the id of the new row, None where there is none."""
    if connection.vendor == "postgresql":
        found = bulk.ask_for_row(f"{statement} RETURNING id", cells)
        return int(found[0]) if found else None
    with connection.cursor() as cursor:  # not every SQLite that Django takes knows RETURNING
        cursor.execute(statement, cells)
        return int(cursor.lastrowid) if cursor.rowcount else None


def delete(ids: Collection[int]) -> int:
    """Delete deliveries, their bodies given to later ones that brought the same; return how many are gone.

    One that comes meanwhile with the same body waits for it, or is waited for.
    """
    rows = Delivery.objects.filter(pk__in=ids)
    with transaction.atomic():
        list(rows.select_for_update().order_by("pk").values_list("pk"))
        _hand_over_bodies(ids)
        return rows.delete()[0]


def _hand_over_bodies(ids: Collection[int]) -> None:
    later = Delivery.objects.filter(same_body_as__in=ids).exclude(pk__in=ids)
    heirs = later.values_list("same_body_as").annotate(heir=Min("pk"))
    for pk, heir in heirs.order_by():
        body = Delivery.objects.filter(pk=pk).values_list("body", flat=True).get()
        Delivery.objects.filter(pk=pk).update(fingerprint=None)
        Delivery.objects.filter(same_body_as=pk).update(same_body_as=heir)
        Delivery.objects.filter(pk=heir).update(body=body, same_body_as=None)


def kept_headers(message: Message) -> dict[str, str]:
    """Return the headers that are kept, by lower-case name."""
    kept = {name.lower(): value for name, value in message.headers.items()}
    return {name: clean(kept[name], LONGEST_HEADER) for name in KEPT_HEADERS if kept.get(name)}
