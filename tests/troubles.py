"""A desk in trouble: orders with every kind of problem, work that waits for each kind of worker and person.

And how to compare each number that a page shows with the list that it leads to.
"""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin
from uuid import UUID, uuid5

from django.test import Client
from django.utils import timezone

from orders import journal, projection
from orders.lifecycle import NOT_FOUND, Kind
from orders.models import (
    Order,
    Placement,
    PlacementState,
    PortfolioOrder,
    Reconciliation,
)
from orders.tracked import Source
from tests.scenes import SHOWN
from tests.signed import envelope, post
from tests.staff import html
from tests.stories import SPACE, START, at, event, execution, named, order, portfolio_order

LINK = re.compile(r"<a\s([^>]*data-count=[^>]*)>(.*?)</a>", re.DOTALL)
SECONDS = (SHOWN - START).total_seconds()


def of_orders(desk):
    """Tell of orders of every kind of problem, one of them with two, and of one that is alone."""
    then = SECONDS - 100

    def parent(status, name, **more):
        moment = {"created_at": at(then)}
        return event(
            f"PORTFOLIO_ORDER.{status}", portfolio_order(status, then, name=name, **moment | more)
        )

    def child(status, name, of, executions=(), **more):
        told = order(name, status, then, parent=of, **more) | {"executions": [*executions]}
        return event(f"ORDER.{status}", told)

    desk.receive(
        then,
        parent("FILLED", "both"),
        parent("CANCELLED", "both"),
        parent("CANCELLED", "in vain"),
        child("CANCELLED", "in vain 1", "in vain", [execution("V", order="in vain 1")]),
        child("HALTED", "in vain 2", "in vain"),
        parent("FILLED", "reversed"),
        child("FILLED", "R", "reversed", [execution("R1", "CANCELLED", order="R")]),
        parent("NEW", "gone"),
        parent("NEW", "odd attribute", account_id="ACC-1"),
        parent("SETTLED", "first learned as settled"),
        child("HALTED", "alone", None),
    )
    PortfolioOrder.objects.filter(pk=named("gone")).update(problems=NOT_FOUND)


def waiting(desk):
    """Have something wait for each kind of worker and person."""
    now = timezone.now()
    told = portfolio_order("PROCESSING", SECONDS - 50, name="gone")
    journal.record_answer(
        Kind.PORTFOLIO_ORDER, told, about=UUID(named("gone")), source=Source.REFETCH,
        actor="mira", now=now,
    )  # fmt: skip
    projection.drain(now=now)
    PortfolioOrder.objects.filter(pk=named("gone")).update(
        check_after=now - timedelta(hours=1), problems=NOT_FOUND
    )
    Order.objects.filter(pk=named("alone")).update(check_after=now - timedelta(hours=1))
    post(Client(), b"signed, but no JSON")
    projection.drain(now=now)
    late = portfolio_order("FILLED", SECONDS - 20, name="waits")
    journal.record_events([event("PORTFOLIO_ORDER.FILLED", late)], delivery_id=1, now=now)
    post(Client(), envelope(event("PORTFOLIO_ORDER.NEW", portfolio_order(name="unread"))))
    placements: list[tuple[str, dict]] = [
        (PlacementState.PROPOSED, {}),
        (PlacementState.READY, {"next_attempt_at": now}),
        (PlacementState.UNKNOWN, {"attempts": 2, "first_sent_at": now}),
        (PlacementState.UNKNOWN, {"attempts": 1, "first_sent_at": now, "sending_until": now + timedelta(minutes=5)}),
        (PlacementState.REFUSED, {}),
    ]  # fmt: skip
    for number, (state, more) in enumerate(placements):
        Placement.objects.create(
            id=uuid5(SPACE, f"placement {number}"), body=b"{}", user_id=named("user"),
            account_id=named("account" if number else "other account"), cash_amount="10.00", currency="EUR", side="BUY",
            state=state, submitted_by="mira", submitted_at=now, **more,
        )  # fmt: skip
    run = Reconciliation.objects.create(
        scope="OPEN", state="DONE", started_at=now, compared=9, differing=2, unknown_there=1
    )
    for name, verdict in (
        ("both", "DIFFERING"), ("reversed", "DIFFERING"), ("gone", "UNKNOWN_THERE"),
    ):  # fmt: skip
        run.findings.create(portfolio_order_id=named(name), verdict=verdict, found_at=now)


def numbers(path, response):
    """Return the numbers of a page that lead somewhere, as (number, words, address)."""
    for attributes, words in LINK.findall(html(response)):
        (count,) = re.findall(r'data-count="(\d+)"', attributes)
        (address,) = re.findall(r'href="([^"]*)"', attributes)
        said = " ".join(re.sub(r"<[^>]+>", " ", words).split())
        yield int(count), unescape(said), urljoin(path, unescape(address))


def rows_of(response):
    """Return how many rows the list of a page has in all."""
    context = response.context
    return (context["cl"] if "cl" in context else context["findings"]).paginator.count


def contradictions(client, path):
    """Return the numbers of a page that are not those of the rows they lead to."""
    found = [*numbers(path, client.get(path))]
    for count, said, address in found:
        response = client.get(address)
        assert response.status_code == 200, (said, address)
        if rows_of(response) != count:
            yield f"{path}: {said!r} is {count}, {address} has {rows_of(response)}"
