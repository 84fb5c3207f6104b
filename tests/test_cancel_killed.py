"""A worker is killed while it sends a cancellation, with real processes: nothing is lost, and nothing is guessed."""

import os
import shutil

import pytest

from tests.processes import Installation, database, wait_until

SERVER = os.environ.get("TEST_DATABASE_URL", "")
ASK = (
    "from orders.cancelling import requesting; from orders.lifecycle import Kind; "
    "from uuid import UUID; "
    "requesting.request(Kind.PORTFOLIO_ORDER, UUID('{}'), actor='tina')"
)

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


def request(desk):
    (row,) = desk.rows("select * from orders_cancellation")
    return row


def words(desk):
    rows = desk.rows(
        "select status from orders_journalentry where type = 'CANCELLATION' order by id"
    )
    return [row["status"] for row in rows]


@pytest.mark.parametrize(
    ("at", "more"), [("unread", ["SENT", "TAKEN"]), ("done", ["OVER"])], ids=["before", "after"]
)
def test_a_worker_killed_while_it_sends_leaves_unknown_and_another_finishes(desk, at, more):
    desk.start(desk.worker, desk.beat)
    desk.place(0, every=1, faults={}, speed="live")
    desk.ask_sandbox("trouble", {"kind": "hang", "method": "DELETE", "at": at, "seconds": 300})
    (pk,) = desk.ask_sandbox("place", {"count": 1})["ids"]
    wait_until(lambda: desk.rows("select 1 from orders_portfolioorder"), seconds=20)
    desk.manage("shell", "-c", ASK.format(pk))
    wait_until(lambda: request(desk)["state"] == "UNKNOWN", seconds=20, told=desk.worker.log)

    if at == "done":
        wait_until(
            lambda: desk.rows("select 1 from orders_portfolioorder where status = 'CANCELLED'"),
            seconds=20,
        )
    desk.worker.kill()
    held = request(desk)
    assert (held["state"], held["attempts"]) == ("UNKNOWN", 1)
    assert held["sending_until"] is not None
    desk.rows(  # its lease runs out
        "update orders_cancellation set sending_until = now() - interval '1 second', "
        "next_attempt_at = now() - interval '1 second' returning id"
    )
    desk.worker.start()

    def is_over():
        (row,) = desk.rows("select status from orders_portfolioorder")
        return row["status"] == "CANCELLED" and request(desk)["next_attempt_at"] is None

    wait_until(is_over, seconds=60, told=desk.worker.log)
    assert words(desk) == ["REQUESTED", "SENT", "UNKNOWN", *more]
    (theirs,) = desk.ask_sandbox("truth")["portfolio_orders"]
    assert theirs["status"] == "CANCELLED"
