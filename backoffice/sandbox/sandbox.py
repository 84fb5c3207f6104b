"""The stand-in as a whole: API, market and courier on one clock."""

import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread

from backoffice.http_signatures import Message, PublicKey

from .answers import Response
from .api import Api
from .authentication import SCOPES, Authentication
from .control import PREFIX, Control
from .courier import Courier
from .cuts import Cut, Point
from .faults import FaultPlan, Trouble
from .keys import KeySet
from .limit import Limit
from .manners import Manners
from .market import Market
from .server import Server
from .speed import Speed, now_utc
from .subscriptions import Subscriptions
from .upstream import Upstream

TOPICS = ("PORTFOLIO_ORDER", "ORDER", "EXECUTION", "ORDER_CANCELLATION")

_LONGEST_PAUSE = 1.0
_SHORTEST_PAUSE = 0.01
_COURIERS = 8
_REMEMBERED_EVERY = 15.0  # seconds


class Sandbox:
    """A stand-in for the Investment API that speaks HTTP and holds everything in memory.

    ``clock`` moves orders and deliveries; tokens and signatures go by the machine's clock, as
    callers do. Either call ``serve`` and then ``step`` whenever the clock was moved, or ``run``,
    which does that in threads until ``stop``. With ``memory``, a file, the market is kept there every
    few seconds and at ``stop``, and the next sandbox goes on with it, also after a crash; deliveries
    under way are lost, as in a real outage.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        client_key_id: str,
        client_public_key: PublicKey,
        seed: int = 1,
        clock: Callable[[], datetime] = now_utc,
        speed: Speed | None = None,
        faults: FaultPlan | None = None,
        oddities: float = 1.0,
        scopes: frozenset[str] = SCOPES,
        memory: Path | None = None,
    ) -> None:
        speed = speed or Speed.demo()
        self.clock = clock
        self._memory = memory
        self.market = _remembered(memory) or Market(seed=seed, speed=speed, oddities=oddities)
        self.subscriptions = Subscriptions()
        self.keys = KeySet()
        self.courier = Courier(
            self.subscriptions,
            keys=self.keys,
            clock=clock,
            faults=faults or FaultPlan(),
            pace=speed.waits,
        )
        self.authentication = Authentication(
            client_id=client_id,
            client_secret=client_secret,
            key_id=client_key_id,
            public_key=client_public_key,
            scopes=scopes,
        )
        self._upstream = Upstream(
            clock=clock,
            market=self.market,
            subscriptions=self.subscriptions,
            keys=self.keys,
            courier=self.courier,
            authentication=self.authentication,
        )
        self._api = Api(self._upstream)
        self._control = Control(self._upstream)
        self._server: Server | None = None
        self._lock = Lock()
        self._placing: tuple[datetime, int, timedelta, timedelta | None] | None = None
        self._stopping = Event()
        self._wake = Event()
        self._ticker: Thread | None = None

    def serve(self, port: int = 0) -> str:
        """Start the HTTP server on 127.0.0.1 and return its base URL; OSError if the port is taken."""
        self._server = Server(self.answer, port=port, cut_of=self._cut_of)
        self._server.start()
        return self._server.url

    def answer(self, message: Message) -> Response:
        """Answer one HTTP request."""
        is_control = message.path.startswith(PREFIX)
        response = self._control.answer(message) if is_control else self._api.answer(message)
        if message.method != "GET":
            self._wake.set()
        return response

    def _cut_of(self, method: str, path: str, point: Point) -> Cut | None:
        trouble = self._upstream.troubles.take(method, path, at=(point,))
        return trouble.cut if trouble else None

    def subscribe(self, url: str, *, topics: tuple[str, ...] = TOPICS, delay: str = "1s") -> str:
        """Create and enable a subscription; return its id."""
        now = self.clock()
        document = {"title": "Order desk", "url": url, "type": list(topics)}
        made = self.subscriptions.create(
            {**document, "config": {"delay": delay, "max_package_size": 51200}}, now=now
        )
        self.subscriptions.update(made.id, {"enabled": True}, now=now)
        return made.id

    def expect(self, trouble: Trouble, *, times: int = 1) -> None:
        """Have the next calls of the API suffer ``trouble``."""
        self._upstream.troubles.expect(trouble, times=times)

    def forgive(self) -> None:
        """Let no trouble be to come any more."""
        self._upstream.troubles.clear()

    @property
    def manners(self) -> Manners:
        """How cancellations are taken."""
        return self.market.manners

    @property
    def limit(self) -> Limit:
        """How many calls a second the API takes."""
        return self._upstream.limit

    def test(self, subscription_id: str) -> None:
        """Have the courier deliver a test event, as the API's test call does."""
        self.courier.test(self.subscriptions.get(subscription_id))
        self._wake.set()

    def place_for_show(self) -> str:
        """Place an ordinary portfolio order, one of whose events comes late, one twice, one never; return its id."""
        faults = self.courier.faults
        self.courier.faults = faults.with_first_order(self.market.placed + 1)
        placed = self.market.place_some(1, now=self.clock(), is_ordinary=True)
        self._wake.set()
        return str(placed[0]["id"])

    def place_steadily(
        self, count: int, *, every: timedelta, then: timedelta | None = None
    ) -> None:
        """Place ``count`` portfolio orders, one now and the next ``every`` so long.

        With ``then`` it goes on for good, at that pace.
        """
        with self._lock:
            self._placing = (self.clock(), count, every, then)
        self._wake.set()

    def step(self) -> None:
        """Move the market to the clock and deliver what is due, in this thread."""
        self._advance()
        for lane in self.courier.lanes():
            self.courier.deliver(lane)

    def run(self, port: int = 0) -> str:
        """Serve, and step in threads as time passes. Returns the base URL."""
        url = self._server.url if self._server else self.serve(port)
        self._ticker = Thread(target=self._tick, name="sandbox-market", daemon=True)
        self._ticker.start()
        return url

    def stop(self) -> None:
        """End all threads and close all connections."""
        self._stopping.set()
        self._wake.set()
        self.courier.hang_up()
        if self._ticker:
            self._ticker.join()
        if self._server:
            self._server.stop()
        self.remember()

    def remember(self) -> None:
        """Write the market to the file of the memory, if there is one; a crash leaves it whole."""
        if self._memory:
            new = self._memory.with_name(f"{self._memory.name}-new")
            new.write_bytes(self.market.pickled())
            new.replace(self._memory)

    def _advance(self) -> None:
        now = self.clock()
        self._place_due(now)
        self.courier.accept(self.market.advance(now))
        self.courier.clean_up(now)

    def _place_due(self, now: datetime) -> None:
        with self._lock:
            if self._placing is None:
                return
            at, count, every, then = self._placing
            while count and at <= now:
                self.market.place_some(1, now=at)
                at, count = at + every, count - 1
            if not count and then:
                at, count, every = at - every + then, -1, then  # never counts down to none
            self._placing = (at, count, every, then) if count else None

    def _tick(self) -> None:
        with ThreadPoolExecutor(_COURIERS, thread_name_prefix="sandbox-courier") as pool:
            remembered = time.monotonic()
            while not self._stopping.is_set():
                self._wake.clear()
                self._advance()
                if time.monotonic() > remembered + _REMEMBERED_EVERY:
                    self.remember()
                    remembered = time.monotonic()
                now = self.clock()
                for lane in self.courier.lanes():
                    if (at := lane.next_at()) and at <= now:
                        pool.submit(self.courier.deliver, lane).add_done_callback(
                            lambda _: self._wake.set()
                        )
                self._wake.wait(self._pause())

    def _pause(self) -> float:
        """Return the seconds until something is due; a second at most, for the clock may be moved."""
        with self._lock:
            placing = self._placing[0] if self._placing else None
        coming = [at for at in (self.market.next_at(), self.courier.next_at(), placing) if at]
        if not coming:
            return _LONGEST_PAUSE
        return min(
            max((min(coming) - self.clock()).total_seconds(), _SHORTEST_PAUSE), _LONGEST_PAUSE
        )


def _remembered(memory: Path | None) -> Market | None:
    """Return the market kept in a file of our own; None where there is none that this release can read."""
    try:
        market = pickle.loads(memory.read_bytes()) if memory else None  # noqa: S301 -- our own file
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, a new market does
        return None
    return market if isinstance(market, Market) else None
