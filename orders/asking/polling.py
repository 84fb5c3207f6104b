"""Ask about all that is due, once, several at a time: what a worker does with the sweep's tasks, without one."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Lock

from django.db import connections

from orders.asking import checking
from orders.asking.feedback import Result

THREADS = 8  # calls wait for upstream most of their time


def poll(*, now: datetime, tell: Callable[[Result], None]) -> None:
    """Ask about all that is due now, the longest overdue first; ``tell`` is called with each result."""
    waiting = deque(checking.due(now=now))
    one_at_a_time = Lock()

    def work() -> None:
        try:
            while True:
                try:
                    kind, pk = waiting.popleft()
                except IndexError:
                    return
                result = checking.check(kind, pk)
                with one_at_a_time:
                    tell(result)
        finally:
            connections.close_all()  # those of this thread

    if waiting:
        with ThreadPoolExecutor(min(THREADS, len(waiting))) as pool:
            for thread in [pool.submit(work) for _ in range(min(THREADS, len(waiting)))]:
                thread.result()
