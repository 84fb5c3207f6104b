"""Several processes that do the jobs of one, each with a database connection of its own.

They are started afresh, not forked, and end by themselves where the one that started them is gone.
"""

import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from multiprocessing import connection as pipes
from multiprocessing import get_context
from typing import Any, Self, TypeVar

import django
from django.conf import settings
from django.db import connection, connections

from backoffice.interruptions import INTERRUPTIONS
from backoffice.limits import Process

Job = TypeVar("Job")
Make = Callable[..., AbstractContextManager[Callable[[Any], Any]]]


class LostProcessError(Exception):
    """One of the processes ended before its work; the message says what is known of it."""


class Crew:
    """``count`` processes, each with a worker that ``make(*arguments, number)`` gives it there, number by number."""

    def __init__(self, count: int, make: Make, *arguments: Any) -> None:
        spawn = get_context("spawn")
        self._processes = []
        self._pipes: list[pipes.Connection] = []
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings.SETTINGS_MODULE)
        for number in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(
                target=_serve, args=(theirs, connection.settings_dict["NAME"]), daemon=True
            )
            process.start()
            theirs.close()  # else its end would not be told us
            ours.send_bytes(pickle.dumps((Process.role, make, (*arguments, number))))
            self._processes.append(process)
            self._pipes.append(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(2)
            process.terminate()  # a server rolls back what it was at
            process.join()

    def do(self, jobs: Iterable[Job]) -> Iterator[Any]:
        """Yield the results as they come, each process with one job in hand. Raises what a worker raised."""
        waiting, busy = iter(jobs), list[pipes.Connection]()
        free = list(self._pipes)
        while True:
            while free and (job := next(waiting, None)) is not None:
                pipe = free.pop()
                _tell(pipe, job)
                busy.append(pipe)
            if not busy:
                return
            ready = pipes.wait(busy)
            for pipe in [it for it in busy if it in ready]:
                busy.remove(pipe)
                free.append(pipe)
                yield _answer(pipe)


def _tell(pipe: pipes.Connection, job: object) -> None:
    try:
        pipe.send(job)
    except OSError as error:
        raise LostProcessError("a process that worked for this one has ended") from error


def _answer(pipe: pipes.Connection) -> Any:
    try:
        is_well, result = pipe.recv()
    except (EOFError, OSError) as error:
        raise LostProcessError("a process that worked for this one has ended") from error
    if not is_well:
        raise result
    return result


def _serve(pipe: pipes.Connection, database: str) -> None:
    """Do jobs until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and closes the pipe
    django.setup()
    connections.settings["default"]["NAME"] = database  # of a test it is another
    try:
        Process.role, make, arguments = pickle.loads(pipe.recv_bytes())  # noqa: S301 -- from the one that started us
        with make(*arguments) as work:
            while True:
                job = pipe.recv()
                try:
                    said = (True, work(job))
                except INTERRUPTIONS:
                    raise
                except Exception as error:  # noqa: BLE001 -- it is raised in the other process
                    said = (False, _portable(error))
                pipe.send(said)
    except (EOFError, OSError):
        pass
    finally:
        connections.close_all()


def _portable(error: Exception) -> Exception:
    """Return an error as another process can read it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    except (TypeError, AttributeError, pickle.PicklingError):
        return LostProcessError(f"{type(error).__name__}: {error}")
    return error
