"""Deliveries per second over HTTP: gunicorn with two processes of four threads, eight connections kept alive.

    TEST_DATABASE_URL=postgres://... TEST_REDIS_URL=redis://... python -m tests.benchmarks.http

Floor: the same server that verifies and answers, with nothing stored. All requests are signed
beforehand. Both run in turns, and CPU is that of the server's processes.
"""

import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.benchmarks import feed, ground
from tests.door import OWN
from tests.processes import Process, answers, free_port, wait_until
from tests.signed import PATH, headers_for, publish
from webhooks.models import Delivery

CONNECTIONS = 8
ROUNDS = {1: 3000, 100: 1200}  # requests of so many events, in one turn
TURNS = 3
DOORS = {"verify and answer, nothing stored": "tests.benchmarks.floor", "ours": "backoffice.wsgi"}


def main() -> None:
    """Measure each size of delivery at both doors."""
    if not os.environ.get("TEST_REDIS_URL"):
        raise SystemExit("This benchmark needs Redis: set TEST_REDIS_URL.")
    with ground.database(only="postgresql"), tempfile.TemporaryDirectory() as folder:
        publish()
        for size, number in ROUNDS.items():
            ground.head(f"Ingest over HTTP, {number:,} deliveries of {size} events")
            found: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in DOORS}
            for _ in range(TURNS):
                requests = [_request(body) for body in feed.bodies(size, number, start=0)]
                for name, door in DOORS.items():
                    ground.empty(Delivery)
                    publish()
                    with _server(door, Path(folder)) as (port, cpu):
                        _knock(port, requests[:64])  # connects, imports, reads the key set
                        found[name].append(_measure(port, requests, cpu))
            _tell(size, found)


def _tell(size: int, found: dict[str, list[tuple[float, float, list[float]]]]) -> None:
    rates = {name: statistics.median(rate for rate, _, _ in runs) for name, runs in found.items()}
    floor = rates[next(iter(DOORS))]
    for name, runs in found.items():
        cpu = statistics.median(seconds for _, seconds, _ in runs)
        times = [it for _, _, mine in runs for it in mine]
        middle, last = statistics.median(times), statistics.quantiles(times, n=100)[98]
        remark = (
            f"{rates[name] / floor:.2f} of the floor, {rates[name] * size:,.0f} events/s,"
            f" CPU {cpu * 1000:.2f} ms, p50 {middle * 1000:.0f} ms, p99 {last * 1000:.0f} ms"
        )
        ground.say(name, rates[name], "requests/s", remark)


@contextmanager
def _server(door: str, folder: Path) -> Any:
    port = free_port()
    web = Process(
        "web", sys.executable, "-m", "gunicorn", f"{door}:application", "--workers=2", "--threads=4",
        f"--bind=127.0.0.1:{port}",
        environment=_environment(),
        folder=folder,
    )  # fmt: skip
    web.start()
    try:
        wait_until(
            lambda: answers(f"http://127.0.0.1:{port}/health/live"), seconds=60, told=web.log
        )
        yield port, lambda: _cpu(web)
    finally:
        web.kill()


def _environment() -> dict[str, str]:
    """Return the environment of a web process on the benchmark's database; it asks no upstream."""
    private = OWN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return os.environ | {
        "DATABASE_URL": ground.address(),
        "TEST_DATABASE_URL": ground.address(),
        "INVESTMENT_API_URL": f"http://127.0.0.1:{free_port()}",
        "INVESTMENT_API_CLIENT_ID": str(uuid4()),
        "INVESTMENT_API_CLIENT_SECRET": "a secret",
        "INVESTMENT_API_KEY_ID": str(uuid4()),
        "INVESTMENT_API_PRIVATE_KEY": private,
    }


def _cpu(web: Process) -> float:
    """Return the CPU seconds that the workers of gunicorn have taken."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == web.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _measure(port: int, requests: Sequence[bytes], cpu: Any) -> tuple[float, float, list[float]]:
    before, began = cpu(), time.perf_counter()
    times = _knock(port, requests)
    took = time.perf_counter() - began
    return len(requests) / took, (cpu() - before) / len(requests), times


def _knock(port: int, requests: Sequence[bytes]) -> list[float]:
    """Send all requests over connections that stay open; return the seconds of each answer."""

    def send(mine: Sequence[bytes]) -> list[float]:
        times = []
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in mine:
                began = time.perf_counter()
                line.sendall(request)
                answer = b""
                while not answer.endswith(b"}\r\n0\r\n\r\n"):
                    part = line.recv(4096)
                    if not part:
                        raise SystemExit(f"The connection was closed: {answer!r}")
                    answer += part
                times.append(time.perf_counter() - began)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"A delivery was answered {answer!r}.")
        return times

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = [requests[number::CONNECTIONS] for number in range(CONNECTIONS)]
        return [it for mine in pool.map(send, parts) for it in mine]


def _request(body: bytes) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers_for(body).items()]
    head = "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: localhost", *lines])
    return head.encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    main()
