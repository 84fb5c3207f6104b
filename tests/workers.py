"""Worker processes of their own on a database of their own: SQLite, so that they need no service but Redis."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backoffice.celery import app
from tests.processes import ROOT, Process

CELERY = (sys.executable, "-m", "celery", "-A", "backoffice")


def environment(folder, redis_url, **more):
    """Return an environment of a desk whose broker is not to be called, after its tables were made."""
    key = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    variables = {
        "PATH": os.environ["PATH"], "DEBUG": "1", "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{folder}/desk.sqlite3", "INVESTMENT_API_URL": "http://127.0.0.1:1",
        "INVESTMENT_API_CLIENT_ID": "desk", "INVESTMENT_API_CLIENT_SECRET": "secret",
        "INVESTMENT_API_KEY_ID": "key", "INVESTMENT_API_PRIVATE_KEY": key.decode(), **more,
    }  # fmt: skip
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, env=variables, cwd=ROOT, check=True, capture_output=True)
    return variables


@contextmanager
def worker(folder, variables, *options):
    """Yield a worker process, as the README starts it; no beat rings for it."""
    command = (*CELERY, "worker", "--without-gossip", "--without-mingle", "--concurrency=2")
    process = Process("worker", *command, *options, environment=variables, folder=folder)
    process.start()
    try:
        yield process
    finally:
        process.kill()


def ring(redis_url, task, *arguments):
    """Ring for a worker as another process would, at the broker of that worker."""
    with app.connection_for_write(redis_url) as connection:
        task.apply_async(arguments, connection=connection, retry=False)


@contextmanager
def silent_upstream():
    """Yield the address of an upstream that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
