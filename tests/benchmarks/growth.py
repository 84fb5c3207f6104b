"""Whether a full journal costs more than an empty one: ingest, drain and a page at several fill levels.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.growth [ENTRIES ...]

The levels are numbers of journal entries, 0, 50,000 and 250,000 unless told; ``0 5000000 50000000`` is the
whole measurement, and takes hours to fill and 60 GB. At each level the same numbers of deliveries are
stored and drained; the ratio is that to the first level.
"""

import statistics
import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client
from django.utils import timezone

from orders import projection
from orders.models import JournalEntry
from tests.benchmarks import feed, ground, ingest
from tests.benchmarks.apply import deliver
from tests.benchmarks.fill import fill
from tests.signed import publish

LEVELS = (0, 50_000, 250_000)
ENTRIES_EACH = 23  # of a portfolio order that is made by fill, roughly
SIZE = 100  # events of a delivery
INGESTED, DRAINED, TURNS = 20, 60, 3  # deliveries of a turn; the median of turns counts
LIST = "/admin/orders/portfolioorder/"


def main() -> None:
    """Fill to each level and measure there."""
    levels = [int(it) for it in sys.argv[1:]] or list(LEVELS)
    made, turn = 0, 0
    first: dict[str, float] = {}
    with ground.database(only="postgresql"):
        application = get_wsgi_application()
        client = Client()
        user = User.objects.create_superuser("mira")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        most = max(levels) // ENTRIES_EACH
        for level in levels:
            if level // ENTRIES_EACH > made:
                fill(made + 1, level // ENTRIES_EACH, of=most)
                made = level // ENTRIES_EACH
            with connection.cursor() as cursor:
                # Far from the numbers that fill gives.
                cursor.execute(
                    "SELECT setval('webhooks_delivery_id_seq', %s)", [10**12 + turn * 10**6]
                )
                cursor.execute("VACUUM ANALYZE")
            ground.head(f"At {JournalEntry.objects.count():,} entries")
            times: dict[str, list[float]] = {"ingest": [], "drain": [], "page": []}
            for _ in range(TURNS + 1):
                turn += 1
                times["ingest"].append(_ingest(application, start=1_000_000 * turn + 500_000))
                projection.drain(now=timezone.now())  # those: the next are of one kind
                deliver(SIZE, DRAINED, start=1_000_000 * turn)
                took = ground.seconds(lambda: projection.drain(now=timezone.now()))
                times["drain"].append(took / DRAINED / SIZE)
                times["page"].append(ground.seconds(lambda: client.get(LIST)))
            for name, found in times.items():
                took = statistics.median(found[1:])  # the first turn warms what a process keeps
                first.setdefault(name, took)
                unit = "ms" if name == "page" else "us an event"
                ground.say(
                    name,
                    took * (1000 if name == "page" else 1_000_000),
                    unit,
                    f"{took / first[name]:.2f} x the first level",
                )


def _ingest(application: Any, *, start: int) -> float:
    """Return the seconds an event of deliveries through the real door."""
    publish()
    environs = [ingest._environ(body) for body in feed.bodies(SIZE, INGESTED + 1, start=start)]
    ingest._answer(application, environs.pop())  # connects, imports, reads the key set
    times = [ground.seconds(lambda: ingest._answer(application, it)) for it in environs]  # noqa: B023
    return statistics.median(times) / SIZE


if __name__ == "__main__":
    main()
