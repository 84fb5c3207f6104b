"""The broker's id of a request, which its support asks for first, in the texts that name it."""

from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf, StrIndex, Substr

from backoffice.beginnings import Bytewise

LONGEST = 64  # characters


def request_id_in(column: str) -> Bytewise:
    """Return what follows "(request id " or else "request " in a column: it has an index where it is searched."""
    behind_name = NullIf(StrIndex(column, Value("(request id ")), Value(0)) + Value(12)
    behind_word = StrIndex(column, Value("request ")) + Value(8)
    return Bytewise(Substr(column, Coalesce(behind_name, behind_word), Value(LONGEST)))
