"""Deliveries per second through the real door: signed, verified, stored durably, answered.

    [TEST_DATABASE_URL=postgres://...] python -m tests.benchmarks.ingest

Floors: the same door without storing; PostgreSQL's COPY of the same entries, a transaction for each
delivery. Naive forms: get_or_create for each event; stored and applied one by one.
"""

import io
import json
import statistics
from datetime import datetime
from typing import Any
from unittest.mock import patch

from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.utils import timezone

from backoffice import database
from backoffice.http_signatures import Message
from orders import projection
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.benchmarks import feed, ground, naive
from tests.signed import PATH, headers_for, publish
from webhooks import inbox
from webhooks.models import Delivery

ROUNDS = {1: 400, 100: 40, 500: 12}  # deliveries of so many events
TURNS = 4
TABLES = (Execution, Order, PortfolioOrder, JournalEntry, Delivery)
BARE = {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}  # without the prefix, says CGI
COLUMNS = (
    "portfolio_order_id", "order_id", "source", "outcome", "event_id", "delivery_id", "type",
    "status", "occurred_at", "recorded_at", "actor", "message", "payload",
)  # fmt: skip


def main() -> None:
    """Measure each size of delivery."""
    with ground.database():
        application = get_wsgi_application()
        for size, number in ROUNDS.items():
            _measure(application, size, number)


def _measure(application: Any, size: int, number: int) -> None:
    """Run all forms in turns, so that what else the machine does meets them alike; medians count."""
    ground.head(f"Ingest, {number} deliveries of {size} events")
    forms = {
        "verify and answer, nothing stored": lambda *_, **__: None,
        "naive: get_or_create": _store_naively,
        "naive, stored and applied": _store_and_apply_naively,
        "ours": inbox.receive,
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    copies, drains = [], []
    for _ in range(TURNS):
        for name, form in forms.items():
            with patch.object(inbox, "receive", form):
                few = number // 10 if "naive" in name else number
                times[name] += _run(application, size, max(2, few // TURNS))
        drains.append(ground.seconds(lambda: projection.drain(now=timezone.now())))
        if connection.vendor == "postgresql":
            copies += _copy(size, number // TURNS)
    answer, naive_one, naive_both, ours = (statistics.median(times[name]) for name in forms)
    drain = statistics.median(drains) * TURNS / number
    ground.say("verify and answer, nothing stored", 1 / answer, "deliveries/s")
    ground.say("naive: get_or_create", size / naive_one, "events/s")
    p99 = statistics.quantiles(times["ours"], n=100)[98]
    remark = f"{naive_one / ours:.1f} x naive, {answer / ours:.2f} of verify and answer"
    if copies:
        copy = statistics.median(copies)
        ground.say("COPY of the same entries, nothing else", size / copy, "events/s")
        remark += f", {copy / ours:.2f} of COPY"
    ground.say("ours", size / ours, "events/s", f"{remark}, p99 {p99 * 1000:.0f} ms")
    ground.say("naive, stored and applied", size / naive_both, "events/s")
    both = ours + drain
    ground.say(
        "ours, stored and applied", size / both, "events/s", f"{naive_both / both:.1f} x naive"
    )


def _run(application: Any, size: int, number: int) -> list[float]:
    """Deliver on empty tables; return the seconds of each delivery."""
    ground.empty(*TABLES)
    publish()
    environs = [_environ(body) for body in feed.bodies(size, number + 1, start=0)]
    _answer(application, environs.pop())  # connects, imports, reads the key set
    return [ground.seconds(lambda: _answer(application, environ)) for environ in environs]  # noqa: B023


def _environ(body: bytes) -> dict[str, Any]:
    """Return a signed request as gunicorn hands it over."""
    headers = headers_for(body)
    environ = {
        "REQUEST_METHOD": "POST",
        "RAW_URI": PATH,
        "PATH_INFO": PATH,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }
    cgi = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    environ |= {name.removeprefix("HTTP_") if name in BARE else name: cgi[name] for name in cgi}
    return environ


def _answer(application: Any, environ: dict[str, Any]) -> None:
    statuses: list[str] = []
    response = application(environ, lambda status, headers: statuses.append(status))
    b"".join(response)
    response.close()
    if statuses != ["200 OK"]:
        raise SystemExit(f"A delivery was answered {statuses}.")


def _store_naively(message: Message, **_: object) -> None:
    """Store each event by itself, as a first version would; it keeps no time limit."""
    with database.limits("long"):
        for event in json.loads(message.body)["payload"]:
            naive.store(event)


def _store_and_apply_naively(message: Message, **_: object) -> None:
    with database.limits("long"):
        for event in json.loads(message.body)["payload"]:
            naive.apply(naive.store(event))


def _copy(size: int, number: int) -> list[float]:
    """Return the seconds that PostgreSQL takes for the entries of each delivery by COPY."""
    ground.empty(*TABLES)
    now = timezone.now()
    statement = f"COPY orders_journalentry ({', '.join(COLUMNS)}) FROM STDIN"

    def copy(rows: list[tuple[object, ...]]) -> None:
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(statement) as out:
            for row in rows:
                out.write_row(row)

    batches = [
        [_row(event, now) for event in json.loads(body)["payload"]]
        for body in feed.bodies(size, number, start=0)
    ]
    return [ground.seconds(lambda: copy(rows)) for rows in batches]  # noqa: B023


def _row(event: feed.Event, now: datetime) -> tuple[object, ...]:
    entry = naive.entry_of(event)
    return tuple(getattr(entry, name) for name in COLUMNS)


if __name__ == "__main__":
    main()
