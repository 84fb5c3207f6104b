"""The command that reconciles, the first import, and the way back after a restored backup."""

import csv
import io
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders.management.commands import reconcile as command
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.reconciliation import runs, work
from orders.reconciliation.models import Reconciliation, Scope
from tests.reconciling import counts, objects
from tests.truth import differences
from tests.upstream import START, receive, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings, monkeypatch):
    with running(settings) as upstream:
        monkeypatch.setattr(command, "sleep", lambda seconds: upstream.wait(seconds=seconds))
        yield upstream


def lost_orders(upstream, count=6):
    upstream.market.place_some(count, now=timezone.now())
    upstream.wait(hours=5)


def last():
    return Reconciliation.objects.latest("pk")


def test_a_desk_that_starts_with_existing_orders_has_all_of_them_after_one_command(
    upstream, capsys
):
    lost_orders(upstream, 25)

    call_command("reconcile", "--since=2026-03-01")

    n = objects(upstream)
    assert capsys.readouterr().out == (
        "Reconciliation "
        f"{last().pk}: Placed 2026-03-01 00:00 to 2026-03-02 14:59.\n"
        f"{n} compared: 0 equal, 0 corrected, 0 still different, {n} were missing here, 0 not known at the broker.\n"
    )
    assert differences(upstream) == []
    call_command("rebuild", "--check")
    assert "0 differences" in capsys.readouterr().out
    call_command("reconcile", "--since=2026-03-01")
    assert counts(last()) == {"compared": n, "equal": n}


def test_a_restored_backup_has_todays_truth_after_a_window_and_all_that_is_open(upstream, capsys):
    old = upstream.place()
    receive(upstream.wait(hours=1))  # before the window, and unsettled when the backup was made
    upstream.wait(hours=1)
    upstream.market.place_some(10, now=timezone.now())
    receive(upstream.wait(minutes=2))
    backup = {
        model: list(model.objects.all())
        for model in (PortfolioOrder, Order, Execution, JournalEntry)
    }
    upstream.market.place_some(10, now=timezone.now())
    receive(upstream.wait(hours=6))
    for model, rows in backup.items():
        model.objects.all().delete()
        model.objects.bulk_create(rows)
    assert differences(upstream)

    call_command("reconcile", "--since=2026-03-02T11:00")
    call_command("reconcile", "--open")

    assert PortfolioOrder.objects.get(pk=old).status == "SETTLED"
    assert differences(upstream) == []
    call_command("rebuild", "--check")


def test_something_that_is_unknown_there_makes_it_fail(upstream, capsys):
    PortfolioOrder.objects.create(pk="00000000-0000-4000-8000-000000000001", status="NEW",
                                  created_at=START - timedelta(hours=1))  # fmt: skip

    with pytest.raises(CommandError, match="Not everything could be corrected"):
        call_command("reconcile", "--open")

    assert "1 not known at the broker" in capsys.readouterr().out


def test_the_findings_are_written_as_csv_and_who_took_them_is_noted(upstream, tmp_path, capsys):
    lost_orders(upstream, 2)
    path = tmp_path / "findings.csv"

    call_command("reconcile", "--since=2026-03-01", f"--output={path}")

    header, *rows = csv.reader(io.StringIO(path.read_text()))
    assert header[:3] == ["reconciliation_id", "scope", "account_id"]
    assert len(rows) == objects(upstream)
    assert {row[header.index("verdict")] for row in rows} == {"UNKNOWN_HERE"}
    assert f"{len(rows)} rows in {path}." in capsys.readouterr().out
    entry = JournalEntry.objects.get(type="EXPORT")
    assert f"reconciliation {last().pk} to {path}: {len(rows)} rows" in entry.message


def test_it_waits_for_a_broker_that_is_away_and_goes_on(upstream):
    lost_orders(upstream)
    upstream.expect(Trouble("problem", 503, path="/portfolios"), times=3)

    call_command("reconcile", "--since=2026-03-01")

    assert differences(upstream) == []


