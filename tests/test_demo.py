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
STORY = ("delivered 2x, applied once", "late, at", "never arrived. Recovered by check at")


def copy_to(folder):
    """Copy the sources: the demo's database stands beside manage.py, and is not the developer's."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "manage.py", folder)
    return folder


@pytest.fixture
def clone(tmp_path):
    """A clone of its own."""
    return copy_to(tmp_path)


def demo_in(folder):
    """Return the demo of a clone, to be started."""
    return Process("demo", environment={"PATH": os.environ["PATH"]}, folder=folder, cwd=folder)


def start(process, *options):
    """Start the demo on a free port."""
    port = free_port()
    process.command = [sys.executable, "manage.py", "demo", "--port", str(port), *options]
    process.output.unlink(missing_ok=True)
    process.start()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A demo that runs while the others of this file are tried: its first order takes half a minute."""
    process = demo_in(copy_to(tmp_path_factory.mktemp("watched")))
    start(process)
    yield process
    process.kill()


@pytest.fixture
def demo(clone):
    """The demo of a clone of its own; whatever runs is ended at last."""
    process = demo_in(clone)
    yield process
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
        lambda: re.search(said, process.log()), seconds=90, told=process.log
    ).groups()
    session = requests.Session()
    session.get(f"{url}admin/login/").raise_for_status()
    form = {
        "username": user, "password": password, "next": f"/{LIST}",
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }  # fmt: skip
    assert session.post(f"{url}admin/login/", form).url == f"{url}{LIST}"
    return session, url


def first_order(process):
    """Return the page that the demo says to watch."""
    (page,) = re.findall(r"http\S+/portfolioorder/\S+/change/", process.log())
    return page


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


def test_ctrl_c_ends_it_a_crash_does_no_harm_a_further_start_keeps_the_orders_and_fresh_forgets_them(
    watched, clone, demo
):
    start(demo)
    show_orders(demo)
    end(demo)
    before = history(clone)
    assert before

    start(demo)
    show_orders(demo)
    demo.kill()
    start(demo)
    show_orders(demo)
    end(demo)
    assert before <= history(clone)
    checked = manage(clone, "rebuild", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    start(demo, "--fresh")
    show_orders(demo)
    end(demo)
    assert not before & history(clone)


def test_a_second_demo_of_the_folder_says_where_the_first_runs(watched):
    _, url = log_in(watched)

    for port in (free_port(), int(url.rstrip("/").rpartition(":")[2])):
        second = manage(watched.cwd, "demo", "--port", str(port))
        assert second.returncode == 1
        assert f"A demo of this folder is already running at {url}" in second.stderr
        assert "Traceback" not in second.stderr


def test_its_first_order_shows_a_late_a_repeated_and_a_lost_but_recovered_event(watched):
    session, url, _ = show_orders(watched)
    first = first_order(watched)

    def told():
        return all(part in words(read(session, first)) for part in STORY)

    wait_until(told, seconds=90, every=1, told=watched.log)
    assert len(listed(session, url)) > 1


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

    with pytest.raises(CommandError, match="No permission to use port 1"):
        call_command("demo", "--port=1")
