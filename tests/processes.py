"""A whole installation as in production: each process a program of its own, to be killed and frozen.

The stand-in is one more process; PostgreSQL is the one that the tests are given, with a database of
its own for each installation; Redis is started here, for it must be killed.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parent.parent
ACCESS_FORMAT = "%(U)s %(s)s %(L)s"  # path, status, seconds


class Process:
    """A program in a process group of its own, whose output goes to a file."""

    def __init__(self, name, *command, environment, folder, cwd=ROOT):
        self.name, self.command, self.environment, self.cwd = name, [*command], environment, cwd
        self.output = folder / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self):
        """Start it, anew after it was killed."""
        with self.output.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command, cwd=self.cwd, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self):
        """Return its id, and that of its group."""
        assert self._popen
        return self._popen.pid

    def send(self, number):
        """Send a signal to it and to all processes that it started."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def kill(self):
        """End it and all that it started, at once and unasked."""
        self.send(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait(10)

    def end(self, number=signal.SIGTERM):
        """Ask it to end as a service manager or Ctrl-C does; return the exit code."""
        assert self._popen
        self._popen.send_signal(number)
        return self._popen.wait(20)

    def is_running(self):
        """Return whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def wait(self, seconds):
        """Return the exit code once it has ended by itself."""
        assert self._popen
        return self._popen.wait(seconds)

    def log(self):
        """Return what it wrote."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""


def free_port():
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until(condition, *, seconds, every=0.1, told=lambda: ""):
    """Return the first true value of ``condition``; fail with what ``told`` says after ``seconds``."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {told()}")
        time.sleep(every)
    return value


def answers(url):
    """Return whether ``url`` is answered with 200."""
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextmanager
def database(server):
    """Make a database beside the one at the address ``server``; yield its address, then drop it."""
    name = f"order_desk_{uuid4().hex[:12]}"
    parts = urlsplit(server)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield parts._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Installation:
    """Web, worker, beat, drain, Redis and upstream; a context that leaves none of them behind."""

    def __init__(self, folder, database_url):
        self._folder, self._database_url = folder, database_url
        self._web_port, self._redis_port, self._sandbox_port = (free_port() for _ in range(3))
        self.web_url = f"http://127.0.0.1:{self._web_port}"
        self.access_log = folder / "access.log"
        self._client = {"client-id": str(uuid4()), "client-key-id": str(uuid4())}
        self.environment = self._production()
        python, celery = sys.executable, ("-m", "celery", "-A", "backoffice")
        self.redis = self._process(
            "redis", "redis-server", "--port", str(self._redis_port), "--bind", "127.0.0.1",
            "--save", "", "--dir", str(folder),
        )  # fmt: skip
        self.web = self._process(
            "web", python, "-m", "gunicorn", "backoffice.wsgi", "--workers=2", "--threads=4",
            f"--bind=127.0.0.1:{self._web_port}", f"--access-logfile={self.access_log}",
            f"--access-logformat={ACCESS_FORMAT}",
        )  # fmt: skip
        self.worker = self._process("worker", python, *celery, "worker", "--concurrency=2")
        self.beat = self._process("beat", python, *celery, "beat")
        self.drain = self._process("drain", python, "manage.py", "drain", "--forever")
        self._all = [self.redis, self.web, self.worker, self.beat, self.drain]

    def __enter__(self):
        self.manage("migrate", "--verbosity=0")
        self._connection = psycopg.connect(
            self._database_url, autocommit=True, row_factory=dict_row
        )
        return self

    def __exit__(self, kind, error, traceback):
        for process in self._all:
            process.kill()
        self._connection.close()
        if kind is not None:
            for process in self._all:
                print(f"--- {process.name}\n{process.log()[-4000:]}")  # noqa: T201 -- shown by pytest

    def start(self, *processes):
        """Start Redis, the web process and ``processes``; return when deliveries can be taken."""
        self.redis.start()
        self.web.start()
        for process in processes:
            process.start()
        wait_until(self.is_up, seconds=30, told=self.web.log)

    def is_up(self):
        """Return whether the web process answers."""
        return answers(f"{self.web_url}/health/live")

    def place(self, orders, *, every, faults, speed="fast"):
        """Start upstream, which places ``orders``, one ``every`` so many seconds, and tells us of them."""
        options = {
            **self._client, "client-key": self._folder / "client-public.pem",
            "port": self._sandbox_port, "speed": speed, "orders": orders, "every": every,
            "webhook-url": f"{self.web_url}/webhooks/investment-api",
        }  # fmt: skip
        sandbox = self._process(
            "sandbox", sys.executable, "-m", "backoffice.sandbox",
            *(f"--{name}={value}" for name, value in options.items()),
        )  # fmt: skip
        sandbox.environment = {
            "PATH": os.environ["PATH"],
            "SANDBOX_CLIENT_SECRET": (self._folder / "client_secret").read_text(),
        }
        self._all.append(sandbox)
        sandbox.start()
        wait_until(sandbox.log, seconds=20)
        self.ask_sandbox("faults", faults)

    def ask_sandbox(self, name, body=None):
        """Return what the control side of upstream answers."""
        url = f"http://127.0.0.1:{self._sandbox_port}/_sandbox/{name}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(
            Request(url, data, {"content-type": "application/json"}), timeout=10
        ) as answer:
            return json.load(answer)

    def attempts(self):
        """Return upstream's attempts to deliver."""
        (attempts,) = self.ask_sandbox("attempts").values()
        return attempts

    def answered(self):
        """Return the status of each answer to a delivery, and the seconds it took."""
        lines = re.findall(
            r"^/webhooks/\S+ (\d+) ([\d.]+)$", self.access_log.read_text(), re.MULTILINE
        )
        return [(int(status), float(seconds)) for status, seconds in lines]

    def manage(self, *arguments):
        """Run a management command to its end; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def rows(self, query, *parameters):
        """Return what the desk's database says."""
        return self._connection.execute(query, parameters).fetchall()

    def _process(self, name, *command):
        return Process(name, *command, environment=self.environment, folder=self._folder)

    def _production(self):
        """Return an environment as of a production host: secrets in files, the rest as its defaults."""
        key = ec.generate_private_key(ec.SECP521R1())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        secrets = {
            "SECRET_KEY": "of a desk that lives for one test, long enough for every check of its length",
            "DATABASE_URL": self._database_url,
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "INVESTMENT_API_CLIENT_SECRET": uuid4().hex,
            "INVESTMENT_API_PRIVATE_KEY": private.decode(),
        }
        for name, text in secrets.items():
            (self._folder / name).write_text(text)
        (self._folder / "client_secret").write_text(secrets["INVESTMENT_API_CLIENT_SECRET"])
        (self._folder / "client-public.pem").write_bytes(public)
        return {
            "PATH": os.environ["PATH"],
            **{f"{name}_FILE": str(self._folder / name) for name in secrets},
            "ALLOWED_HOSTS": "desk.example.com",
            "INVESTMENT_API_URL": f"http://127.0.0.1:{self._sandbox_port}",
            "INVESTMENT_API_CLIENT_ID": self._client["client-id"],
            "INVESTMENT_API_KEY_ID": self._client["client-key-id"],
            "INVESTMENT_API_MAX_RPS": "50",
            "POLL_AFTER": "1",
            "POLL_LONGEST": "1",
            "GAP_GRACE": "2",
        }
