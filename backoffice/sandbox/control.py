"""The other side of the stand-in, for demos and tests: what is true, and what shall go wrong.

Unsigned, since the server listens on loopback only. POST takes JSON with its content type, which
keeps web pages in a browser on this machine from using it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from backoffice.http_signatures import Message

from .answers import ProblemError, Response
from .authentication import Authentication
from .courier import Courier
from .faults import FaultPlan, Trouble, Troubles
from .keys import KeySet
from .lane import Attempt
from .market import Market
from .objects import Json, timestamp
from .requests import body_of

PREFIX = "/_sandbox/"


class Control:
    """Answers calls below ``/_sandbox/``."""

    def __init__(
        self,
        *,
        market: Market,
        courier: Courier,
        keys: KeySet,
        authentication: Authentication,
        troubles: Troubles,
        clock: Callable[[], datetime],
    ) -> None:
        self._market = market
        self._courier = courier
        self._keys = keys
        self._authentication = authentication
        self._troubles = troubles
        self._clock = clock
        self._reads = {"truth": self._truth, "attempts": self._attempts}
        self._steps = {
            "place": self._place,
            "faults": self._faults,
            "trouble": self._trouble,
            "rotate": self._rotate,
            "revoke": self._revoke,
        }

    def answer(self, message: Message) -> Response:
        """Answer one call."""
        name = message.path.removeprefix(PREFIX)
        try:
            if message.method == "GET" and name in self._reads:
                return Response(200, self._reads[name]())
            if message.method == "POST" and name in self._steps:
                return Response(200, self._steps[name](body_of(message)))
        except ProblemError as problem:
            return problem.response("")
        except (ValueError, TypeError) as error:
            return ProblemError(400, str(error)).response("")
        known = f"GET {', '.join(self._reads)}; POST {', '.join(self._steps)}"
        return ProblemError(404, f"There is {known}.").response("")

    def _truth(self) -> Json:
        """Return all there is, whether anything is still going to happen, and what is undelivered."""
        return {
            "portfolio_orders": self._market.portfolio_orders(),
            "orders": self._market.orders(),
            "is_quiet": self._market.next_at() is None,
            "undelivered": self._courier.pending(),
        }

    def _attempts(self) -> Json:
        """Return the last delivery attempts of each subscription."""
        lanes = self._courier.lanes()
        return {
            lane.subscription.id: [_attempt(attempt) for attempt in list(lane.attempts)]
            for lane in lanes
        }

    def _place(self, body: Json) -> Json:
        placed = self._market.place_some(int(body.get("count", 1)), now=self._clock())
        return {"ids": [item["id"] for item in placed]}

    def _faults(self, body: Json) -> Json:
        self._courier.faults = FaultPlan.from_document(body)
        return {}

    def _trouble(self, body: Json) -> Json:
        """Expect a trouble ``times`` times; 0 clears what is pending."""
        times = int(body.pop("times", 1))
        if times:
            self._troubles.expect(Trouble(**body), times=times)
        else:
            self._troubles.clear()
        return {}

    def _rotate(self, body: Json) -> Json:
        """Sign with a new key; the set shows the old one for ``keep`` seconds more."""
        keep = timedelta(seconds=float(body["keep"])) if "keep" in body else None
        return {"kid": self._keys.rotate(self._clock(), keep=keep)}

    def _revoke(self, body: Json) -> Json:
        self._authentication.revoke_tokens()
        return {}


def _attempt(attempt: Attempt) -> Json:
    return {"at": timestamp(attempt.at), "outcome": attempt.outcome, "size": len(attempt.body)}
