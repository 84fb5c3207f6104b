"""What staff do with reconciliations in a browser; the sandbox stands behind the live server."""

import csv
import re
from datetime import time, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from backoffice import doorbell
from backoffice.sandbox import Trouble
from orders.models import JournalEntry, PortfolioOrder
from orders.reconciliation import work
from orders.reconciliation.models import Reconciliation, Scope
from tests.browser import flaws
from tests.reconciling import begin, objects, reconcile
from tests.staff import browser, who_may
from tests.truth import differences
from tests.upstream import START, receive, running

LIST = "/admin/orders/reconciliation/"


@pytest.fixture
def upstream(look, settings, monkeypatch):
    settings.RECONCILE_AT = time(2, 30)
    # What a worker would do when the bell rings.
    monkeypatch.setattr(doorbell, "ring", lambda task, pk: task.apply((pk,)).successful())
    with running(settings) as upstream:
        yield upstream


def lost_orders(upstream, count=8):
    upstream.market.place_some(count, now=timezone.now())
    receive(upstream.wait(minutes=2))
    upstream.market.place_some(count, now=timezone.now())
    upstream.wait(hours=5)


def ghost():
    return PortfolioOrder.objects.create(pk=uuid4(), status="NEW", created_at=START)


def said(shown):
    return shown.locator(".messagelist").inner_text()


def page(run):
    return f"{LIST}{run.pk}/change/"


def test_a_person_compares_some_days_and_everything_lost_is_repaired(look, upstream):
    lost_orders(upstream)
    window = look(browser())

    shown = window.open("/admin/")
    shown.locator("#nav-sidebar").get_by_role("link", name="Reconciliations").click()
    assert window.path() == LIST
    shown.get_by_role("button", name="Start").click()
    shown.get_by_label("From").fill("2026-03-02")
    shown.get_by_role("button", name="Compare days").click()

    run = Reconciliation.objects.get()
    assert window.path() == page(run)
    assert said(shown) == "Running. Reload this page for its progress."
    assert shown.locator(".head .badge").inner_text() == "Done"
    assert f"{objects(upstream)} compared" in shown.locator(".head-line").inner_text()
    assert differences(upstream) == []
    assert JournalEntry.objects.get(status="STARTED", type="RECONCILIATION").actor == "mira"
    shown.locator("#findings tbody a").first.click()
    assert re.match(r"/admin/orders/(portfolioorder|order)/", window.path())
    assert window.complaints == []


def test_a_tile_leads_to_what_people_have_to_look_at(look, upstream):
    lost_orders(upstream)
    unknown = ghost()
    run = reconcile()
    window = look(browser())
    shown = window.open("/admin/")

    shown.locator("#reconciled a.late").click()
    assert window.path() == page(run)
    shown.locator(".tiles a", has_text="Not known at broker").click()

    shown.locator("#findings h2", has_text="Not known at broker").wait_for()
    rows = shown.locator("#findings tbody tr")
    assert rows.count() == 1
    assert str(unknown.pk)[:8] in rows.inner_text()
    assert "not known at the broker" in rows.inner_text()
    shown.get_by_role("link", name="All findings").click()
    shown.locator("#findings h2", has_text="Findings").wait_for()
    assert rows.count() == min(100, run.findings.count())
    assert window.complaints == []


def test_one_that_waits_for_the_broker_is_stopped_and_continued(look, upstream):
    lost_orders(upstream)
    upstream.expect(Trouble("problem", 503, path="/portfolios"))
    run = begin()
    work.shift(run.pk)
    window = look(browser())

    shown = window.open(page(run))
    assert shown.locator(".head .badge").inner_text() == "Waiting"
    assert "503" in shown.locator("#progress").inner_text()
    shown.get_by_role("button", name="Stop").click()
    assert said(shown) == "Stopped. Press Continue to resume from here."
    assert shown.locator(".head .badge").inner_text() == "Stopped"
    shown.get_by_role("button", name="Continue").click()

    assert shown.locator(".head .badge").inner_text() == "Done"
    assert differences(upstream) == []
    steps = JournalEntry.objects.filter(type="RECONCILIATION", actor="mira").order_by("pk")
    assert [it.status for it in steps] == ["STOPPED", "CONTINUED"]
    assert window.complaints == []


def test_the_page_says_by_itself_that_it_has_got_on(look, upstream):
    lost_orders(upstream)
    run = begin()
    window = look(browser())
    window.page.clock.install()
    shown = window.open(page(run))
    assert not shown.locator("#fresh").is_visible()

    work.shift(run.pk)
    shown.clock.run_for(16_000)

    shown.locator("#fresh").wait_for(state="visible")
    assert "New progress." in shown.locator("#fresh").inner_text()
    shown.locator("#fresh a").click()
    assert shown.locator(".head .badge").inner_text() == "Done"


def test_the_findings_are_taken_away_as_csv(look, upstream):
    lost_orders(upstream)
    run = reconcile()
    window = look(browser())
    shown = window.open(page(run))

    with shown.expect_download() as download:
        shown.get_by_role("button", name="Findings CSV").click()

    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    _, *rows = csv.reader(text.splitlines())
    assert len(rows) == run.findings.count()
    assert download.value.suggested_filename.startswith("reconciliation-findings_v1_")
    assert JournalEntry.objects.get(type="EXPORT").actor == "mira"


def test_what_makes_no_sense_is_said_above_the_form(look, upstream):
    window = look(browser())
    shown = window.open(f"{LIST}start/")

    shown.locator("input[name=account]").fill("12")
    shown.get_by_role("button", name="Compare account").click()

    assert "Enter the whole account ID" in shown.locator("#wrong").inner_text()
    assert shown.locator("input[name=account]").input_value() == "12"
    assert not Reconciliation.objects.exists()


def test_who_may_not_reconcile_sees_the_pages_and_no_button(look, upstream):
    run = begin()
    window = look(who_may("view_reconciliation"))

    for path in (LIST, page(run)):
        shown = window.open(path)
        assert shown.locator("#content form button").count() == 0
        assert "Placed 2026-03-01" in shown.locator("#content").inner_text()


def test_no_barrier_stands_in_its_pages_and_nothing_is_cut_off(look, upstream):
    lost_orders(upstream)
    ghost()
    done = reconcile()
    under_way = begin()
    failed = begin(Scope.ACCOUNT, account_id=uuid4())
    rows = Reconciliation.objects.filter(pk=failed.pk)
    rows.update(state="FAILED", reason="GET /x: 403", ended_at=START + timedelta(hours=6))
    window = look(browser())

    pages = [page(run) for run in (done, under_way, failed)]
    assert (
        flaws(window, LIST, f"{LIST}start/", *pages, f"{pages[0]}?verdict=UNKNOWN_THERE", "/admin/")
        == []
    )
