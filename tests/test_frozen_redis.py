"""A web process that starts while Redis is frozen, with real processes."""

import os
import shutil
from signal import SIGSTOP

import pytest

from tests.processes import Installation, database, wait_until

SERVER = os.environ.get("TEST_DATABASE_URL", "")

pytestmark = [
    pytest.mark.skipif(
        not SERVER.startswith("postgres"), reason="TEST_DATABASE_URL names no PostgreSQL"
    ),
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server here"),
]


def test_a_web_process_that_starts_while_redis_is_frozen_answers_its_first_delivery_within_a_second(
    tmp_path,
):
    with database(SERVER) as url, Installation(tmp_path, url) as desk:
        desk.start()
        desk.place(0, every=1, faults={})
        desk.web.end()
        desk.redis.send(SIGSTOP)
        desk.web.start()
        wait_until(desk.is_up, seconds=30, told=desk.web.log)
        wait_until(lambda: desk.web.log().count("GET /auth/verify_keys 200") == 2, seconds=30)

        desk.ask_sandbox("place", {"count": 1})

        status, seconds = wait_until(desk.answered, seconds=30, told=desk.web.log)[0]
        assert status == 200
        assert seconds < 1
