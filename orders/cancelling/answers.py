"""What an answer to a cancellation means for the request, never for the order. Pure.

The answers to a late one are not documented, so none of them is taken for more than "not now".
"""

from enum import StrEnum

from backoffice.investment_api.errors import InvestmentAPIError, NotFoundError, RefusedError

ABOUT_THE_ORDER = frozenset({400, 404, 409, 410, 422})
ABOUT_US = frozenset({401, 403, 405, 406, 413, 415})


class Meaning(StrEnum):
    """What became of an attempt that was not answered with a 2xx."""

    NOT_SENT = "NOT_SENT"
    REFUSED = "REFUSED"
    OPEN = "OPEN"


def meaning(error: InvestmentAPIError) -> Meaning:
    """Return what an error says of the request: a 404 refuses it, as a 409 does, and cancels nothing.

    But only by upstream's own word: any other may have come after upstream took it.
    """
    if not error.was_sent:
        return Meaning.NOT_SENT
    is_refusal = error.status in ABOUT_THE_ORDER | ABOUT_US
    is_own_word = isinstance(error, RefusedError | NotFoundError)
    return Meaning.REFUSED if is_refusal and is_own_word else Meaning.OPEN
