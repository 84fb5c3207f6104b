import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders import journal, projection
from orders.export import files
from orders.export.table import Straight
from orders.models import JournalEntry
from tests.stories import START, event, life, named, order, portfolio_order

pytestmark = pytest.mark.django_db
NOW = START + timedelta(minutes=5)
COMMANDS = ["export_history", "export_orders", "export_portfolio_orders", "export_executions"]


@pytest.fixture(autouse=True)
def _story():
    events = [
        *life(),
        event("PORTFOLIO_ORDER.NEW", portfolio_order(name="Q", created_at="2026-03-03T09:00:00Z")),
    ]
    events.append(event("ORDER.NEW", order("C", parent="Q")))
    journal.record_events(events, delivery_id=1, now=NOW)
    projection.drain(now=NOW)


def run(command, *arguments):
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_goes_to_standard_output_without_a_bom(command):
    text = run(command)

    assert text.startswith(("portfolio_order_id,", "order_id,", "execution_id,"))
    assert text.endswith("\r\n")
    assert named("P") in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_bytes_go_to_a_file(command, tmp_path):
    target = tmp_path / "out.csv"

    said = run(command, "--output", str(target))

    assert target.read_bytes().decode() == run(command)
    count = target.read_text().count("\n") - 1
    assert said == f"{count} {'row' if count == 1 else 'rows'} in {target}.\n"


def test_one_portfolio_order_can_be_chosen_and_several():
    one = run("export_orders", "--portfolio-order", named("P"))
    both = run("export_orders", "--portfolio-order", named("P"), "--portfolio-order", named("Q"))

    assert named("C") not in one
    assert named("A") in both
    assert named("C") in both


def test_since_and_until_count_by_when_the_portfolio_order_was_created():
    after = run("export_history", "--since", "2026-03-03")
    before = run("export_history", "--until", "2026-03-03T00:00+01:00")

    assert (named("P") in after, named("Q") in after) == (False, True)
    assert (named("P") in before, named("Q") in before) == (True, False)


def test_semicolons_and_a_bom_come_when_asked_for():
    text = run("export_orders", "--delimiter", "semicolon", "--bom")

    assert text.startswith("\ufefforder_id;portfolio_order_id;")


def test_a_german_excel_gets_a_decimal_comma_when_asked_for():
    lines = run("export_orders", "--delimiter", "semicolon", "--decimal", "comma").splitlines()

    assert lines[1].split(";")[10] == "250,00"
    assert (
        run("export_orders", "--delimiter", "semicolon").splitlines()[1].split(";")[10] == "250.00"
    )


@pytest.mark.parametrize(
    ("command", "ids"),
    [("export_portfolio_orders", ["P", "Q"]), ("export_executions", ["X"])],
)
def test_portfolio_orders_and_executions_have_files_of_their_own(command, ids):
    traded = event("ORDER.FILLED", order("A", "FILLED", 20, executions=[("X", "FILLED")]))
    journal.record_events([traded], delivery_id=2, now=NOW)
    projection.drain(now=NOW)

    rows = [line.split(",")[0] for line in run(command).splitlines()[1:]]
    of_q = [
        line.split(",")[0]
        for line in run(command, "--portfolio-order", named("Q")).splitlines()[1:]
    ]

    assert set(rows) >= {named(it) for it in ids}
    assert set(of_q) == {named(it) for it in ids if it == "Q"}


def test_transitions_alone_come_when_asked_for():
    lines = run("export_history", "--transitions-only").splitlines()[1:]

    assert {line.split(",")[5] for line in lines} == {"transition"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--portfolio-order", named("nobody")], "Not known here"),
        (["--portfolio-order", "5"], "is not the id of a portfolio order"),
        (["--portfolio-order", named("P"), "--since", "2026-03-03"], "say nothing more"),
        (["--since", "yesterday"], "is not a date like 2026-03-02"),
        (["--until", "9999-12-31T23:59:59-14:00"], "is not a date like 2026-03-02"),
        (["--output", "/nowhere/out.csv"], "could not be written"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_its_reason(arguments, words):
    with pytest.raises(CommandError, match=words):
        run("export_orders", *arguments)


def break_off(monkeypatch):
    """Let the orders file break off after one row, whoever writes it."""

    def rows(selection):
        yield ("header",)
        yield ("row",)
        raise RuntimeError("the database went away")

    def lines(straight, form):
        yield ["row"]
        raise RuntimeError("the database went away")

    monkeypatch.setattr(files, "_orders", rows)
    monkeypatch.setattr(Straight, "lines", lines)


def test_a_file_that_broke_off_never_appears_and_is_not_recorded(tmp_path, monkeypatch):
    break_off(monkeypatch)
    target = tmp_path / "out.csv"
    target.write_text("the file of yesterday")

    with pytest.raises(RuntimeError, match="went away"):
        run("export_orders", "--output", str(target))

    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert target.read_text() == "the file of yesterday"
    assert not JournalEntry.objects.filter(source="STAFF").exists()


def test_rows_that_went_out_before_a_file_broke_off_are_in_the_journal(monkeypatch):
    break_off(monkeypatch)

    with pytest.raises(RuntimeError, match="went away"):
        run("export_orders")

    step = JournalEntry.objects.get(source="STAFF")
    assert step.message == (
        "Export of orders, all to standard output: broken off after 1 row (RuntimeError)"
    )
    assert json.loads(bytes(step.payload))["is_whole"] is False


def test_who_took_how_many_rows_is_in_the_journal(monkeypatch):
    monkeypatch.setenv("LOGNAME", "mira")

    run("export_orders", "--since", "2026-03-01T00:00Z")

    step = JournalEntry.objects.get(source="STAFF")
    assert (step.outcome, step.actor) == ("NOTED", "mira (command line)")
    assert (
        step.message
        == "Exported orders, since 2026-03-01T00:00:00+00:00 to standard output: 3 rows"
    )
    held = json.loads(bytes(step.payload))
    assert held["selection"]["since"] == "2026-03-01T00:00:00+00:00"
    assert held["columns"] == run("export_orders").splitlines()[0].split(",")


@pytest.mark.django_db(transaction=True)
def test_the_command_line_writes_bytes_and_exits_by_what_happened():
    def manage(*arguments):
        database = connection.settings_dict
        url = f"sqlite:///{database['NAME']}"
        if connection.vendor == "postgresql":
            host = (
                f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
            )
            url = f"postgres://{host}/{database['NAME']}"
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            check=False,
        )

    good = manage("export_orders")
    bad = manage("export_orders", "--portfolio-order", named("nobody"))

    assert (good.returncode, good.stderr) == (0, b"")
    assert good.stdout.startswith(b"order_id,")
    assert good.stdout.count(b"\r\n") == 4
    assert bad.returncode == 1
    assert b"Not known here" in bad.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_only_a_file_is_replaced_never_a_pipe_a_folder_or_a_link_to_one(command, tmp_path):
    pipe, folder, link = tmp_path / "pipe", tmp_path / "folder", tmp_path / "link"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(pipe)

    for target in (pipe, folder, link):
        with pytest.raises(CommandError, match="no file"):
            run(command, "--output", str(target))

    assert (pipe.is_fifo(), folder.is_dir(), link.is_symlink()) == (True, True, True)
    assert sorted(tmp_path.iterdir()) == [folder, link, pipe]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_to_a_file_stays_and_leads_to_the_new_one(command, tmp_path):
    target, link = tmp_path / "out.csv", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)

    run(command, "--output", str(link))

    assert link.is_symlink()
    assert target.read_text() != "old"
