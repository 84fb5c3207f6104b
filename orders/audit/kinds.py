"""The kinds of what staff do: how people call them, and which entries of the journal they are. Pure."""

from django.db.models import Q

from orders.actors import BEGINS, BY_ITSELF
from orders.tracked import Source

# Steps of staff, and what they had the broker asked: the list and its indexes.
STAFF_ACTIONS = Q(source=Source.STAFF, outcome="NOTED") | (Q(source=Source.REFETCH) & ~Q(actor=""))

PRESSED = Q()
for _begin in BEGINS:
    PRESSED |= Q(message__startswith=f"{_begin} by ")
# What the desk did by itself has no actor; what older releases booked to who had asked is known by its
# words. Refused log-ins have no actor either, and are in the list.
DESKS_OWN = Q(actor="") & ~Q(type="LOG_IN")
for _type, _words in BY_ITSELF.items():
    DESKS_OWN |= Q(type=_type, status__in=_words) & ~PRESSED

VIEW_STAFF = "orders.view_staffaction"
PRIVATE = ("LOG_IN", "ACCESS", "PAYLOAD")  # types of entries only those see who may see the list

TYPES = {
    "placing": ("Placing", ["PLACEMENT"]),
    "cancelling": ("Cancelling", ["CANCELLATION"]),
    "export": ("Export", ["EXPORT"]),
    "replay": ("Processing again", ["REPLAY"]),
    "dismiss": ("Dismissing", ["DISMISS"]),
    "reconcile": ("Reconciliation", ["RECONCILIATION"]),
    "subscription": ("Subscription", ["SUBSCRIPTION"]),
    "log-in": ("Log-in", ["LOG_IN"]),
    "access": ("Access change", ["ACCESS"]),
    "payload": ("Payload view", ["PAYLOAD"]),
    "maintenance": ("Maintenance", ["PURGE", "REBUILD"]),
}
LABELS = {"note": "Note", "refetch": "Refetch", **{kind: it[0] for kind, it in TYPES.items()}}
OF_TYPE = {type_: kind for kind, (_, types) in TYPES.items() for type_ in types}


def rows_of(kind: str) -> Q:
    """Return which entries are of a kind."""
    if kind == "refetch":
        return Q(source=Source.REFETCH)
    if kind == "note":
        return Q(source=Source.STAFF, type="")
    return Q(type__in=TYPES[kind][1])


def label(source: str, type_: str) -> str:
    """Return what people call the kind of an entry."""
    if source == Source.REFETCH:
        return LABELS["refetch"]
    kind = OF_TYPE.get(type_, "") if type_ else "note"
    return LABELS.get(kind, type_.replace("_", " ").capitalize())
