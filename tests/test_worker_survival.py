"""A worker process outlives whatever happens to its broker."""

import time
from uuid import uuid4

from orders import tasks
from tests import redis_servers
from tests.processes import wait_until
from tests.redis_servers import needs_redis_server
from tests.workers import environment, ring, silent_upstream, worker

ROUNDS = 5  # in about two of three the clearing away of the old connection fails


@needs_redis_server
def test_a_busy_worker_survives_redis_killed_and_started_empty_again_and_again(tmp_path):
    with (
        silent_upstream() as url,
        redis_servers.running(tmp_path) as redis,
        worker(tmp_path, environment(tmp_path, redis.url, INVESTMENT_API_URL=url)) as process,
    ):
        for _ in range(ROUNDS):
            is_taken_up(process, redis, tasks.refetch_order, str(uuid4()), "ada")
            time.sleep(0.3)  # it waits for the next task beside the one in hand
            redis.kill()
            time.sleep(2)
            redis.start()
        is_taken_up(process, redis, tasks.drain)

        assert process.is_running()


def is_taken_up(process, redis, task, *arguments):
    """Ring until the worker has taken a task up: what Redis lost is rung for again."""
    before = process.log().count(f"Task {task.name}[")

    def is_taken():
        if process.log().count(f"Task {task.name}[") > before:
            return True
        ring(redis.url, task, *arguments)
        return False

    wait_until(is_taken, seconds=90, every=2, told=process.log)
