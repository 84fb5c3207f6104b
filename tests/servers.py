"""A PostgreSQL of a test's own, to be frozen and locked down as the shared one must not be."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.processes import free_port

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda it: it.parent)


def is_at_hand():
    """Return whether a server can be started here."""
    return bool(BINARIES) and (os.geteuid() != 0 or bool(shutil.which("runuser")))


class PostgreSQL:
    """A server on a spare port; a context that leaves nothing behind."""

    def __init__(self):
        # Not among pytest's, which nobody but the user of the tests may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="order-desk-postgresql-"))
        self._data, self.port = self._folder / "data", free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self._owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._owner:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def __enter__(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._data}"
        self._run("pg_ctl", "-l", str(self._data / "log"), "-w", "-o", options, "start")
        return self

    def __exit__(self, *_):
        self.thaw()
        self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def freeze(self):
        """Stop the server and its processes where they stand, as a dead disk does."""
        self._send(signal.SIGSTOP)

    def thaw(self):
        """Let them go on."""
        self._send(signal.SIGCONT)

    def _send(self, number):
        (first, *_) = (self._data / "postmaster.pid").read_text().splitlines()
        # The postmaster first, so that it forks no more.
        with suppress(ProcessLookupError):
            os.kill(int(first), number)
        listed = subprocess.run(["pgrep", "-P", first], capture_output=True, text=True, check=False)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def _run(self, program, *arguments):
        command = [*self._owner, str(BINARIES / program), "-D", str(self._data), *arguments]
        # Not piped: the server would keep the pipe open.
        done = subprocess.run(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, f"{command} failed"
