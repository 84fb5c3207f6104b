"""The pages of reconciliations: what they show, who may press what, and that each step is told."""

import csv
import io
from datetime import time, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice import doorbell
from backoffice.sandbox import Trouble
from orders.models import JournalEntry, PortfolioOrder
from orders.reconciliation import runs, work
from orders.reconciliation.models import Reconciliation, Scope
from tests.bells import listen
from tests.reconciling import begin, objects, reconcile, take
from tests.staff import browser, html, messages, words
from tests.upstream import START, running

pytestmark = pytest.mark.django_db
LIST = "/admin/orders/reconciliation/"
TODAY = "/admin/"


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    return listen(monkeypatch)


def lost_orders(upstream, count=4):
    upstream.market.place_some(count, now=timezone.now())
    upstream.wait(hours=5)


def ghost(created_at=START):
    return PortfolioOrder.objects.create(pk=uuid4(), status="NEW", created_at=created_at)


def page(run, step="change"):
    return f"{LIST}{run.pk}/{step}/"


def test_the_list_tells_of_each_what_was_compared_and_what_came_of_it(upstream):
    lost_orders(upstream)
    ghost()
    run = reconcile()

    response = browser().get(LIST)

    said = words(response)
    assert "Placed 2026-03-01 10:00 to 2026-03-02 14:59" in said
    admin = response.context["cl"].model_admin
    assert admin.count_compared(run) == str(objects(upstream) + 1)
    assert admin.count_here(run) == str(objects(upstream))
    assert admin.count_there(run) == '<span class="late">1</span>'
    assert "Done</span>" in admin.state_badge(run)
    assert admin.by(run) == "ada"


def test_the_list_says_when_it_runs_by_itself(upstream, settings):
    assert "No nightly reconciliation is scheduled (RECONCILE_AT is not set)." in words(
        browser().get(LIST)
    )
    assert "No reconciliation has run yet. Press Start" in words(browser(name="ben").get(LIST))

    settings.RECONCILE_AT, settings.RECONCILE_DAYS = time(2, 30), 7
    said = words(browser(name="eva").get(LIST))
    assert "Each night at 02:30: everything placed in the last 7 days" in said


def test_a_span_of_days_is_started_and_told_with_the_actor(upstream, rung):
    upstream.wait(days=3)
    response = browser("Operator").post(
        f"{LIST}start/",
        {"scope": "WINDOW", "since": "2026-03-02", "until": "2026-03-03"},
        follow=True,
    )

    run = Reconciliation.objects.get()
    assert response.redirect_chain == [(page(run), 302)]
    assert messages(response) == ["Running. Reload this page for its progress."]
    assert rung == [("orders.tasks.reconcile", run.pk)]
    assert run.since == START.replace(hour=0) - timedelta(hours=1)  # midnight in the display zone
    assert run.until == run.since + timedelta(days=2)  # the last day counts
    entry = JournalEntry.objects.get(type="RECONCILIATION")
    assert (entry.source, entry.outcome, entry.actor, entry.status) == (
        "STAFF", "NOTED", "mira", "STARTED",
    )  # fmt: skip


