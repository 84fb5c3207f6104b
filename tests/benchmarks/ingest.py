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

from backoffice.http_signatures import Message
from orders import projection
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.benchmarks import feed, ground, naive
from tests.signed import PATH, headers_for, publish
from webhooks import inbox
from webhooks.models import Delivery

ROUNDS = {1: 600, 100: 60, 500: 16}  # deliveries of so many events
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
    ground.head(f"Ingest, {number} deliveries of {size} events")
    few = max(3, number // 10)
    with patch.object(inbox, "receive", lambda *_, **__: None):
        verified = _run(application, size, number)
    with patch.object(inbox, "receive", _store_naively):
        stored = _run(application, size, few)
    with patch.object(inbox, "receive", _store_and_apply_naively):
        applied = _run(application, size, few)
    copied = _copy(size, number) if connection.vendor == "postgresql" else 0
    ours = _run(application, size, number)
    drain = ground.seconds(lambda: projection.drain(now=timezone.now()))

    answers, rate = number / sum(verified), size * number / sum(ours)
    ground.say("verify and answer, nothing stored", answers, "deliveries/s")
    ground.say("naive: get_or_create", naive_rate := size * few / sum(stored), "events/s")
    remark = f"{rate / naive_rate:.1f} x naive, {rate / size / answers:.2f} of verify and answer"
    if copied:
        ground.say("COPY of the same entries, nothing else", copied, "events/s")
        remark += f", {rate / copied:.2f} of COPY"
    remark += f", p99 {statistics.quantiles(ours, n=100)[98] * 1000:.0f} ms"
    ground.say("ours", rate, "events/s", remark)
    ground.say("naive, stored and applied", one := size * few / sum(applied), "events/s")
    both = size * number / (sum(ours) + drain)
    ground.say("ours, stored and applied", both, "events/s", f"{both / one:.1f} x naive")


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
    """Store each event by itself, as a first version would."""
    for event in json.loads(message.body)["payload"]:
        naive.store(event)


def _store_and_apply_naively(message: Message, **_: object) -> None:
    for event in json.loads(message.body)["payload"]:
        naive.apply(naive.store(event))


def _copy(size: int, number: int) -> float:
    """Return how many entries a second PostgreSQL takes by COPY, a transaction for each delivery."""
    ground.empty(*TABLES)
    now = timezone.now()
    batches = [
        [_row(event, now) for event in json.loads(body)["payload"]]
        for body in feed.bodies(size, number, start=0)
    ]

    def copy() -> None:
        statement = f"COPY orders_journalentry ({', '.join(COLUMNS)}) FROM STDIN"
        for rows in batches:
            with (
                transaction.atomic(),
                connection.cursor() as cursor,
                cursor.copy(statement) as out,
            ):
                for row in rows:
                    out.write_row(row)

    return size * number / ground.seconds(copy)


def _row(event: feed.Event, now: datetime) -> tuple[object, ...]:
    entry = naive.entry_of(event)
    return tuple(getattr(entry, name) for name in COLUMNS)


if __name__ == "__main__":
    main()
