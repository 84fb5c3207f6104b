"""What staff do in a browser: log in, refetch, take files away, find orders without JavaScript."""

import re

import pytest
import time_machine
from django.contrib.auth.models import User
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from orders.models import JournalEntry, PortfolioOrder
from tests import scenes
from tests.browser import barriers
from tests.staff import LIST, browser, page
from tests.stories import START
from tests.upstream import receive, running

PASSWORD = "correct horse battery staple"


@pytest.fixture
def desk(look):
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        yield desk


@pytest.fixture
def story(look):
    """Only the order with late, repeated and lost webhooks."""
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.recovered(desk)
        desk.go((scenes.SHOWN - START).total_seconds())
        yield


@pytest.fixture
def upstream(look, settings):
    with running(settings) as upstream:
        yield upstream


def log_in(window, name, **fields):
    shown = window.open("/")
    shown.get_by_label("Username").fill(name)
    shown.get_by_label("Password").fill(PASSWORD)
    for label, value in fields.items():
        shown.get_by_label(label.replace("_", " ")).fill(value)
    shown.get_by_role("button", name="Log in").click()
    return shown


def test_staff_log_in_and_see_what_happens_today(look):
    User.objects.create_superuser("ada", password=PASSWORD)
    window = look()

    shown = log_in(window, "ada")

    assert window.path() == "/admin/"
    assert shown.get_by_role("heading", level=1).inner_text() == "Today"
    assert shown.locator("#user-tools").inner_text().casefold().startswith("welcome, ada")


def test_a_wrong_password_is_told_and_opens_nothing(look):
    User.objects.create_superuser("ada", password="another password")
    window = look()

    shown = log_in(window, "ada")

    assert "correct username and password" in shown.locator(".errornote").inner_text()
    assert window.path().startswith("/admin/login/")


def test_staff_enrol_their_second_factor_at_the_first_log_in(look, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    ada = User.objects.create_superuser("ada", password=PASSWORD)
    window = look()

    shown = log_in(window, "ada")
    assert window.path() == "/admin/second-factor/"
    assert shown.locator("svg path").first.is_visible()
    device = TOTPDevice.objects.get(user=ada)
    shown.get_by_label("Authentication code").fill(f"{TOTP(device.bin_key).token():06}")
    shown.locator("#content [type=submit], #content button").click()
    assert shown.locator(".backup-codes li").count() == 10
    assert barriers(shown) == []
    with shown.expect_download() as saved:
        shown.get_by_role("link", name="Save as a file").click()
    kept = saved.value.path().read_text().splitlines()
    assert kept[1:] == shown.locator(".backup-codes li").all_inner_texts()
    shown.locator(".way-back").click()

    assert window.path() == "/admin/"
    assert window.complaints == []


def test_refetch_now_says_what_came_of_it_and_jumps_to_its_entry(look, upstream):
    pk = upstream.place()
    receive(upstream.events())
    upstream.wait(minutes=6)  # and every webhook of it is lost
    window = look(browser())

    shown = window.open(page(pk))
    shown.get_by_role("button", name="Refetch now").click()

    said = shown.locator(".messagelist").inner_text()
    assert re.match(r"Refetched in .+: .+ortfolio order New -> ", said)
    status = PortfolioOrder.objects.get(pk=pk).status
    assert shown.locator(".head-line .badge").first.inner_text() == status.capitalize()
    entry = JournalEntry.objects.get(portfolio_order_id=pk, source="REFETCH")
    assert window.path() == f"{page(pk)}#entry-{entry.pk}"
    jumped = shown.locator(":target")
    assert jumped.get_attribute("id") == f"entry-{entry.pk}"
    assert "Refetched by mira" in jumped.inner_text()
    assert shown.locator(":target").bounding_box()["y"] < 900


def test_the_history_of_an_order_is_taken_away_as_a_file(look, story):
    client = browser()
    shown = look(client).open(page(scenes.RECOVERED))

    with shown.expect_download() as download:
        shown.get_by_role("button", name="History CSV").click()

    assert re.fullmatch(r"order-history_v1_\d{8}T\d{4}Z\.csv", download.value.suggested_filename)
    data = download.value.path().read_bytes()
    assert data == client.post(f"{LIST}{scenes.RECOVERED}/history_csv/").getvalue()
    assert data.startswith(b"\xef\xbb\xbfportfolio_order_id,")
    assert data.count(b"\r\n") > 24  # three steps of each of its eight orders


def test_filters_search_and_files_work_without_javascript(look, desk):
    shown = look(browser(), java_script_enabled=False).open(LIST)
    statuses = shown.locator("#result_list .field-status_badge")
    everything = statuses.count()

    shown.locator("summary", has_text=re.compile("^Status:")).click()
    shown.get_by_role("link", name="Processing").last.click()
    assert 0 < statuses.count() < everything
    assert {text.split()[0] for text in statuses.all_inner_texts()} == {"Processing"}

    shown.get_by_role("link", name="Clear filters").first.click()
    assert statuses.count() == everything
    shown.locator("#searchbar").fill(str(scenes.RECOVERED)[:8])
    shown.locator("#searchbar").press("Enter")
    assert [status.split() for status in statuses.all_inner_texts()] == [["Filled", "Missed"]]

    shown.locator("#result_list input[name=_selected_action]").check()
    shown.locator("select[name=action]").select_option("export_orders")
    with shown.expect_download() as download:
        shown.locator(".actions button[name=index]").click()
    _, *rows = download.value.path().read_text().splitlines()
    assert len(rows) == 8
    assert all(str(scenes.RECOVERED) in row for row in rows)


def test_all_that_match_are_exported_without_javascript_and_none_is_ticked(look, desk):
    window = look(browser(), java_script_enabled=False)
    shown = window.open(f"{LIST}?status=FILLED")
    assert not shown.locator(".action-counter").is_visible()
    assert not shown.locator("#action-toggle").is_visible()
    filled = {
        str(pk)
        for pk in PortfolioOrder.objects.filter(status="FILLED").values_list("pk", flat=True)
    }
    assert len(filled) > 1

    shown.get_by_label("matching, not only those selected").check()
    shown.locator("select[name=action]").select_option("export_portfolio_orders")
    shown.locator("select[name=csv_format]").select_option("semicolon")
    with shown.expect_download() as download:
        shown.locator(".actions button[name=index]").click()

    _, *rows = download.value.path().read_text().splitlines()
    assert {row.split(";")[0] for row in rows} == filled
    assert window.complaints == []


def test_with_javascript_nothing_of_that_shows_and_the_link_selects_all(look, desk):
    shown = look(browser()).open(LIST)

    assert shown.locator("label.across").count() == 0
    assert shown.locator(".action-counter").is_visible()


def test_the_chips_of_a_history_work_without_javascript(look, story):
    window = look(browser(), java_script_enabled=False)
    shown = window.open(page(scenes.RECOVERED))
    entries = shown.locator("ol.history > li")
    everything = entries.count()

    shown.locator(".tabs a", has_text="Problems").click()

    assert 0 < entries.count() < everything
    assert "never arrived" in shown.locator("#history").inner_text()
    shown.locator("ol.history summary", has_text="Show 2 orders").click()
    assert shown.locator("ol.history details[open] li").first.is_visible()
