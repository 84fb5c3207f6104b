"""From the answer 200 to the row in the database, at 500 events a second.

    TEST_DATABASE_URL=postgres://... TEST_REDIS_URL=redis://... python -m tests.benchmarks.visible [SECONDS]

gunicorn with two processes takes the deliveries over eight connections kept alive. They are applied
by a worker that is rung for over Redis, then by ``drain --forever`` without any. What is looked for
is the journal entry of each delivery's last event: it is written with the rows of its orders.
"""

import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from orders.journal import event_id_of
from tests.benchmarks import feed, ground
from tests.door import Door
from tests.door import request as http_request
from tests.processes import Process, wait_until
from tests.signed import PATH

RATE = 500  # events a second
SIZES = (1, 100)  # events of a delivery
SECONDS = 10.0
CONNECTIONS = 8
LOOK = 0.01  # seconds between two looks
PATIENCE = 60.0  # seconds for what is not seen by the end
SEEN = "SELECT event_id FROM orders_journalentry WHERE event_id = ANY(%s) AND outcome <> 'PENDING'"
WORKER = ("-m", "celery", "-A", "backoffice", "worker", "--without-gossip", "--without-mingle")


def main() -> None:
    """Measure each size of delivery with each of the two that apply."""
    redis_url = os.environ.get("TEST_REDIS_URL", "")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    appliers: dict[str, tuple[str, tuple[str, ...]]] = {
        "drain --forever, no Redis": ("", ("manage.py", "drain", "--forever"))
    }
    if redis_url:
        appliers = {"a worker": (redis_url, (*WORKER, "--concurrency=2"))} | appliers
    starts = count(step=1_000_000)
    with ground.database(only="postgresql"), tempfile.TemporaryDirectory() as folder:
        for name, (url, command) in appliers.items():
            ground.head(f"From received to visible, {RATE} events/s, {name}")
            with _running(Path(folder), url, command) as door:
                _measure(door, 100, 1.0, next(starts))  # connects, imports, reads the key set
                for size in SIZES:
                    _tell(size, *_measure(door, size, seconds, next(starts)))


def _tell(size: int, took: float, waits: list[float]) -> None:
    middle, last = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    remark = f"p99 {last * 1000:,.0f} ms, {len(waits) * size / took:,.0f} events/s taken"
    ground.say(f"{size} events a delivery, median", middle * 1000, "ms", remark)


@contextmanager
def _running(folder: Path, redis_url: str, command: tuple[str, ...]) -> Iterator[Any]:
    """Run the web process and what applies, each a process of its own that is killed in the end."""
    with ExitStack() as stack:
        database = {"DATABASE_URL": ground.address()}
        door = stack.enter_context(
            Door(folder, workers=2, threads=4, redis_url=redis_url, **database)
        )
        applier = Process(
            "applier", sys.executable, *command, environment=door.web.environment, folder=folder
        )
        applier.start()
        stack.callback(applier.kill)
        wait_until(
            lambda: "ready" in applier.log() or "SIGTERM" in applier.log(),
            seconds=60, told=applier.log,
        )  # fmt: skip
        yield door


def _measure(door: Any, size: int, seconds: float, start: int) -> tuple[float, list[float]]:
    """Deliver for a while at the rate; return the seconds it took, and those from each answer to its row."""
    stream = feed.events(start)
    deliveries: list[tuple[UUID, bytes]] = []
    for _ in range(max(2, round(RATE * seconds / size))):
        events = list(islice(stream, size))
        body = json.dumps({"payload": events}).encode()
        signed = http_request("POST", PATH, door.headers(body), body)
        deliveries.append((event_id_of(events[-1]), signed))
    answered: dict[UUID, float] = {}
    seen: dict[UUID, float] = {}
    watcher = threading.Thread(target=_watch, args=(len(deliveries), answered, seen))
    watcher.start()
    began = time.perf_counter()
    turns = iter(enumerate(deliveries))
    lock = threading.Lock()

    def send(_: int) -> None:
        with door.connect() as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                number, (event_id, signed) = turn
                time.sleep(max(0.0, began + number * size / RATE - time.perf_counter()))
                _knock(line, signed)
                answered[event_id] = time.perf_counter()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send, range(CONNECTIONS)))
    took = time.perf_counter() - began
    watcher.join()
    if len(seen) < len(deliveries):
        raise SystemExit(
            f"{len(deliveries) - len(seen)} deliveries were not applied in {PATIENCE:.0f} s."
        )
    return took, [max(0.0, seen[it] - answered[it]) for it, _ in deliveries]


def _knock(line: socket.socket, signed: bytes) -> None:
    """Send a request over a connection that stays open, and wait for the answer."""
    line.sendall(signed)
    answer = b""
    while not answer.endswith(b"}\r\n0\r\n\r\n"):
        part = line.recv(4096)
        if not part:
            raise SystemExit(f"The connection was closed: {answer!r}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"A delivery was answered {answer!r}.")


def _watch(most: int, answered: dict[UUID, float], seen: dict[UUID, float]) -> None:
    """Note when the event of each answered delivery is seen in the journal."""
    until = time.perf_counter() + PATIENCE
    known = 0
    with psycopg.connect(ground.address(), autocommit=True) as line:
        while len(seen) < most and time.perf_counter() < until:
            waiting = [it for it in list(answered) if it not in seen]
            if len(answered) > known:
                known, until = len(answered), time.perf_counter() + PATIENCE
            rows = line.execute(SEEN, [waiting]).fetchall() if waiting else []
            now = time.perf_counter()
            seen.update((event_id, now) for (event_id,) in rows)
            time.sleep(LOOK)


if __name__ == "__main__":
    main()
