"""What an answer to a placement means for its fate. Pure.

Only what is surely so counts as refused: a status that is not named here leaves the fate open.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from backoffice.investment_api.errors import InvestmentAPIError, is_problem
from orders.attributes import UnreadableError, uuid
from orders.placing.schedule import OVER_AFTER

ABOUT_THE_ORDER = frozenset({400, 404, 422})  # the problems that the contract names for placing
ABOUT_US = frozenset({401, 403, 405, 406, 413, 415})  # not let in at all: nothing was placed


class Verdict(StrEnum):
    """What became of an attempt that upstream did not accept."""

    NOT_SENT = "NOT_SENT"
    REFUSED = "REFUSED"
    REFUSED_FOR_NOW = "REFUSED_FOR_NOW"  # this attempt was; an earlier one may yet be accepted
    OPEN = "OPEN"


def verdict(error: InvestmentAPIError, *, unanswered_at: datetime | None, now: datetime) -> Verdict:
    """Return what an error says of the placement; ``unanswered_at`` is when an open attempt began.

    Within 24 hours a repeated key is answered like the attempt that succeeded. So a refusal says
    that none has, once none can be under way any more.
    """
    if not error.was_sent:
        return Verdict.NOT_SENT
    if error.status not in ABOUT_THE_ORDER | ABOUT_US or not is_problem(error.body):
        return Verdict.OPEN
    if unanswered_at is None:
        return Verdict.REFUSED
    if error.status in ABOUT_THE_ORDER and now >= unanswered_at + OVER_AFTER:
        return Verdict.REFUSED
    return Verdict.REFUSED_FOR_NOW


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a 2xx says: the id of the portfolio order, and whether the rest of it is there too."""

    portfolio_order_id: UUID
    is_whole: bool


def read_acceptance(payload: Any) -> Acceptance | None:
    """Read the body of a 2xx: the object, or its id in either spelling (the contract, 7.8). None without an id."""
    if not isinstance(payload, dict):
        return None
    for name in ("id", "portfolio_order_id"):
        try:
            return Acceptance(
                uuid(payload, name, required=True), is_whole=name == "id" and "status" in payload
            )
        except UnreadableError:
            continue
    return None
