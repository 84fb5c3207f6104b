"""What became of a cancellation: a table over the request, the end of the order, and its orders."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from backoffice.investment_api.answers import a_receipt
from backoffice.investment_api.errors import InvestmentAPIError, UnavailableError
from backoffice.investment_api.reading import Received, read
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
    requested_at: datetime = NOW
    sent_at: datetime | None = None
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
        (Asked(), order("NEW"), Fate.TAKEN, "Request accepted; waiting for confirmation."),
        (
            Asked(next_attempt_at=None),
            portfolio("PROCESSING", going=2),
            Fate.TAKEN,
            "Request accepted, but never confirmed: check the order.",
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
            "Cancelled. The broker gives another reason: ACCOUNT_IS_EMPTY.",
        ),
        (
            Asked(),
            portfolio("CANCELLED", filled=2, cancelled=3),
            Fate.PARTLY,
            "Partly cancelled: 3 of 5 orders cancelled, 2 filled.",
        ),
        (
            Asked(),
            portfolio("CANCELLED", cancelled=2, going=1),
            Fate.PARTLY,
            "Partly cancelled: 2 of 3 orders cancelled, 1 still open.",
        ),
        (
            Asked(),
            portfolio("SETTLED", filled=4, cancelled=1),
            Fate.PARTLY,
            (
                "Partly cancelled: 1 of 5 orders cancelled, 4 filled. "
                "The portfolio order ended as Settled."
            ),
        ),
        (
            Asked(),
            portfolio("CANCELLED", cancelled=3, traded=1),
            Fate.PARTLY,
            "Partly cancelled: 3 of 3 orders cancelled, 1 of the cancelled had traded.",
        ),
        (
            Asked(),
            order("CANCELLED", traded=1),
            Fate.PARTLY,
            "Partly cancelled: what was already executed stands.",
        ),
        (Asked(), order("FILLED"), Fate.FILLED, "Filled before the request arrived."),
        (
            Asked(),
            portfolio("SETTLED", filled=3),
            Fate.FILLED,
            "Filled before the request arrived.",
        ),
        (
            Asked("UNKNOWN", reason="DELETE /x: no answer", next_attempt_at=None),
            order("FILLED"),
            Fate.FILLED,
            "Filled before the request arrived.",
        ),
        (
            Asked("READY", attempts=0),
            order("FILLED"),
            Fate.FILLED,
            "Filled before the request was sent.",
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
                "Filled before the request arrived. "
                "The broker had refused the request: 409 Conflict."
            ),
        ),
        (
            REFUSED,
            order("CANCELLED"),
            Fate.CANCELLED,
            "Cancelled. The broker had refused the request: 409 Conflict.",
        ),
        (
            REFUSED,
            order("PROCESSING"),
            Fate.REFUSED,
            "Refused: 409 Conflict. The order stays open.",
        ),
        (
            Asked("REFUSED", attempts=2, reason="DELETE /x: 404 Not found", next_attempt_at=None),
            order("NEW"),
            Fate.REFUSED,
            (
                "Refused: 404 Not found. The order stays open. "
                "An earlier attempt was not answered and may still be carried out."
            ),
        ),
        (
            Asked(),
            order("PROCESSING", rejected=1),
            Fate.REFUSED,
            "Request accepted at first. The broker reported that it could not cancel it. The order stays open.",
        ),
        (
            Asked(),
            order("PROCESSING", rejected=1, rejection="Too late."),
            Fate.REFUSED,
            (
                "Request accepted at first. The broker reported that it could not cancel it: Too late. "
                "The order stays open."
            ),
        ),
        (
            Asked(),
            order("FILLED", rejected=1),
            Fate.FILLED,
            "Filled before the request arrived. The broker reported that it could not cancel it.",
        ),
        (
            Asked(),
            portfolio("PROCESSING", cancelled=2, going=3, rejected=3),
            Fate.TAKEN,
            (
                "Request accepted. The broker reported that it could not cancel 3 of 5 orders. "
                "They stay open."
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
            "Not sent yet: no token. Next attempt at 10:00:04.",
        ),
        (
            Asked("READY", attempts=0, next_attempt_at=None),
            order("NEW"),
            Fate.WAITING,
            "It was never sent. Request it again if needed.",
        ),
        (
            Asked("UNKNOWN", sending_until=LATER),
            order("NEW"),
            Fate.UNKNOWN,
            "Being sent; the broker has not answered yet.",
        ),
        (
            Asked("UNKNOWN", reason="DELETE /x: 503 Unavailable"),
            order("NEW"),
            Fate.UNKNOWN,
            "No answer from the broker: 503 Unavailable. We send it again at 10:00:04.",
        ),
        (
            Asked("UNKNOWN", reason="DELETE /x: 503 Unavailable", next_attempt_at=None),
            order("NEW"),
            Fate.UNKNOWN,
            (
                "No answer from the broker: 503 Unavailable. "
                "It is not sent again: check the order and request it again if needed."
            ),
        ),
        (
            Asked("UNKNOWN", sending_until=NOW - timedelta(seconds=1), next_attempt_at=NOW),
            order("NEW"),
            Fate.UNKNOWN,
            "No answer from the broker. We send it again in a moment.",
        ),
        (Asked(), order("SUSPENDED"), Fate.TAKEN, "Request accepted; waiting for confirmation."),
        (Asked(), order(""), Fate.TAKEN, "Request accepted; waiting for confirmation."),
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


OWN = {"content-type": "application/problem+json"}


def error_of(status, headers=OWN, body=None, *, was_sent=True):
    """Return what the client makes of an answer; of silence where there is no status."""
    if status is None:
        made: InvestmentAPIError = UnavailableError("DELETE /x: no answer in time")
    else:
        content = json.dumps({"type": "x", "status": status}).encode() if body is None else body
        with pytest.raises(InvestmentAPIError) as caught:
            read("DELETE /x", Received(status, headers, content), a_receipt(), now=NOW)
        made = caught.value
    made.was_sent = was_sent
    return made


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((error_of(status), Meaning.REFUSED) for status in (400, 401, 403, 404, 409, 422)),
        *((error_of(status, {}), Meaning.REFUSED) for status in (403, 404, 409)),
        (error_of(404, {}, b""), Meaning.OPEN),
        (error_of(404, {}, b"<html>Not here</html>"), Meaning.OPEN),
        (error_of(404, {}, b'{"message": "no Route matched with those values"}'), Meaning.OPEN),
        (error_of(403, {}, b'{"message": "Missing Authentication Token"}'), Meaning.OPEN),
        (error_of(204, {}, b""), Meaning.OPEN),
        *((error_of(status), Meaning.OPEN) for status in (302, 408, 418, 429, 500, 503, None)),
        (error_of(503, was_sent=False), Meaning.NOT_SENT),
    ],
)
def test_what_an_answer_means_for_the_request(error, expected):
    assert meaning(error) is expected