def test_an_account_and_everything_open_are_started(upstream):
    client, account = browser(), uuid4()

    client.post(f"{LIST}start/", {"scope": "ACCOUNT", "account": f" {account} "})
    client.post(f"{LIST}start/", {"scope": "OPEN"})

    still_open, of_account = Reconciliation.objects.all()
    assert (of_account.scope, of_account.account_id) == ("ACCOUNT", account)
    assert (still_open.scope, still_open.since, still_open.until) == ("OPEN", None, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Choose what to compare."),
        ({"scope": "WINDOW"}, "Enter the first day."),
        ({"scope": "WINDOW", "since": "soon"}, "soon is not a date. Write it like 2026-03-02."),
        ({"scope": "WINDOW", "since": "0999-01-01"}, "0999-01-01 is not a sensible date."),
        ({"scope": "WINDOW", "since": "2030-01-01"}, "Nothing can have been placed in that time."),
        (
            {"scope": "WINDOW", "since": "2026-03-02", "until": "2026-03-01"},
            "The last day is before the first.",
        ),
        ({"scope": "ACCOUNT", "account": "12"}, "Enter the whole account ID"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_started(upstream, typed, said):
    response = browser().post(f"{LIST}start/", typed)

    assert f"Nothing was started. {said}" in words(response)
    assert not Reconciliation.objects.exists()


def test_what_was_typed_stays_in_the_form(upstream):
    response = browser().post(f"{LIST}start/", {"scope": "ACCOUNT", "account": "<1>"})

    assert 'value="&lt;1&gt;"' in html(response)


def test_a_second_start_of_the_same_says_that_it_is_under_way(upstream):
    run = begin(Scope.OPEN)

    response = browser().post(f"{LIST}start/", {"scope": "OPEN"})

    assert f"Reconciliation {run.pk} (Everything open) is under way" in words(response)
    assert Reconciliation.objects.count() == 1


def test_where_no_worker_can_be_told_that_is_said(upstream, monkeypatch):
    monkeypatch.setattr(doorbell, "ring", lambda *_: False)

    response = browser().post(f"{LIST}start/", {"scope": "OPEN"}, follow=True)

    assert messages(response) == [
        "Started, but no worker could be reached: the next worker run picks it up."
    ]


def test_the_page_tells_how_far_one_under_way_is(upstream):
    upstream.market.place_some(40, now=timezone.now())
    upstream.wait(hours=5)
    run = begin()
    its = take(run)
    its.step()

    said = words(browser().get(page(run)))

    run.refresh_from_db()
    assert (
        f"Progress: {run.position['offset']} of 40 portfolio orders listed by the broker." in said
    )
    assert f"{run.compared} compared" in said


def test_the_page_of_one_that_waits_for_the_broker_says_why(upstream):
    run = begin()
    upstream.expect(Trouble("problem", 503, path="/portfolios"))
    work.shift(run.pk)

    said = words(browser().get(page(run)))

    assert "Waiting" in said
    assert "Waiting for the broker: 503" in said


def test_its_version_grows_while_it_gets_on_and_when_it_ends(upstream):
    lost_orders(upstream)
    run, client = begin(), browser("Viewer")
    shown = html(client.get(page(run)))
    assert f'data-url="{page(run, "version")}"' in shown

    before = client.get(page(run, "version")).json()["version"]
    work.shift(run.pk)
    after = client.get(page(run, "version")).json()["version"]

    assert (before, after) == (0, objects(upstream) + 1)
    assert "data-version" not in html(client.get(page(run)))


def test_findings_are_shown_with_links_and_can_be_narrowed_to_one_verdict(upstream):
    lost_orders(upstream)
    unknown = ghost()
    run = reconcile()
    client = browser()

    shown = html(client.get(page(run)))
    assert f"/admin/orders/portfolioorder/{unknown.pk}/change/" in shown
    found = run.findings.exclude(order_id=None).first()
    assert f"/admin/orders/order/{found.order_id}/change/" in shown
    assert f"/admin/orders/journalentry/{found.entry_id}/change/" in shown

    narrowed = client.get(page(run) + "?verdict=UNKNOWN_THERE")
    assert [it.portfolio_order_id for it in narrowed.context["findings"]] == [unknown.pk]
    assert "No findings of this kind." in words(client.get(page(run) + "?verdict=REPAIRED"))
    assert list(client.get(page(run) + "?verdict=x").context["findings"]) == []


def test_many_findings_have_pages(upstream):
    upstream.market.place_some(30, now=timezone.now())
    upstream.wait(hours=5)
    run = reconcile()
    client = browser()

    first = client.get(page(run))
    assert f"Findings 1 to 100 of {run.findings.count()}" in words(first)
    second = client.get(page(run) + "?p=2")
    assert not {it.pk for it in first.context["findings"]} & {
        it.pk for it in second.context["findings"]
    }
    assert "Page “9999” does not exist. Nothing is shown." in words(
        client.get(page(run) + "?p=9999")
    )


def test_a_page_costs_the_same_for_few_and_for_many_findings(upstream):
    client = browser()
    counted = []
    for count in (1, 20):
        upstream.market.place_some(count, now=timezone.now())
        upstream.wait(hours=5)
        run = reconcile()
        client.get(page(run))
        with CaptureQueriesContext(connection) as statements:
            client.get(page(run))
        counted.append(len(statements))

    assert counted[0] == counted[1]


def test_equal_on_both_sides_is_said(upstream):
    lost_orders(upstream)
    reconcile()

    said = words(browser().get(page(reconcile())))

    assert "Everything compared was the same on both sides." in said


def test_stop_and_continue_are_told_with_the_actor(upstream, rung):
    run = begin()
    client = browser("Operator")

    stopped = client.post(page(run, "stop"), follow=True)
    assert messages(stopped) == ["Stopped. Press Continue to resume from here."]
    assert "Continue</button>" in html(stopped)
    going = client.post(page(run, "go_on"), follow=True)
    assert messages(going) == ["Running. Reload this page for its progress."]
    assert "Stop</button>" in html(going)
    assert len(rung) == 1
    told = JournalEntry.objects.filter(type=runs.STEP, actor="mira").order_by("pk")
    assert [it.status for it in told] == ["STOPPED", "CONTINUED"]


def test_one_that_is_worked_on_stops_after_the_part_in_hand(upstream):
    run = begin(holds=True)

    stopping = browser().post(page(run, "stop"), follow=True)

    assert messages(stopping) == ["Stopping: orders already being compared are finished first."]
    assert "Stopping" in words(stopping)
    assert "Stop</button>" not in html(stopping)


def test_a_step_that_is_not_possible_says_why(upstream):
    run = reconcile()

    said = browser().post(page(run, "go_on"), follow=True)

    assert messages(said) == [f"Reconciliation {run.pk} is done."]


def test_the_csv_holds_each_finding_and_is_noted_with_its_rows(upstream):
    lost_orders(upstream)
    run = reconcile()

    response = browser("Auditor").post(page(run, "csv"))

    text = b"".join(response.streaming_content).decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text))
    assert header[-1] == "journal_entry_id"
    assert [row[-1] for row in rows] == [str(it.entry_id) for it in run.findings.all()]
    assert 'filename="reconciliation-findings_v1_' in response["Content-Disposition"]
    entry = JournalEntry.objects.get(type="EXPORT")
    assert entry.actor == "mira"
    assert f"reconciliation {run.pk}: {len(rows)} rows" in entry.message


