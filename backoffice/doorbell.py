"""Ring for a worker, bounded in time: the rows are the queue, a lost ring loses nothing."""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from celery import Task
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from kombu import Producer

from backoffice.celery import app
from backoffice.database import limits
from backoffice.interruptions import INTERRUPTIONS

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds, for the connection and for each answer of the broker
PAUSE = 5.0  # seconds without ringing after a failure
RUNG = "order-desk/rung/"  # begins the key that says that a task is rung for
LONGEST_RUNG = (
    2.0  # seconds: then a message is lost, or the workers are slow; one more costs little
)
FULL = 1000  # tasks that wait, beside those of a sweep: then nobody rings any more
LOOK_EVERY = 100  # rings of a process between two looks at how many wait
LISTEN_AGAIN = 30.0  # seconds without listening after a failure
SPACING = 0.02  # seconds between two rings of a process' own thread: a burst is one question to the broker


@dataclass
class Breaker:
    """Remembers, for a whole process, that the broker did not answer just now."""

    pause: float = PAUSE
    clock: Callable[[], float] = time.monotonic
    _shut_until: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def is_open(self) -> bool:
        """Whether to leave the broker alone for now."""
        return self.clock() < self._shut_until

    def trip(self) -> bool:
        """Leave the broker alone for ``pause`` seconds; False if another thread just said so."""
        with self._lock:
            if self.is_open():
                return False
            self._shut_until = self.clock() + self.pause
            return True

    def reset(self) -> None:
        """Try the broker again at once."""
        self._shut_until = float("-inf")


breaker = Breaker()
crowd = Breaker()  # open while so many tasks wait that another would tell nobody anything
_rings = itertools.count(1)
_per_thread = threading.local()
_rung: dict[str, float] = {}  # where the broker is in memory: since when each task is rung for
_rung_lock = threading.Lock()


def ring(task: "Task[Any, Any]", *args: str | int) -> bool:
    """Ask a worker to run ``task``; False if the broker could not be told. Never raises.

    A dead or frozen broker costs the first caller less than a second and, while the breaker is
    open, the next ones nothing. The sweep finds what nobody rang for.
    """
    if crowd.is_open() or not _tell(
        lambda: task.apply_async(args, producer=_producer(), retry=False)
    ):
        return False
    if next(_rings) % LOOK_EVERY == 0 and is_full() and crowd.trip():
        logger.warning("more than %d tasks wait: no ring for %.0f s", FULL, crowd.pause)
    return True


def ring_once(task: "Task[Any, Any]") -> bool:
    """Ask a worker to run ``task``, as ``ring`` does, unless that is on its way; False if nobody could be told.

    One message for a burst, over all processes: until a worker begins, which it says by ``answer``,
    the rings behind the first cost one question to the broker each. Whatever is stored before the
    ring is seen by the run that answers it.
    """
    found = _tell(lambda: _is_first(task))
    if not found:
        return found is not None
    is_told = ring(task)
    if not is_told:
        answer(task)  # else the next would rely on a ring that never was
    return is_told


