"""The whole desk as in production, web, worker, beat and upstream as processes, ends with upstream's truth."""

import os
import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from signal import SIGCONT, SIGSTOP
from uuid import UUID, uuid5

import pytest

from tests.processes import Installation, database, wait_until
from tests.truth import shown, told

SERVER = os.environ.get("TEST_DATABASE_URL", "")
ORDERS = 60
MORE = 10  # placed while Redis and the worker are dead
LOST = 60  # of this portfolio order every event is lost
FAULTS = {
    "seed": 7, "lose": 0.08, "repeat": 0.08, "reorder": 0.08, "delay": 0.05, "repeat_after": 1,
    "reorder_by": 0.5, "delay_by": 3, "choices": [{"fault": "lose", "number": LOST}],
}  # fmt: skip
FINAL = {"portfolio_orders": {"SETTLED", "CANCELLED"}, "orders": {"FILLED", "CANCELLED"}}
TABLES = {
    "portfolio_orders": "orders_portfolioorder",
    "orders": "orders_order",
    "executions": "orders_execution",
}

pytestmark = [
    pytest.mark.skipif(
        not SERVER.startswith("postgres"), reason="TEST_DATABASE_URL names no PostgreSQL"
    ),
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server here"),
]


@pytest.fixture
def desk(tmp_path):
    with database(SERVER) as url, Installation(tmp_path, url) as installation:
        yield installation


def test_web_worker_and_beat_end_with_every_order_final_and_equal_to_upstreams_truth(desk):
    desk.start(desk.worker, desk.beat)
    desk.place(ORDERS, every=0.05, faults=FAULTS)

    wait_until_told(desk, ORDERS)
    recover_the_lost(desk)
    wait_until_equal(desk)

    check_the_end(desk)
    assert Counter(delivered(desk)) == entries_by_event(desk)


def test_killing_any_process_or_redis_at_any_moment_loses_and_doubles_nothing(desk):
    rng = Random(20)
    desk.start(desk.worker, desk.beat, desk.drain)
    desk.place(ORDERS, every=0.15, faults=FAULTS)

    troubles = [
        lambda: killed(desk.worker, rng),
        lambda: killed(desk.web, rng),
        lambda: killed(desk.web, rng),
        lambda: killed(desk.beat, rng),
        lambda: redis_frozen(desk, rng),
        lambda: redis_killed(desk),
    ]
    for trouble in rng.sample(troubles, len(troubles)):
        time.sleep(rng.uniform(0.1, 1))
        trouble()
    wait_until_told(desk, ORDERS + MORE)
    recover_the_lost(desk)
    wait_until_equal(desk)

    check_the_end(desk)
    assert max(seconds for _, seconds in desk.answered()) < 5


def killed(process, rng):
    process.kill()
    time.sleep(rng.uniform(0, 1))
    process.start()


def redis_frozen(desk, rng):
    desk.redis.send(SIGSTOP)
    time.sleep(rng.uniform(2, 4))
    desk.redis.send(SIGCONT)


def redis_killed(desk):
    """Kill Redis and the worker: deliveries are taken all the same, and `drain --forever` applies them."""
    wait_until(desk.is_up, seconds=30)
    desk.worker.kill()
    desk.redis.kill()
    killed_at = datetime.now(UTC)
    desk.ask_sandbox("place", {"count": MORE})
    wait_until(lambda: applied_since(desk, killed_at) >= 50, seconds=30, told=desk.drain.log)
    taken = [it for it in desk.attempts() if datetime.fromisoformat(it["at"]) > killed_at]
    desk.redis.start()
    desk.worker.start()
    # 503: a web process that was itself killed just now may have to fetch the keys first.
    assert {attempt["outcome"] for attempt in taken} <= {"200", "503"}


def applied_since(desk, moment):
    """Return how many of the events that came since have been applied."""
    (row,) = desk.rows(
        "SELECT count(*) AS n FROM orders_journalentry "
        "WHERE source = 'WEBHOOK' AND recorded_at > %s AND outcome IN ('APPLIED', 'NO_CHANGE')",
        moment,
    )
    return row["n"]