STEPS = ["stop", "go_on", "csv"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_post(upstream, step):
    run = begin()
    assert browser().get(page(run, step)).url == page(run)


@pytest.mark.parametrize("group", ["Viewer", "Auditor", "Trader"])
def test_without_the_permission_a_step_is_refused_and_not_shown(upstream, group):
    run = begin()
    client = browser(group)

    for path in (page(run, "stop"), page(run, "go_on"), f"{LIST}start/"):
        assert client.post(path, {"scope": "WINDOW", "since": "2026-03-01"}).status_code == 403
    assert client.get(f"{LIST}start/").status_code == 403
    assert "Stop</button>" not in html(client.get(page(run)))
    assert "Start</button>" not in html(client.get(LIST))
    assert Reconciliation.objects.get().state == "RUNNING"


def test_without_the_permission_to_export_there_is_no_csv(upstream):
    run = reconcile()
    client = browser("Viewer")

    assert client.post(page(run, "csv")).status_code == 403
    assert "CSV</button>" not in html(client.get(page(run)))


def test_steps_are_checked_against_forgery(upstream):
    client = browser(checks_csrf=True)

    assert client.post(f"{LIST}start/", {"scope": "OPEN"}).status_code == 403
    assert client.post(page(begin(), "stop")).status_code == 403


def test_what_is_not_there_is_404_or_leads_to_the_list(upstream):
    client = browser()

    for step in STEPS:
        assert client.post(f"{LIST}77/{step}/").status_code == 404
    assert client.get(f"{LIST}77/version/").status_code == 404
    assert client.get(f"{LIST}77/change/").status_code == 302


def test_somebody_without_any_group_sees_nothing_of_it(upstream):
    run = begin()
    client = browser("Viewer")
    User.objects.get().groups.clear()

    for path in (LIST, page(run), page(run, "version"), f"{LIST}start/"):
        assert client.get(path).status_code == 403
    assert "Last reconciliation" not in words(client.get(TODAY))


def test_today_tells_of_the_last_one_and_leads_to_it(upstream):
    assert "Last reconciliation none yet" in words(browser().get(TODAY))
    lost_orders(upstream)
    run = reconcile()
    upstream.wait(minutes=30)
    cache.clear()  # Redis goes by a clock of its own

    shown = browser(name="ben").get(TODAY)

    assert f"Last reconciliation 30 min ago {run.compared} compared, 0 still different" in words(
        shown
    )
    assert f'<a href="{page(run)}">' in html(shown)


def test_today_is_amber_until_a_later_one_of_the_same_finds_nothing(upstream):
    unknown = ghost(START - timedelta(hours=1))
    bad = reconcile()
    reconcile(Scope.ACCOUNT, account_id=uuid4())

    shown = html(browser().get(TODAY))
    assert f'<a href="{page(bad)}" class="late">' in shown
    assert "1 compared, 0 still different, 1 not known at the broker" in words(
        browser(name="eve").get(TODAY)
    )

    unknown.delete()
    reconcile()
    cache.clear()
    assert 'class="late"' not in html(browser(name="ben").get(TODAY)).partition("reconciled")[2]
