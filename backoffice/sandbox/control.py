"""The other side of the stand-in, for demos and tests: what is true, and what shall go wrong.

Unsigned, since the server listens on loopback only. POST takes JSON with its content type, which
keeps web pages in a browser on this machine from using it.
"""

import json
from datetime import timedelta

from backoffice.http_signatures import Message

from .answers import ProblemError, Response
from .faults import FaultPlan, Trouble
from .lane import Attempt
from .manners import Manners
from .objects import Json, timestamp
from .requests import body_of
from .upstream import Upstream

PREFIX = "/_sandbox/"


class Control:
    """Answers calls below ``/_sandbox/``."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._reads = {"truth": self._truth, "attempts": self._attempts}
        self._steps = {
            "place": self._place,
            "faults": self._faults,
            "trouble": self._trouble,
            "limit": self._limit,
            "rotate": self._rotate,
            "revoke": self._revoke,
            "alter": self._alter,
            "drop": self._drop,
            "manners": self._manners,
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
        except (ValueError, TypeError, KeyError) as error:
            return ProblemError(400, str(error)).response("")
        known = f"GET {', '.join(self._reads)}; POST {', '.join(self._steps)}"
        return ProblemError(404, f"There is {known}.").response("")

    def _truth(self) -> Json:
        """Return all there is, whether anything is still going to happen, and what is undelivered."""
        return {
            "portfolio_orders": self._upstream.market.portfolio_orders(),
            "orders": self._upstream.market.orders(),
            "is_quiet": self._upstream.market.next_at() is None,
            "undelivered": self._upstream.courier.pending(),
        }

    def _attempts(self) -> Json:
        """Return the last delivery attempts of each subscription, with the ids of their events."""
        lanes = self._upstream.courier.lanes()
        return {
            lane.subscription.id: [_attempt(attempt) for attempt in list(lane.attempts)]
            for lane in lanes
        }

    def _place(self, body: Json) -> Json:
        placed = self._upstream.market.place_some(
            int(body.get("count", 1)), now=self._upstream.clock()
        )
        return {"ids": [item["id"] for item in placed]}

    def _faults(self, body: Json) -> Json:
        self._upstream.courier.faults = FaultPlan.from_document(body)
        return {}

    def _trouble(self, body: Json) -> Json:
        """Expect a trouble ``times`` times; 0 clears what is pending."""
        times = int(body.pop("times", 1))
        if times:
            self._upstream.troubles.expect(Trouble(**body), times=times)
        else:
            self._upstream.troubles.clear()
        return {}

    def _manners(self, body: Json) -> Json:
        """Take cancellations in these manners, and in no others of before."""
        self._upstream.market.manners = Manners.from_document(body)
        return {}

    def _limit(self, body: Json) -> Json:
        """Answer 429 to what is more than ``per_second`` calls; 0 lifts the limit. Tells how many there were."""
        limit = self._upstream.limit
        refused = limit.refused
        limit.set(int(body["per_second"]), retry_after=str(body.get("retry_after", "")))
        return {"refused": refused}

    def _rotate(self, body: Json) -> Json:
        """Sign with a new key; the set shows the old one for ``keep`` seconds more."""
        keep = timedelta(seconds=float(body["keep"])) if "keep" in body else None
        return {"kid": self._upstream.keys.rotate(self._upstream.clock(), keep=keep)}

    def _revoke(self, body: Json) -> Json:
        self._upstream.authentication.revoke_tokens()
        return {}

    def _alter(self, body: Json) -> Json:
        """Change a subscription behind the client's back: ``{"id": …, "changes": {"enabled": false}}``."""
        subscriptions, now = self._upstream.subscriptions, self._upstream.clock()
        return subscriptions.update(str(body["id"]), dict(body["changes"]), now=now).document()

    def _drop(self, body: Json) -> Json:
        """Delete a subscription as upstream's clean-up does; all of them where no ``id`` is named."""
        subscriptions = self._upstream.subscriptions
        ids = [body["id"]] if "id" in body else [it.id for it in subscriptions.all()]
        for webhook_id in ids:
            subscriptions.delete(str(webhook_id))
        return {"ids": ids}


def _attempt(attempt: Attempt) -> Json:
    ids = [event["id"] for event in json.loads(attempt.body)["payload"]]
    return {"at": timestamp(attempt.at), "outcome": attempt.outcome, "events": ids}
