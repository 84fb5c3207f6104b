"""The kinds of problems that an order can have: what each means, and what to do about it. Pure.

One table for all that names them: filters, marks in lists, notices on pages, the tile on Today.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orders.lifecycle import (
    CANCELLED_EXECUTED,
    CONFLICT,
    MISTRADE,
    NOT_FOUND,
    UNKNOWN_STATUS,
    UNREADABLE_ATTRIBUTE,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem.

    ``label`` is its name in lists and filters, ``meaning`` and ``advice`` are a sentence each.
    ``bit`` is how a row of an order says that it has it; 0 for what another table says.
    """

    name: str
    label: str
    meaning: str
    advice: str
    bit: int = 0

    @property
    def line(self) -> str:
        """Return what it means and what to do."""
        return f"{self.meaning} {self.advice}"


OF_ORDERS: tuple[Problem, ...] = (
    Problem(
        "conflict",
        "Filled and cancelled",
        "The broker reported the order as both filled and cancelled.",
        "Refetch it; if the broker still reports both, ask its support which one counts.",
        CONFLICT,
    ),
    Problem(
        "executed",
        "Cancelled, but fully executed",
        "The order is cancelled, although all of it was executed.",
        "Treat it as filled, tell the client, and ask the broker to correct the status.",
        CANCELLED_EXECUTED,
    ),
    Problem(
        "mistrade",
        "Trade reversed",
        "The order was filled, then at least one of its executions was cancelled.",
        "Ask the broker if it will be executed again, and tell the client what no longer counts.",
        MISTRADE,
    ),
    Problem(
        "unknown",
        "Unknown status",
        "The broker reported a status that this release does not know.",
        "See the history for the status as received; the order counts as open until a known one follows.",
        UNKNOWN_STATUS,
    ),
    Problem(
        "not_found",
        "Not found at the broker",
        "The broker answered 404 when it was last asked for this order.",
        "Refetch it; if it is still not found, give its ID to the broker's support.",
        NOT_FOUND,
    ),
    Problem(
        "unreadable",
        "Unreadable attribute",
        "Part of the latest report could not be read; the previous value is shown.",
        "Compare with the raw payload in the journal, and report it to the developers.",
        UNREADABLE_ATTRIBUTE,
    ),
)
MISSED = Problem(
    "missed",
    "Missed webhooks",
    "An expected webhook never arrived; the order is up to date if a check has run since.",
    "A single one needs no action; if there are many, check the subscription.",
)
UNLINKED = Problem(
    "unlinked",
    "No known portfolio order",
    "The order names a portfolio order that we have not received.",
    "No action yet: we ask the broker for it. If this remains, give both IDs to the broker's support.",
)
ALONE = Problem(
    "alone",
    "Single orders with a problem",
    "Orders without a portfolio order here that have one of these problems.",
    "Open each: its page says what is wrong.",
)
UNCONFIRMED = Problem(
    "unconfirmed",
    "Placements without a confirmed result",
    "A placement was sent, and no answer says whether the broker accepted it.",
    "Look it up at the broker before you place it again.",
)
BOOKS = Problem(
    "books",
    "Still different after reconciliation",
    "The last reconciliation could not bring our data in line with the broker's.",
    "Open each order, refetch it, and reconcile again.",
)
NOT_THERE = Problem(
    "not_there",
    "Not known at the broker",
    "The last reconciliation found orders here that the broker does not list.",
    "Look each up at the broker; if it is missing there, ask the broker's support.",
)
BY_NAME: Mapping[str, Problem] = {problem.name: problem for problem in (*OF_ORDERS, MISSED)}


def problems_in(bits: int) -> list[Problem]:
    """Return the problems that the bits of a row say, the gravest first."""
    return [problem for problem in OF_ORDERS if bits & problem.bit]
