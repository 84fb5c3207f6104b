"""What benchmarks share: a database of their own, a stop watch, memory, lines of figures."""

import logging
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.core.cache import cache
from django.db import connection, connections

from orders import clocks


@contextmanager
def database(*, only: str = "") -> Iterator[None]:
    """Make a database with the product's tables, drop it in the end; ``only`` names the kind it must be."""
    if only and connection.vendor != only:
        raise SystemExit(f"This benchmark needs {only}: set TEST_DATABASE_URL.")
    logging.disable(logging.ERROR)
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":  # else it would be in memory
        connection.settings_dict["TEST"]["NAME"] = f"{name}.benchmark"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(name, verbosity=0)


def empty(*models: type) -> None:
    """Take all rows out of some tables, and what the process remembers of them."""
    with connection.cursor() as cursor:
        tables = [model._meta.db_table for model in models]  # type: ignore[attr-defined]
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")
    clocks.forget_first_webhook()
    cache.clear()


def address() -> str:
    """Return the URL of the benchmark's PostgreSQL database, for psql."""
    it = connection.settings_dict
    user = ":".join(quote(part, safe="") for part in (it["USER"], it["PASSWORD"]) if part)
    return f"postgres://{user}@{it['HOST']}:{it['PORT'] or 5432}/{it['NAME']}"


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident_mib() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mib(work: Callable[[], object]) -> float:
    """Return by how much the memory of this process grew at most while something was done."""
    before = resident_mib()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    work()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return max(int(peak) / 2**10 - before, 0)


def head(text: str) -> None:
    """Say what is measured next."""
    print(f"\n{text} ({connection.vendor})", flush=True)  # noqa: T201


def say(what: str, rate: float, unit: str, remark: str = "") -> None:
    """Print one line of figures."""
    print(f"  {what:<44}{rate:>11,.0f} {unit:<11}{remark}".rstrip(), flush=True)  # noqa: T201
