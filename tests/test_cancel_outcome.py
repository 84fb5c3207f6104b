"""What became of a cancellation: a table over the request, the end of the order, and its orders."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from backoffice.investment_api.errors import NotFoundError, RefusedError, UnavailableError
from orders.cancelling.answers import Meaning, meaning
from orders.cancelling.outcome import Fate, Held, outcome
from orders.lifecycle import Kind

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = NOW + timedelta(seconds=4)


@dataclass
class Asked:
    state: str = "TAKEN"
    attempts: int = 1
    reason: str = ""
    sending_until: datetime | None = None
    next_attempt_at: datetime | None = LATER


def portfolio(status, filled=0, cancelled=0, going=0, **more):
    orders = {"FILLED": filled, "CANCELLED": cancelled, "PROCESSING": going}
    orders = {status: count for status, count in orders.items() if count}
    return Held(Kind.PORTFOLIO_ORDER, status, orders=orders, **more)


def order(status, **more):
    return Held(Kind.ORDER, status, **more)


REFUSED = Asked("REFUSED", reason="DELETE /x: 409 Conflict", next_attempt_at=None)


@pytest.mark.parametrize(
    ("asked", "held", "fate", "sentence"),
    [
        (Asked(), order("NEW"), Fate.TAKEN, "Taken by the broker, waiting for its word."),
        (
            Asked(next_attempt_at=None),
            portfolio("PROCESSING", going=2),
            Fate.TAKEN,
            "Taken by the broker, and no word of it since: look at the order.",
        ),
        (Asked(), order("CANCELLED"), Fate.CANCELLED, "Cancelled."),
        (Asked(), portfolio("CANCELLED"), Fate.CANCELLED, "Cancelled."),
        (
            Asked(),
            portfolio("CANCELLED", cancelled=5, reason="CANCELLED_BY_CLIENT"),
            Fate.CANCELLED,
            "Cancelled.",
        ),
        (
            Asked(),
            portfolio("CANCELLED", reason="ACCOUNT_IS_EMPTY"),
            Fate.CANCELLED,
            "Cancelled. The broker's reason is another: ACCOUNT_IS_EMPTY.",
        ),
        (
            Asked(),
            portfolio("CANCELLED", filled=2, cancelled=3),
            Fate.PARTLY,
            "Cancelled in part: 3 of 5 orders cancelled, 2 filled.",
        ),
        (
            Asked(),
            portfolio("CANCELLED", cancelled=2, going=1),
            Fate.PARTLY,
            "Cancelled in part: 2 of 3 orders cancelled, 1 not ended yet.",
        ),
        (
            Asked(),
            portfolio("SETTLED", filled=4, cancelled=1),
            Fate.PARTLY,
            (
                "Cancelled in part: 1 of 5 orders cancelled, 4 filled. "
                "The portfolio order ended as Settled."
            ),
        ),
        (
            Asked(),
            portfolio("CANCELLED", cancelled=3, traded=1),
            Fate.PARTLY,
            "Cancelled in part: 3 of 3 orders cancelled, 1 of the cancelled traded in part.",
        ),
        (
            Asked(),
            order("CANCELLED", traded=1),
            Fate.PARTLY,
            "Cancelled in part: what had been traded before stays.",
        ),
        (Asked(), order("FILLED"), Fate.FILLED, "Filled before the cancel arrived."),
        (Asked(), portfolio("SETTLED", filled=3), Fate.FILLED, "Filled before the cancel arrived."),
        (
            Asked("UNKNOWN", reason="DELETE /x: no answer", next_attempt_at=None),
            order("FILLED"),
            Fate.FILLED,
            "Filled before the cancel arrived.",
        ),
        (
            Asked("READY", attempts=0),
            order("FILLED"),
            Fate.FILLED,
            "Filled before the cancel was sent.",
        ),
        (
            Asked("READY", attempts=0),
            order("CANCELLED"),
            Fate.CANCELLED,
            "Cancelled before the request was sent.",
        ),
        (
            REFUSED,
            order("FILLED"),
            Fate.FILLED,
            (
                "Filled before the cancel arrived. "
                "The broker had refused the cancel: DELETE /x: 409 Conflict."
            ),
        ),
        (
            REFUSED,
            order("CANCELLED"),
            Fate.CANCELLED,
            "Cancelled. The broker had refused the cancel: DELETE /x: 409 Conflict.",
        ),
        (
            REFUSED,
            order("PROCESSING"),
            Fate.REFUSED,
            "Refused: DELETE /x: 409 Conflict. It goes on.",
        ),
        (
            Asked("REFUSED", attempts=2, reason="DELETE /x: 404 Not found", next_attempt_at=None),
            order("NEW"),
            Fate.REFUSED,
            (
                "Refused: DELETE /x: 404 Not found. It goes on. "
                "An earlier attempt was not answered and may yet be carried out."
            ),
        ),
        (
            Asked(),
            order("PROCESSING", rejected=1),
            Fate.REFUSED,
            "Taken at first. The broker announced that it could not cancel it. It goes on.",
        ),
        (
            Asked(),
            order("PROCESSING", rejected=1, rejection="Too late."),
            Fate.REFUSED,
            (
                "Taken at first. The broker announced that it could not cancel it: Too late. "
                "It goes on."
            ),
        ),
        (
            Asked(),
            order("FILLED", rejected=1),
            Fate.FILLED,
            "Filled before the cancel arrived. The broker announced that it could not cancel it.",
        ),
        (
            Asked(),
            portfolio("PROCESSING", cancelled=2, going=3, rejected=3),
            Fate.TAKEN,
            (
                "Taken by the broker. The broker announced that it could not cancel 3 of 5 orders. "
                "They go on."
            ),
        ),
        (
            Asked("READY", attempts=0),
            order("NEW"),
            Fate.WAITING,
            "It is on its way to the broker.",
        ),
        (
            Asked("READY", attempts=0, reason="no token."),
            order("NEW"),
            Fate.WAITING,
            "Not sent yet: no token. The next attempt is at 10:00:04.",
        ),
        (
            Asked("READY", attempts=0, next_attempt_at=None),
            order("NEW"),
            Fate.WAITING,
            "It was never sent. Decide anew.",
        ),
        (
            Asked("UNKNOWN", sending_until=LATER),
            order("NEW"),
            Fate.UNKNOWN,
            "It is being sent, and the broker has not answered yet.",
        ),
        (
            Asked("UNKNOWN", reason="DELETE /x: 503 Unavailable"),
            order("NEW"),
            Fate.UNKNOWN,
            "Unknown whether the broker has it, sent again at 10:00:04: DELETE /x: 503 Unavailable.",
        ),
        (
            Asked("UNKNOWN", reason="DELETE /x: 503 Unavailable", next_attempt_at=None),
            order("NEW"),
            Fate.UNKNOWN,
            (
                "Unknown whether the broker has it: DELETE /x: 503 Unavailable. "
                "It is not sent again: look at the order and decide anew."
            ),
        ),
        (
            Asked("UNKNOWN", sending_until=NOW - timedelta(seconds=1), next_attempt_at=NOW),
            order("NEW"),
            Fate.UNKNOWN,
            "Unknown whether the broker has it, sent again in a moment.",
        ),
        (Asked(), order("SUSPENDED"), Fate.TAKEN, "Taken by the broker, waiting for its word."),
        (Asked(), order(""), Fate.TAKEN, "Taken by the broker, waiting for its word."),
    ],
)
def test_the_outcome_follows_from_the_request_and_the_order(asked, held, fate, sentence):
    result = outcome(asked, held, now=NOW)

    assert (result.fate, result.sentence) == (fate, sentence)


@pytest.mark.parametrize("state", ["READY", "UNKNOWN", "TAKEN", "REFUSED"])
@pytest.mark.parametrize("status", ["NEW", "PROCESSING", "SUSPENDED", ""])
def test_nothing_that_upstream_said_of_the_request_makes_an_open_order_cancelled(state, status):
    asked = Asked(state, attempts=3, reason="DELETE /x: 404 Not found")

    assert outcome(asked, order(status), now=NOW).fate not in {Fate.CANCELLED, Fate.PARTLY}


def error(kind, status, body=b'{"status": 0}', *, was_sent=True):
    made = kind("DELETE /x", status=status)
    made.body, made.was_sent = body, was_sent
    return made


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((error(RefusedError, status), Meaning.REFUSED) for status in (400, 401, 403, 409, 422)),
        (error(NotFoundError, 404), Meaning.REFUSED),
        (error(NotFoundError, 404, b""), Meaning.REFUSED),
        (error(NotFoundError, 404, b"<html>Not here</html>"), Meaning.OPEN),
        (error(RefusedError, 302), Meaning.OPEN),
        (error(RefusedError, 418), Meaning.OPEN),
        *((error(UnavailableError, status), Meaning.OPEN) for status in (408, 429, 500, 503, None)),
        (error(UnavailableError, 503, was_sent=False), Meaning.NOT_SENT),
    ],
)
def test_what_an_answer_means_for_the_request(error, expected):
    assert meaning(error) is expected
