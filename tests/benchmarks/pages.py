"""Lists, filters and searches of staff: few rows against many, with their statements; then large portfolio orders.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.pages [PORTFOLIO_ORDERS]
    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.pages filled
    python -m tests.benchmarks.pages large

The first form loads each list of the desk, with each choice of each of its filters, each tab, each
sorted column and each kind of search, at 1,000 portfolio orders and at many, 40,000 unless told. Slow is
what takes longer than 60 ms and than 1.5 times its own time at 1,000: of that the plan of its slowest
statement is printed. The second form loads them at the size that the database has, which
``tests.benchmarks.fill`` filled: it is neither made nor dropped.

The third measures portfolio orders of 12, 1,500 and 10,000 orders alone, on SQLite too: each order
with four events, and 30 polls.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.admin.columns import DeskList
from orders.export import files
from orders.export.selection import Selection
from orders.models import Order, PortfolioOrder
from tests.benchmarks import ground
from tests.benchmarks.fill import fill
from tests.large import large

FEW = 1000
MANY = 40_000
TIMES = 5
QUICK, GROWTH = 0.060, 1.5  # slow is what takes longer than both
SIZES = (12, 1500, 10_000)
LIST, ORDERS = (f"/admin/orders/{name}/" for name in ("portfolioorder", "order"))


@dataclass
class Shown:
    """How long a page took, and what it asked the database; ``slowest`` is the statement that took longest."""

    seconds: float
    status: int
    queries: int
    sql: float  # seconds of it in the database
    slowest: str


def main() -> None:
    """Measure each page twice, or once where the database is filled already."""
    match sys.argv[1:]:
        case ["large"]:
            _measure_large()
        case ["filled"]:
            client, user = _staff()
            try:
                ground.head(f"Pages at {PortfolioOrder.objects.count():,} portfolio orders")
                _tell(client, dict.fromkeys(_paths(user)))
            finally:
                user.delete()
        case given:
            many = int(given[0]) if given else MANY
            with ground.database(only="postgresql"):
                client, user = _staff()
                # Those placed last, as they will be: what is open and what was placed lately is among them.
                fill(many - FEW + 1, many)
                few = {path: _show(client, path) for path in _paths(user)}
                fill(1, many - FEW, of=many)
                with connection.cursor() as cursor:
                    cursor.execute("VACUUM ANALYZE")
                ground.head(f"Pages at {FEW:,} and {many:,} portfolio orders")
                _tell(client, few)


def _staff() -> tuple[Client, User]:
    client = Client(raise_request_exception=False)
    user = User.objects.create_superuser("mira of the benchmarks")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client, user


def _tell(client: Client, few: Mapping[str, "Shown | None"]) -> None:
    """Print the time of each page; of slow ones with a plan, and how many there are of them."""
    slow = 0
    for path, before in few.items():
        after = _show(client, path)
        remark = f"{after.queries} statements: {after.sql * 1000:.0f} ms"
        if before:
            remark += (
                f"; {before.seconds * 1000:.0f} ms before, {after.seconds / before.seconds:.1f} x"
            )
        remark += "" if after.status == 200 else f", answered {after.status}"
        ground.say(path.removeprefix("/admin/"), after.seconds * 1000, "ms", remark)
        if after.seconds > max(QUICK, GROWTH * before.seconds if before else 0):
            slow += 1
            _explain(after.slowest)
    print(f"  {len(few)} pages, {slow} of them slow")  # noqa: T201


def _explain(statement: str) -> None:
    print(f"    {statement[:600]}")  # noqa: T201
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}".replace("%", "%%"), [])
        for (line,) in cursor.fetchall():
            print(f"      {line[:160]}")  # noqa: T201


def _measure_large() -> None:
    with ground.database():
        client = Client(raise_request_exception=False)
        user = User.objects.create_superuser("mira")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        rows = {count: large(count, name=f"of {count}") for count in SIZES}
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
        for count, row in rows.items():
            ground.head(f"A portfolio order of {count:,} orders")
            path, order = f"{LIST}{row.pk}/change/", row.orders.order_by("pk")[0]
            for what, asked in {
                "its page": path,
                "its problems": f"{path}?show=problems",
                "the middle of its history": f"{path}?at={2 * count}",
                "the page of one order": f"{ORDERS}{order.pk}/change/",
                "the list": LIST,
                "its version": f"/admin/version/portfolio-order/{row.pk}/",
            }.items():
                _say_large(client, what, asked)
            _export(row)


def _export(row: PortfolioOrder) -> None:
    """Read the history file of one portfolio order."""
    file = files.order_history(Selection.of(PortfolioOrder.objects.filter(pk=row.pk)))
    began, before, most = time.perf_counter(), ground.resident_mib(), 0.0
    for _ in file.chunks(bom=False):
        most = max(most, ground.resident_mib() - before)
    took = time.perf_counter() - began
    ground.say("export_history", took * 1000, "ms", f"{file.count:,} rows, memory +{most:.0f} MiB")


def _say_large(client: Client, what: str, path: str) -> None:
    shown, text = _show(client, path), client.get(path).content
    remark = f"{len(text) / 1000:,.0f} kB, {text.count(b'<'):,} tags, {shown.queries} statements"
    remark += "" if shown.status == 200 else f", answered {shown.status}"
    ground.say(what, shown.seconds * 1000, "ms", f"{remark}: {shown.sql * 1000:.0f} ms")


def _paths(user: User) -> list[str]:
    """Return the address of each page to measure; filters, sorts and searches of each list as it offers them."""
    request = RequestFactory().get("/admin/")
    request.user = user
    row, child = PortfolioOrder.objects.order_by("pk")[7], Order.objects.order_by("pk")[7]
    known = Order.objects.order_by("instrument_id").values_list("instrument_id", flat=True)
    terms = [str(row.pk), str(row.pk)[:8], str(child.pk), str(row.account_id), "nobody has this"]
    terms += [known[0], child.instrument_id, known.reverse()[0], "desk-7", "IE00B0000019"]
    paths = []
    lists: list[Any] = [it for it in site._registry.values() if isinstance(it, DeskList)]
    for door in lists:
        model = door.model
        path = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        queries = ["", "p=2", "p=100", "p=200", "p=2000"]
        for each in door.get_list_filter(request):
            shown = each(request, {}, model, door)
            queries += [urlencode({shown.parameter_name: it}) for it, _ in shown.lookup_choices]
        for name in door.get_sortable_by(request):
            queries += [f"o={name}", f"o=-{name}"]
        if door.search_fields:
            queries += [urlencode({"q": term}) for term in terms]
        paths += [f"{path}?{query}".removesuffix("?") for query in dict.fromkeys(queries)]
    return [*paths, f"{LIST}{row.pk}/change/", f"{ORDERS}{child.pk}/change/", "/admin/"]


def _show(client: Client, path: str) -> Shown:
    """Load a page several times; the first warms what a process keeps."""
    client.get(path)
    with CaptureQueriesContext(connection) as asked:
        response = client.get(path)
    asked_for = list(asked.captured_queries)
    asked_for.sort(key=lambda query: float(query["time"]))
    return Shown(
        seconds=statistics.median(ground.seconds(lambda: client.get(path)) for _ in range(TIMES)),
        status=response.status_code,
        queries=len(asked_for),
        sql=sum(float(query["time"]) for query in asked_for),
        slowest=asked_for[-1]["sql"] if asked_for else "",
    )


if __name__ == "__main__":
    main()
