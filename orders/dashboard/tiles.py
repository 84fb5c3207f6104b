"""The tiles of Today: numbers that lead to the rows they count. Pure, but for the addresses of lists."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from backoffice import admin
from orders.problems import ALONE, BOOKS, NOT_THERE, OF_ORDERS, UNCONFIRMED, Problem
from orders.reconciliation.models import Verdict
from orders.timeline.durations import duration

LIST = "orders_portfolioorder"
MOST_NARROW = 3  # parts


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what a tile counts, which leads to its own rows; ``title`` says what it means."""

    count: int
    label: str
    url: str
    title: str = ""

    @property
    def number(self) -> str:
        """The count as it is shown, behind the label: "Trade reversed 6", whatever the kind."""
        return capped(self.count)


@dataclass(frozen=True, slots=True)
class Tile:
    """A number; ``alarm`` is stale (somebody should look) or failed (something is wrong).

    With a ``url`` it leads to one list, which has ``count`` rows where that is known. A sum of
    several lists has no list of its own: its parts lead there.
    """

    label: str
    symbol: str
    tone: str
    value: str
    detail: str = ""
    url: str = ""
    count: int | None = None
    parts: tuple[Part, ...] = ()
    alarm: str = ""

    @property
    def is_wide(self) -> bool:
        """Whether its parts need more room than others have."""
        return len(self.parts) > MOST_NARROW


def capped(count: int) -> str:
    """Return a count that may have stopped at the cap: "9,999" or "10,000+"."""
    return f"{admin.CAP:,}+" if count > admin.CAP else f"{count:,}"


def list_url(model: str, **filters: str) -> str:
    """Return the list of a model, as "orders_portfolioorder", filtered."""
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def some(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts that there are any of."""
    return tuple(part for part in parts if part.count)


def still_open(held: Mapping[str, Any]) -> Tile:
    """Return the tile of what has not ended."""
    statuses = {"New": "NEW", "Processing": "PROCESSING", "Unknown": "OTHER"}
    parts = some(
        Part(held[label.lower()], label, list_url(LIST, status=word))
        for label, word in statuses.items()
    )
    return Tile(
        label="Open",
        symbol="processing",
        tone="processing",
        value=capped(held["open"]),
        detail="" if parts else "No open orders",
        url=list_url(LIST, status="OPEN"),
        count=held["open"],
        parts=parts,
    )


def stale(held: Mapping[str, Any], now: datetime) -> Tile:
    """Return the tile of what had no news for too long."""
    moments = [held[name] for name in held if name.startswith("oldest_") and held[name]]
    is_quiet = held["stale"] == 0
    return Tile(
        label="Stale",
        symbol="stale",
        tone="stale",
        value=capped(held["stale"]),
        detail=f"oldest {duration(now - min(moments))}"
        if moments
        else "All open orders are up to date"
        if is_quiet
        else "",
        url=list_url(LIST, freshness="stale"),
        count=held["stale"],
        alarm="" if is_quiet else "stale",
    )


def filled(held: Mapping[str, Any]) -> Tile:
    """Return the tile of what was filled in a day; of some nobody told when."""
    unknown = Part(
        held["filled_unknown"],
        "Unknown fill time",
        list_url(LIST, filled="unknown"),
        "Settled in the last 24 hours. The broker did not report when they were filled.",
    )
    median = f"median {duration(held['median'])}" if held["median"] else ""
    return Tile(
        label="Filled, last 24 h",
        symbol="filled",
        tone="filled",
        value=capped(held["filled"]),
        detail=median or ("" if held["filled"] else "none yet"),
        url=list_url(LIST, filled="24h"),
        count=held["filled"],
        parts=some([unknown]),
    )


def recovered(held: Mapping[str, Any]) -> Tile:
    """Return the tile of what webhooks should have told, and did not."""
    model = "orders_journalentry"
    parts = [
        Part(held["by_poll"], "By check", list_url(model, recovered="poll")),
        Part(held["by_refetch"], "By refetch", list_url(model, recovered="refetch")),
    ]
    return Tile(
        label="Recovered, last 7 days",
        symbol="source-poll",
        tone="stale",
        value=capped(held["recovered"]),
        detail="missed webhooks" if held["recovered"] else "no webhook was missed",
        url=list_url(model, recovered="any"),
        count=held["recovered"],
        parts=some(parts) if held["by_refetch"] else (),
    )


def problems(held: Mapping[str, Any], *, may_view: Mapping[str, bool]) -> Tile:
    """Return the tile of the orders that somebody has to look at, each kind with its own rows.

    ``may_view`` says which other lists this person may see: "placement", "reconciliation".
    """
    kinds = [
        _part(problem, held[f"problem_{problem.name}"], list_url(LIST, problem=problem.name))
        for problem in OF_ORDERS
    ]
    alone = list_url("orders_order", problem=ALONE.name)
    others = [_part(ALONE, held["problem_alone"], alone)]
    if may_view["placement"]:
        url = list_url("orders_placement", state="UNKNOWN")
        others.append(_part(UNCONFIRMED, held["placements_unknown"], url))
    if may_view["reconciliation"] and held["reconciled_is_amber"]:
        url = reverse("admin:orders_reconciliation_change", args=[held["reconciled_pk"]])
        others += [
            _part(BOOKS, held["reconciled_differing"], f"{url}?verdict={Verdict.DIFFERING}"),
            _part(
                NOT_THERE,
                held["reconciled_unknown_there"],
                f"{url}?verdict={Verdict.UNKNOWN_THERE}",
            ),
        ]
    count = held["problem_any"]
    whole = Part(count, "Portfolio orders with any problem", list_url(LIST, problem="any"))
    return summed(whole, others, label="Problem orders", tone="failed", within=kinds)


def summed(
    whole: Part,
    beside: Iterable[Part],
    *,
    label: str,
    tone: str,
    within: Iterable[Part] = (),
    apart: Iterable[Part] = (),
    is_named: bool = False,
) -> Tile:
    """Return the tile of what somebody should look at: the rows of a list and, beside them, of others.

    It leads to the list of the whole if nothing is beside it; a sum of several lists has none of its
    own, and names the whole among its parts, as it always does if ``is_named``. The parts ``within``
    are some of the whole; what stands ``apart`` is not counted.
    """
    others = some(beside)
    total = whole.count + sum(part.count for part in others)
    named = [whole] if others or is_named else []
    return Tile(
        label=label,
        symbol="warning",
        tone=tone,
        value=capped(total),
        detail="" if total else "none",
        url="" if others else whole.url,
        count=None if others else whole.count,
        parts=(*some(named), *some(within), *others, *some(apart)),
        alarm=tone if total else "",
    )


def _part(problem: Problem, count: int, url: str) -> Part:
    return Part(count, problem.label, url, problem.line)
