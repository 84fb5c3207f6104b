"""The demo as its first reader starts it: a fresh clone, no settings, one command."""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
from html import unescape
from signal import SIGINT
from unittest.mock import Mock

import pytest
import requests
from django.core.management import CommandError, call_command

from tests.processes import ROOT, Process, free_port, wait_until

PARTS = ("backoffice", "orders", "templates", "webhooks")
LIST = "admin/orders/portfolioorder/"
STORY = ("delivered 2x, applied once", "late, at", "never arrived. Recovered by poll at")


@pytest.fixture
def clone(tmp_path):
    """A copy of the sources: the demo's database stands beside manage.py, and is not the developer's."""
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", tmp_path)
    return tmp_path


@pytest.fixture
def demo(clone):
    """Return a way to start the demo on a free port; whatever runs is ended at last."""
    process = Process("demo", environment={"PATH": os.environ["PATH"]}, folder=clone, cwd=clone)

    def start(*options):
        port = free_port()
        process.command = [sys.executable, "manage.py", "demo", "--port", str(port), *options]
        process.output.unlink(missing_ok=True)
        process.start()
        return process

    yield start
    process.kill()


def manage(clone, *arguments):
    """Run a command to its end, without any setting."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=clone, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def log_in(process):
    """Log in as the demo says, once it has said it; return the session and the address."""
    said = r"running at (\S+)\nLog in as (\S+) with the password (\S+)"
    url, user, password = wait_until(
        lambda: re.search(said, process.log()), seconds=30, told=process.log
    ).groups()
    session = requests.Session()
    session.get(f"{url}admin/login/").raise_for_status()
    form = {
        "username": user, "password": password, "next": f"/{LIST}",
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }  # fmt: skip
    assert session.post(f"{url}admin/login/", form).url == f"{url}{LIST}"
    return session, url


def show_orders(process):
    """Log in and wait until the list has an order; return the session, the address and the first order's path."""
    session, url = log_in(process)
    paths = wait_until(lambda: listed(session, url), seconds=30, told=process.log)
    return session, url, paths[-1]


def listed(session, url):
    """Return the paths of the portfolio orders in the list."""
    return re.findall(rf"/{LIST}[\w-]{{36}}/change/", read(session, f"{url}{LIST}"))


def read(session, url):
    answer = session.get(url, timeout=10)
    answer.raise_for_status()
    return answer.text


def words(page):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def history(clone):
    """Return what was received, from the file that the command exports."""
    done = manage(clone, "export_history")
    assert done.returncode == 0, done.stderr
    return {
        (row["event_id"], row["recorded_at"]) for row in csv.DictReader(done.stdout.splitlines())
    }


def end(process):
    """Press Ctrl-C."""
    assert process.end(SIGINT) == 0
    assert "Traceback" not in process.log()
    assert process.log().splitlines()[-1].startswith("Stopped.")


def test_its_first_order_shows_a_late_a_repeated_and_a_lost_but_recovered_event(demo):
    process = demo()
    session, url, first = show_orders(process)

    def told():
        page = words(read(session, f"{url.rstrip('/')}{first}"))
        return all(part in page for part in STORY)

    wait_until(told, seconds=90, every=1, told=process.log)
    assert len(listed(session, url)) > 1


def test_ctrl_c_ends_it_cleanly_a_second_start_keeps_the_orders_and_fresh_forgets_them(clone, demo):
    process = demo()
    show_orders(process)
    end(process)
    before = history(clone)
    assert before

    process = demo()
    show_orders(process)
    end(process)
    assert before <= history(clone)

    process = demo("--fresh")
    show_orders(process)
    end(process)
    assert not before & history(clone)


def test_a_port_in_use_is_a_clear_error_and_touches_nothing(clone):
    kept = clone / "order-desk.sqlite3"
    kept.write_bytes(b"the orders of an earlier run")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = manage(clone, "demo", "--fresh", "--port", str(port))

    assert done.returncode != 0
    assert f"Port {port} is in use." in done.stderr
    assert "Traceback" not in done.stderr
    assert list(clone.glob("order-desk.sqlite3*")) == [kept]
    assert kept.read_bytes() == b"the orders of an earlier run"


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_what_is_no_port_is_named(port):
    with pytest.raises(CommandError, match=f"'{port}' is not a port"):
        call_command("demo", f"--port={port}")


def test_a_port_that_may_not_be_taken_is_not_said_to_be_in_use(monkeypatch):
    monkeypatch.setattr("backoffice.demo.ThreadedWSGIServer", Mock(side_effect=PermissionError))

    with pytest.raises(CommandError, match="Port 1 is not yours to take"):
        call_command("demo", "--port=1")
