"""What goes wrong on purpose: with the delivery of events, and with the answers of the API."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock
from typing import Any, Literal, Self, get_args

from .cuts import EARLY, LATE, Cut, Point
from .fates import seeded
from .objects import Event

LATER = tuple(point for point in get_args(Point) if point not in EARLY)
Fault = Literal["lose", "repeat", "reorder", "delay", "none"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault for chosen events; what is left at its default matches every event."""

    fault: Fault
    type: str = ""
    object_id: str = ""
    number: int = 0
    """The portfolio order's place among those of the market, from 1 on."""
    child: int = 0
    """The order's place in its portfolio order, from 1 on."""

    def __post_init__(self) -> None:
        if self.fault not in get_args(Fault):
            raise ValueError(
                f"{self.fault!r} is not a fault; those are {', '.join(get_args(Fault))}"
            )

    def fits(self, event: Event) -> bool:
        """Return whether the fault is meant for ``event``."""
        return (
            self.type in ("", event.type)
            and self.object_id in ("", event.object["id"])
            and self.number in (0, event.number)
            and self.child in (0, event.child)
        )


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one event is delivered: after which holds, once for each; lost if there are none."""

    holds: tuple[timedelta, ...] = (timedelta(0),)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often events are lost, repeated, overtaken by later ones, or held back for long.

    ``lose`` to ``delay`` are probabilities from 0 to 1, drawn anew for each event from the seed and
    the event's id, so the same events suffer the same whatever else happens. The first of
    ``choices`` that fits an event decides it alone. Raises ValueError for values that make no sense.
    """

    seed: int = 1
    lose: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    repeat_after: timedelta = timedelta(seconds=4)
    reorder_by: timedelta = timedelta(seconds=2)
    delay_by: timedelta = timedelta(seconds=12)
    choices: tuple[Choice, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lose", "repeat", "reorder", "delay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, not {getattr(self, name)}")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan from JSON; durations are seconds. Raises ValueError, TypeError."""
        values = dict(document)
        for name in ("repeat_after", "reorder_by", "delay_by"):
            if name in values:
                values[name] = timedelta(seconds=float(values[name]))
        values["choices"] = tuple(Choice(**choice) for choice in values.get("choices", ()))
        return cls(**values)

    def with_first_order(self, number: int = 1) -> Self:
        """Return the plan with one late, one repeated and one lost event of a portfolio order, the first unless told.

        Lost is PORTFOLIO_ORDER.FILLED, so that a poll before the settlement has something to tell.
        """
        first = (
            Choice("repeat", "PORTFOLIO_ORDER.NEW", number=number),
            Choice("delay", "ORDER.PROCESSING", number=number, child=1),
            Choice("lose", "PORTFOLIO_ORDER.FILLED", number=number),
            Choice("none", number=number),
        )
        return replace(self, choices=(*self.choices, *first))

    def treatment(self, event: Event) -> Treatment:
        """Return what happens to ``event`` on its way."""
        for choice in self.choices:
            if choice.fits(event):
                return self._treatment({choice.fault})
        rng = seeded(self.seed, event.id)
        chances = {
            "lose": self.lose,
            "repeat": self.repeat,
            "reorder": self.reorder,
            "delay": self.delay,
        }
        return self._treatment(
            {fault for fault, chance in chances.items() if rng.random() < chance}
        )

    def _treatment(self, faults: set[str] | set[Fault]) -> Treatment:
        if "lose" in faults:
            return Treatment(())
        hold = (
            self.delay_by
            if "delay" in faults
            else self.reorder_by
            if "reorder" in faults
            else timedelta(0)
        )
        return Treatment((hold, hold + self.repeat_after) if "repeat" in faults else (hold,))


PAGES: Mapping[str, tuple[str, str]] = {
    "html": ("text/html", "<html><body><h1>Not here</h1><hr>nginx</body></html>"),
    "empty": ("", ""),
    "text": ("text/plain", "upstream connect error or disconnect/reset before headers"),
    "no route": ("application/json", '{"message": "no Route matched with those values"}'),
    "no token": ("application/json", '{"message": "Missing Authentication Token"}'),
    "spring": (
        "application/json",
        '{"timestamp": "2026-03-02T09:00:00Z", "status": %d, "error": "Not Found", "path": "/"}',
    ),
    "list": ("application/json", '["unavailable"]'),
    "null": ("application/json", "null"),
    "empty object": ("application/json", "{}"),
    "cut short": ("application/problem+json", '{"type": "not_found", "status": %d'),
    "html as problem": ("application/problem+json", "<html><body>Not here</body></html>"),
    "other status": ("application/problem+json", '{"type": "internal", "status": 599}'),
    "other members": ("application/problem+json", '{"message": "no"}'),
    "other object": ("application/json", '{"id": "00000000-0000-4000-8000-000000000000"}'),
}
"""What gateways and proxies answer in place of the API: media type and body; %d is the status."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the API does instead of answering.

    A problem document with ``status``, a gateway's HTML ``page`` with ``status``, ``hang`` for
    ``seconds`` and then cut the connection, or ``cut`` it at once; those two ``at`` any point of
    the exchange, with a ``reset`` or quietly. ``gateway``: something on the way answers with
    ``status`` and one of the PAGES, before the call reached the API or, where ``at`` is late, after
    it had its effect. ``brief`` places and answers with the id alone, as the guide has it.
    ``path`` is the beginning of the paths that it concerns, "" is any ``method``. Raises ValueError
    for another kind, point or page.
    """

    kind: Literal["problem", "page", "gateway", "hang", "cut", "brief"] = "problem"
    status: int = 503
    page: str = "html"
    location: str = ""
    retry_after: str = ""
    seconds: float = 60.0
    path: str = "/"
    method: str = ""
    at: Point = "body"
    reset: bool = False

    def __post_init__(self) -> None:
        if self.kind not in (kinds := ("problem", "page", "gateway", "hang", "cut", "brief")):
            raise ValueError(f"{self.kind!r} is not a trouble; those are {', '.join(kinds)}")
        if self.at not in get_args(Point):
            raise ValueError(f"{self.at!r} is not a point; those are {', '.join(get_args(Point))}")
        if self.page not in PAGES:
            raise ValueError(f"{self.page!r} is not a page; those are {', '.join(PAGES)}")

    @property
    def is_late(self) -> bool:
        """Return whether the call has its effect all the same."""
        return self.at in LATE

    @property
    def cut(self) -> Cut | None:
        """Return how the connection ends; None if it does not."""
        if self.kind not in ("hang", "cut"):
            return None
        return Cut(self.at, self.seconds if self.kind == "hang" else 0.0, self.reset)

    def concerns(self, method: str, path: str) -> bool:
        """Return whether a call suffers it."""
        return path.startswith(self.path) and self.method in ("", method)


@dataclass(slots=True)
class Troubles:
    """The troubles to come, the next one first. Thread-safe."""

    _pending: deque[Trouble] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)

    def expect(self, trouble: Trouble, *, times: int = 1) -> None:
        """Have the next ``times`` calls that ``trouble`` concerns suffer it."""
        with self._lock:
            self._pending.extend([trouble] * times)

    def clear(self) -> None:
        """Answer all calls normally again."""
        with self._lock:
            self._pending.clear()

    def take(self, method: str, path: str, *, at: Collection[Point] = LATER) -> Trouble | None:
        """Return the trouble of a call, and count it, if it comes at one of these points; None if none does."""
        with self._lock:
            for trouble in self._pending:
                if trouble.concerns(method, path):
                    if trouble.at not in at:
                        return None
                    self._pending.remove(trouble)
                    return trouble
            return None
