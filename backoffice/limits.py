"""How long each kind of work may wait for the database, and how many may wait long at once.

The server keeps some limits (statement, lock, idle in a transaction). A server that is frozen keeps
none, so the process keeps its own, and it never lets all of its threads hang on one database.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 0.4  # seconds that any work may wait for one answer; only a few may wait longer


class NoPatienceError(Exception):
    """The database has not answered within the limit of this work; the message says which."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one kind of work, in seconds; 0 is no limit."""

    role: str
    connect: int  # for one host
    statement: int
    lock: int
    idle: int  # in a transaction, between two statements
    whole: float = 0  # for all of the work together
    few: int = 0  # of a process may wait longer than PATIENCE; 0: all may
    tries: int = 0  # of others at a time, while so many wait

    @property
    def answer(self) -> float:
        """Return how long to wait for one answer: a bit longer than the server, which is kinder."""
        return self.statement + 2 if self.statement else 0


ROLES = {
    limits.role: limits
    for limits in (
        # Of eight threads: one delivery, three pages, two files, one look at the readiness.
        Limits("delivery", connect=2, statement=4, lock=2, idle=5, whole=5, few=1),
        Limits("page", connect=3, statement=20, lock=3, idle=30, few=2, tries=1),
        # A file may take long; its reader may not stop for longer than idle.
        Limits("export", connect=3, statement=0, lock=3, idle=60),
        Limits("health", connect=2, statement=1, lock=1, idle=5, whole=1.8),
        Limits("task", connect=5, statement=90, lock=10, idle=60),
        Limits("command", connect=5, statement=0, lock=60, idle=600),
        Limits("migration", connect=5, statement=0, lock=5, idle=0),
        Limits("long", connect=5, statement=0, lock=0, idle=0),
    )
}


class Gate:
    """Lets few of one role wait long for a database that hangs, so that threads stay free for others.

    Once one had to give up, only ``tries`` more at a time may try; the first that is served to its
    end opens the gate again.
    """

    def __init__(self, few: int, tries: int) -> None:
        self._few, self._tries = few, tries
        self._lock = threading.Lock()
        self._inside = self._patient = 0
        self._is_suspect = False
        self._answered_at = float("-inf")

    @property
    def is_shut(self) -> bool:
        """Whether nobody more may try now."""
        trying = self._inside - (self._patient if self._tries else 0)
        return self._is_suspect and trying >= max(1, self._tries)

    def enter(self) -> bool:
        """Take part; False where nobody more may try now."""
        with self._lock:
            if self.is_shut:
                return False
            self._inside += 1
            return True

    def leave(self, *, is_well: bool) -> None:
        """Say whether the database served this work to its end."""
        with self._lock:
            self._inside -= 1
            self._is_suspect = self._is_suspect and not is_well

    def wait_longer(self) -> bool:
        """Take one of the few places of those who wait long; False where all are taken."""
        with self._lock:
            if self._patient >= self._few:
                self._is_suspect = True
                return False
            self._patient += 1
            return True

    def end_long_wait(self) -> None:
        """Give the place back."""
        with self._lock:
            self._patient -= 1

    def was_answered(self) -> None:
        """Note that the database answered one statement."""
        self._answered_at = time.monotonic()

    def doubt(self) -> None:
        """Suspect the database, as others do, unless it answered here just now."""
        with self._lock:
            if time.monotonic() - self._answered_at > PATIENCE:
                self._is_suspect = True


_gates = {limits.role: Gate(limits.few, limits.tries) for limits in ROLES.values() if limits.few}


def is_shut(role: str) -> bool:
    """Whether work of this role would be refused now, for the database does not answer others."""
    return role in _gates and _gates[role].is_shut


def doubt() -> None:
    """Say that somebody found the database to hang: others need not find out for themselves."""
    for gate in _gates.values():
        gate.doubt()


class Work:
    """One piece of work under the limits of its role: a delivery, a page, a task."""

    def __init__(self, limits: Limits, *, is_one: bool = True) -> None:
        """Begin, with ``is_one`` a piece that ends; else all that a process does besides."""
        self.limits = limits
        self.is_well = True
        self._is_one = is_one
        self._began = time.monotonic()
        self._gate = _gates.get(limits.role) if is_one else None
        self._is_inside = self.has_given_up = False

    def enter(self) -> None:
        """Begin to use the database. Raises NoPatienceError where too many already wait for it."""
        if self._gate and not self._is_inside:
            if not self._gate.enter():
                self.is_well = False
                raise NoPatienceError("the database does not answer others either")
            self._is_inside = True

    def leave(self) -> None:
        """End."""
        if self._gate and self._is_inside:
            self._is_inside = False
            self._gate.leave(is_well=self.is_well)

    @contextmanager
    def waiting(self) -> "Iterator[Wait]":
        """Wait for one answer. Raises NoPatienceError where this work has given up before."""
        if self.has_given_up:
            raise NoPatienceError("the database did not answer this before")
        wait = Wait(self, self._gate)
        try:
            yield wait
            if self._gate:
                self._gate.was_answered()
        finally:
            wait.end()

    def give_up(self) -> None:
        """Wait for no further answer."""
        self.is_well, self.has_given_up = False, self._is_one
        doubt()

    def time_left(self, waited: float) -> float:
        """Return how many seconds are left for an answer that is waited for since ``waited`` seconds."""
        left = self.limits.answer - waited if self.limits.answer else float("inf")
        whole = self.limits.whole
        return min(left, self._began + whole - time.monotonic()) if whole else left


class Wait:
    """The wait for one answer; ``go_on`` is asked again and again while it lasts."""

    def __init__(self, work: Work, gate: Gate | None) -> None:
        self._work, self._gate = work, gate
        self._began = time.monotonic()
        self._is_long = False

    @property
    def waited(self) -> float:
        """Return the seconds waited so far."""
        return time.monotonic() - self._began

    def go_on(self) -> None:
        """Return where the wait may last longer, else raise NoPatienceError."""
        waited = self.waited
        if self._work.time_left(waited) <= 0:
            self._give_up(f"no answer of the database within {waited:.1f} s")
        if self._gate and not self._is_long and waited > PATIENCE:
            if not self._gate.wait_longer():
                self._give_up(f"no answer of the database within {waited:.1f} s, others wait too")
            self._is_long = True

    def end(self) -> None:
        """Say that the wait is over, with or without an answer."""
        if self._gate and self._is_long:
            self._gate.end_long_wait()

    def _give_up(self, why: str) -> None:
        self._work.give_up()
        raise NoPatienceError(f"{why} ({self._work.limits.role})")


class Process:
    """What this process is: its default role, and its name for the server."""

    role = "command"

    @staticmethod
    def name() -> str:
        """Return ``web``, ``worker``, ``beat`` or the name of the command."""
        program = Path(sys.argv[0]).name
        if program == "manage.py":
            return sys.argv[1] if len(sys.argv) > 1 else program
        for known in ("worker", "beat"):
            if known in sys.argv[1:]:
                return known
        return "web" if Process.role == "page" else program


def default_work() -> Work:
    """Return the work of whoever said nothing else."""
    return Work(ROLES[Process.role], is_one=False)