def test_a_broker_that_stays_away_ends_it_and_it_says_how_to_go_on(upstream):
    lost_orders(upstream)
    upstream.expect(Trouble("problem", 503, path="/portfolios"), times=100)

    with pytest.raises(
        CommandError,
        match=r"Stopped: .*(503|has not answered).* `reconcile --continue \d+` resumes it",
    ):
        call_command("reconcile", "--since=2026-03-01")

    assert last().state == "STOPPED"


def test_ctrl_c_stops_it_and_it_is_continued(upstream, monkeypatch):
    lost_orders(upstream, 20)
    step = work.Work.step

    def interrupted(self):
        if self.run.compared:
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patched:
        patched.setattr(work.Work, "step", interrupted)
        with pytest.raises(CommandError, match=r"Stopped\. `reconcile --continue"):
            call_command("reconcile", "--since=2026-03-01")

    run = last()
    assert run.state == "STOPPED"
    assert 0 < run.compared < objects(upstream)
    call_command("reconcile", "--continue", str(run.pk))
    assert Reconciliation.objects.get().compared == objects(upstream)
    assert differences(upstream) == []


def test_one_that_a_colleague_stops_ends_and_says_how_to_go_on(upstream, monkeypatch):
    lost_orders(upstream, 20)
    step = work.Work.step

    def stopped(self):
        wait = step(self)
        if self.run.state == "RUNNING" and not self.run.stop_requested:
            runs.stop(self.run.pk, actor="bea", now=timezone.now())
        return wait

    monkeypatch.setattr(work.Work, "step", stopped)
    with pytest.raises(CommandError, match=r"Stopped\. `reconcile --continue"):
        call_command("reconcile", "--since=2026-03-01")

    assert 0 < last().compared < objects(upstream)


def test_one_that_another_has_taken_over_is_left_to_it(upstream, monkeypatch):
    lost_orders(upstream)
    step = work.Work.step

    def taken_over(self):
        upstream.wait(minutes=6)
        assert work.Work.take(self.run.pk)
        return step(self)

    monkeypatch.setattr(work.Work, "step", taken_over)
    with pytest.raises(CommandError, match="Another process has taken over reconciliation"):
        call_command("reconcile", "--since=2026-03-01")


def test_a_refusal_is_an_error_with_the_reason(upstream):
    upstream.expect(Trouble("problem", 403, path="/portfolios"))

    with pytest.raises(CommandError, match=r"Failed: .*needs the scope portfolios:read"):
        call_command("reconcile", "--since=2026-03-01")


def test_what_is_under_way_already_is_an_error(upstream):
    runs.start(Scope.OPEN, actor="ada", now=timezone.now())

    with pytest.raises(CommandError, match="is under way: stop it, or wait for it"):
        call_command("reconcile", "--open")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the arguments --account --since --open --continue is required"),
        (["--open", "--since=2026-03-01"], "not allowed with argument"),
        (["--account=x"], "'x' is not the id of an account"),
        (["--open", "--until=2026-03-01"], "--until goes with --since"),
        (["--continue=7"], "does not exist"),
    ],
)
def test_arguments_that_make_no_sense_are_named(upstream, arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("reconcile", *arguments)


def test_progress_is_shown_on_a_terminal_only(upstream, monkeypatch, capsys):
    lost_orders(upstream)
    call_command("reconcile", "--open")
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    call_command("reconcile", "--since=2026-03-01")

    assert "compared, " in capsys.readouterr().err


def test_who_ran_it_is_in_the_journal(upstream):
    call_command("reconcile", "--open")

    first, end = JournalEntry.objects.filter(type="RECONCILIATION").order_by("pk")
    assert "(command line)" in first.actor
    assert first.message == f"Started reconciliation {last().pk}: Everything open."
    assert end.message.startswith(f"Finished reconciliation {last().pk}: Everything open.")