def wait_until_told(desk, orders):
    """Wait until upstream has nothing more to say, and the desk has applied all of it."""

    def is_over():
        truth = desk.ask_sandbox("truth")
        is_quiet = truth["is_quiet"] and not truth["undelivered"]
        return len(truth["portfolio_orders"]) == orders and is_quiet and not pending(desk)

    wait_until(is_over, seconds=90, told=lambda: f"{pending(desk)} pending")


def pending(desk):
    (row,) = desk.rows("SELECT count(*) AS n FROM orders_journalentry WHERE outcome = 'PENDING'")
    return row["n"]


def recover_the_lost(desk):
    """List what upstream has, as after an outage: of one portfolio order nothing was ever heard."""
    desk.manage("poll", "--since", f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}")
    assert desk.rows(
        "SELECT id FROM orders_portfolioorder WHERE id NOT IN (SELECT portfolio_order_id FROM "
        "orders_journalentry WHERE source = 'WEBHOOK' AND portfolio_order_id IS NOT NULL)"
    )


def wait_until_equal(desk):
    """Wait until the desk has asked about all that it was not told."""
    truth = truth_of(desk)
    wait_until(
        lambda: not differences(desk, truth),
        seconds=90,
        told=lambda: "\n".join(map(str, differences(desk, truth))),
    )


def check_the_end(desk):
    """Hold the desk to the truth, to its own journal, and to what it said it had stored."""
    truth = truth_of(desk)
    for kind, final in FINAL.items():
        assert {document["status"] for document in truth[kind]} <= final
    assert differences(desk, truth) == []
    assert not pending(desk)
    taken = set(delivered(desk))
    check_executions(desk, truth, taken)
    assert taken - entries_by_event(desk).keys() == set()
    assert not desk.rows("SELECT * FROM orders_journalentry WHERE outcome = 'QUARANTINED'")
    assert "0 differences" in desk.manage("rebuild", "--check")


def truth_of(desk):
    """Return what is true upstream, each order with the portfolio order that lists it."""
    truth = desk.ask_sandbox("truth")
    parents = {
        it["id"]: parent["id"] for parent in truth["portfolio_orders"] for it in parent["orders"]
    }
    for order in truth["orders"]:
        order["portfolio_order_id"] = parents[order["id"]]
    return truth


def differences(desk, truth):
    """Return each object that the desk holds differently, lacks, or has made up."""
    found = []
    for kind in FINAL:
        expected = {it["id"]: told(kind, it) for it in truth[kind]}
        rows = {pk: shown(kind, row) for pk, row in held(desk, kind).items()}
        found += [
            (kind, pk, expected.get(pk), rows.get(pk))
            for pk in expected.keys() | rows.keys()
            if expected.get(pk) != rows.get(pk)
        ]
    return found


def check_executions(desk, truth, taken):
    """Hold each execution to the truth; its settlement only where upstream has told it."""
    expected = {it["id"]: it for order in truth["orders"] for it in order["executions"]}
    rows = held(desk, "executions")
    assert rows.keys() == expected.keys()
    for pk, document in expected.items():
        assert shown("executions", rows[pk]) == told("executions", document)
        if str(uuid5(UUID(pk), f"EXECUTION.{document['status']}")) in taken:
            assert rows[pk]["status"] == document["status"]
            assert str(rows[pk]["settlement_date"] or "") == document.get("settlement_date", "")


def delivered(desk):
    """Return the id of each event that was answered with 200, as often as it was."""
    taken = [attempt for attempt in desk.attempts() if attempt["outcome"] == "200"]
    return [event for attempt in taken for event in attempt["events"]]


def held(desk, kind):
    """Return the rows of the desk by id."""
    return {str(row["id"]): row for row in desk.rows(f"SELECT * FROM {TABLES[kind]}")}


def entries_by_event(desk):
    """Return how many entries there are of each event that came by webhook, repeats counted."""
    rows = desk.rows(
        "SELECT coalesce(event_id, repeat_of) AS event, count(*) AS n FROM orders_journalentry "
        "WHERE source = 'WEBHOOK' GROUP BY 1"
    )
    return Counter({str(row["event"]): row["n"] for row in rows})