class Ringer:
    """Rings from a thread of its own: who has stored something goes on, and a burst is one ring.

    A ring that dies with its process is one that a sweep makes up for, like any other.
    """

    def __init__(self) -> None:
        self._wanted: set[Task[Any, Any]] = set()
        self._call = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self, task: "Task[Any, Any]") -> None:
        """Have ``task`` rung for, as by ``ring_once``, in a moment. Never raises."""
        with self._lock:
            self._wanted.add(task)
            if self._thread is None or not self._thread.is_alive():
                self._thread = self._started()
        self._call.set()

    def _started(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._work, name="ringer", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is to be had: the next ring tries again
            logger.warning("nobody rings now, a sweep will: %s", error)
            return None
        return thread

    def _work(self) -> None:
        while self._call.wait():
            self._call.clear()
            with self._lock:
                wanted, self._wanted = self._wanted, set()
            for task in wanted:
                if ring_once(task) and settings.REDIS_URL:
                    connection.close()  # it is of use only while there is no broker
                else:
                    _announce(task)
            time.sleep(SPACING)


class Listener:
    """Hears over PostgreSQL what is rung for while there is no broker."""

    def __init__(self, task: "Task[Any, Any]") -> None:
        self._channel = task.name
        self._line: psycopg.Connection[Any] | None = None
        self._tries_from = float("-inf")

    def wait(self, seconds: float) -> bool:
        """Wait until it is rung, ``seconds`` at most; False, at once, if nobody can be heard now. Never raises.

        Behind a pooler that gives each transaction another session nothing is ever heard: whoever waits
        here looks for work after every wait.
        """
        if connection.vendor != "postgresql" or time.monotonic() < self._tries_from:
            return False
        try:
            line = self._line or self._connect()
            for _ in line.notifies(timeout=seconds, stop_after=1):
                pass  # however many have rung, it is looked for work once
        except (psycopg.Error, OSError) as error:
            self.hang_up()
            self._tries_from = time.monotonic() + LISTEN_AGAIN
            logger.warning("the database is not listened to for %.0f s: %s", LISTEN_AGAIN, error)
            return False
        return True

    def hang_up(self) -> None:
        """Close the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connect(self) -> "psycopg.Connection[Any]":
        parameters = connection.get_connection_params() | {"autocommit": True}
        line = self._line = psycopg.connect(**parameters)
        line.execute(f'LISTEN "{self._channel}"')
        return line


def _announce(task: "Task[Any, Any]") -> None:
    """Ring over PostgreSQL, in a transaction of its own: a delivery's commit would wait for those of others."""
    if connection.vendor != "postgresql":
        return
    try:
        close_old_connections()
        with limits("health"), connection.cursor() as cursor:
            cursor.execute(f'NOTIFY "{task.name}"')
    except (DatabaseError, InterfaceError) as error:
        logger.debug("nobody who listens to the database is told: %s", error)
        connection.close()


ringer = Ringer()


def _begin_anew() -> None:
    global ringer  # noqa: PLW0603 -- threads are not forked, and locks may be held for ever
    ringer = Ringer()


os.register_at_fork(after_in_child=_begin_anew)


def answer(task: "Task[Any, Any]") -> None:
    """Say that ``task`` begins: what is stored from now on needs another ring. Never raises."""
    _tell(lambda: _forget(task))


def waiting() -> int | None:
    """Return how many tasks wait for a worker; None if the broker could not be asked. Never raises."""
    found = _tell(_count)
    return found if isinstance(found, int) else None


def is_full() -> bool:
    """Return whether so many tasks wait that one more would tell nobody anything: workers are dead or slow."""
    return (waiting() or 0) > FULL + 15 * settings.INVESTMENT_API_MAX_RPS


def _is_first(task: "Task[Any, Any]") -> bool:
    """Note that ``task`` is rung for; return whether nobody else has since it began last."""
    client = _redis()
    if client is not None:
        longest = int(LONGEST_RUNG * 1000)
        return _ask(client, "SET", f"{RUNG}{task.name}", 1, "NX", "PX", longest) is not None
    now = time.monotonic()
    with _rung_lock:
        is_first = _rung.get(task.name, float("-inf")) + LONGEST_RUNG < now
        if is_first:
            _rung[task.name] = now
    return is_first


def _forget(task: "Task[Any, Any]") -> None:
    client = _redis()
    if client is not None:
        client.delete(f"{RUNG}{task.name}")
    with _rung_lock:
        _rung.pop(task.name, None)


def _ask(client: Any, *command: str | int) -> object:
    """Return Redis' answer to a command, without what its client does around each: a third of a delivery's work."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        pool.release(connection)


def _redis() -> Any:
    """Return this thread's connection to Redis; None where the broker is in memory, of one process."""
    return getattr(_producer().channel, "client", None)


def _count() -> int:
    channel: Any = _producer().channel
    try:
        return int(channel.queue_declare(app.conf.task_default_queue, passive=True).message_count)
    except channel.connection.channel_errors:  # there is no queue where nothing waits
        return 0


def _tell(tell: Callable[[], object]) -> object:
    """Return what ``tell`` returns; None where the broker does not answer, or did not just now."""
    if breaker.is_open():
        return None
    try:
        return tell()
    except INTERRUPTIONS:
        _hang_up()
        raise
    except Exception as error:  # noqa: BLE001 - what is stored stays stored, whatever breaks here
        _hang_up()
        if breaker.trip():
            reason = f"{type(error).__name__}: {error}"
            logger.warning("broker unreachable, no ring for %.0f s: %s", breaker.pause, reason)
        return None


def _producer() -> Producer:
    """Return this thread's own producer: a shared one would make threads wait for each other."""
    producer: Producer | None = getattr(_per_thread, "producer", None)
    if producer is None:
        limits = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT, "max_retries": 0}
        connection = app.connection_for_write(
            transport_options={**app.conf.broker_transport_options, **limits}
        )
        producer = _per_thread.producer = Producer(connection, auto_declare=False)
    return producer


def _hang_up() -> None:
    """Close this thread's connection, so that the next ring begins with a fresh one."""
    producer: Producer | None = getattr(_per_thread, "producer", None)
    _per_thread.producer = None
    if producer is not None and producer.connection is not None:
        try:
            producer.connection.release()
        except INTERRUPTIONS:
            raise
        except Exception as error:  # noqa: BLE001 -- the transport has errors of its own
            logger.debug("A connection to the broker cannot be closed: %s", error)
