"""What an answer to a placement means for its result. Pure.

Only what is surely so counts as refused: a status that is not named here leaves the result unknown, and
so does whatever is not upstream's own word (``backoffice.investment_api.reading``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from backoffice.investment_api.answers import id_in, placed_in
from backoffice.investment_api.errors import InvestmentAPIError, NotFoundError, RefusedError
from orders.placing.schedule import OVER_AFTER

ABOUT_THE_ORDER = frozenset({400, 404, 422})  # the problems that the contract names for placing
ABOUT_US = frozenset({401, 403, 405, 406, 413, 415})  # not let in at all: nothing was placed


class Verdict(StrEnum):
    """What became of an attempt that upstream did not accept."""

    NOT_SENT = "NOT_SENT"
    REFUSED = "REFUSED"
    REFUSED_TOO_EARLY = "REFUSED_TOO_EARLY"  # this attempt was; an earlier one may be under way
    REFUSED_IN_DOUBT = "REFUSED_IN_DOUBT"  # this one was; an earlier one may have been accepted
    OPEN = "OPEN"


def verdict(error: InvestmentAPIError, *, unanswered_at: datetime | None, now: datetime) -> Verdict:
    """Return what an error says of the placement; ``unanswered_at`` is when an open attempt began."""
    if not error.was_sent:
        return Verdict.NOT_SENT
    if not isinstance(error, RefusedError | NotFoundError):
        return Verdict.OPEN
    if unanswered_at is not None:
        is_over = now >= unanswered_at + OVER_AFTER
        return Verdict.REFUSED_IN_DOUBT if is_over else Verdict.REFUSED_TOO_EARLY
    return Verdict.REFUSED if error.status in ABOUT_THE_ORDER | ABOUT_US else Verdict.OPEN


def is_the_end(refusal: InvestmentAPIError) -> bool:
    """Return whether a refusal in doubt is the end, once a look-up at the broker has found nothing.

    Within 24 hours a repeated key is answered like the attempt that succeeded. So a refusal of the
    order says that none has, once none can be under way any more. One of our credentials says nothing.
    """
    return refusal.status in ABOUT_THE_ORDER


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a 2xx says: the id of the portfolio order, and whether the rest of it is there too."""

    portfolio_order_id: UUID
    is_whole: bool


def read_acceptance(payload: Mapping[str, Any]) -> Acceptance:
    """Read the body of a 2xx: the object, or its id in either spelling (the contract, 7.8)."""
    named = placed_in(payload)
    assert named is not None  # noqa: S101 -- the client lets no other answer through
    is_whole = id_in(payload, "id") is not None and "status" in payload
    return Acceptance(named, is_whole)
