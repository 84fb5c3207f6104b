"""The one script: comfort that changes nothing by itself."""

import re

import pytest
import time_machine

from tests import scenes
from tests.staff import JOURNAL, LIST, ORDERS, browser, page
from tests.stories import START, event, named, order, portfolio_order

OPEN = page(named("P"))


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        desk.receive(1, event("PORTFOLIO_ORDER.NEW", portfolio_order()))
        yield desk


def test_slash_focuses_the_search_box_but_not_while_somebody_types(look, desk):
    shown = look(browser()).open(OPEN)

    shown.get_by_label("Note").press("/")
    assert shown.get_by_label("Note").input_value() == "/"

    shown.get_by_role("heading", level=1).click()
    shown.keyboard.press("/")
    shown.keyboard.type("d38a60a3")
    assert shown.locator("#find-field").input_value() == "d38a60a3"


def test_slash_can_be_turned_off_and_stays_off(look, desk):
    window = look(browser())
    shown = window.open(OPEN)

    shown.get_by_role("button", name="Slash key").click()
    shown = window.open(LIST)
    shown.keyboard.press("/")

    assert not shown.locator("#find-field").evaluate("it => it === document.activeElement")


def test_an_id_is_copied_whole(look, desk):
    window = look(browser(), permissions=["clipboard-read", "clipboard-write"])
    shown = window.open(OPEN)

    shown.get_by_role("button", name=f"Copy {named('P')}").click()

    shown.get_by_role("button", name="Copied").wait_for()
    assert shown.evaluate("navigator.clipboard.readText()") == named("P")


def test_what_is_no_id_has_no_copy_button(look, desk):
    shown = look(browser(), permissions=["clipboard-write"]).open("/admin/webhooks/delivery/")
    shown.locator("#result_list tbody a").first.click()

    shown.get_by_role("heading", name=re.compile("^Delivery ")).wait_for()
    assert shown.get_by_role("button", name="Copy").count() == 0


def test_news_of_an_open_order_is_offered_and_not_shown_unasked(look, desk):
    window = look(browser())
    window.page.clock.install()
    shown = window.open(OPEN)
    entries = shown.locator("ol.history > li")
    assert entries.count() == 1

    shown.clock.run_for(15_000)
    assert not shown.locator("#fresh").is_visible()
    desk.receive(30, event("ORDER.NEW", order("A")), event("ORDER.NEW", order("B")))
    shown.clock.run_for(15_000)

    shown.locator("#fresh", has_text="2 new events.").wait_for()
    assert entries.count() == 1
    shown.get_by_text("Show", exact=True).click()
    shown.locator("#orders tbody tr").nth(1).wait_for()
    assert window.complaints == []


def test_nothing_is_asked_for_an_order_that_has_ended(look, desk):
    desk.receive(40, event("PORTFOLIO_ORDER.SETTLED", portfolio_order("SETTLED", 39)))
    window = look(browser())
    asked = []
    window.page.on("request", lambda request: asked.append(request.resource_type))
    window.page.clock.install()

    window.open(OPEN).clock.run_for(60_000)

    assert "fetch" not in asked


def test_times_tick_by_the_servers_clock_and_in_its_words(look, desk):
    window = look(browser())
    window.page.clock.install()
    shown = window.open(OPEN)
    times = shown.evaluate(
        """() => [[4, "ago"], [-4, "ago"], [-4, "due"], [59, "ago"], [3, "since"]].map(([past, tick]) => {
            const time = document.createElement("time");
            time.dateTime = new Date(Date.parse(document.getElementById("as-of").dateTime) - past * 1000).toISOString();
            time.dataset.tick = tick;
            document.getElementById("content").append(time);
            return tick;
        })"""
    )
    told = shown.locator("#content > time")

    shown.clock.run_for(1000)
    assert len(times) == told.count()
    first = [it.inner_text() for it in told.all()]
    assert first[0] == "5 s ago"
    assert first[1] == first[2] == "in 3 s"
    assert first[3] == "1 min ago"
    shown.clock.run_for(3000)
    assert [it.inner_text() for it in told.all()][1:3] == ["just now", "now"]
    shown.clock.run_for(6000)
    last = [it.inner_text() for it in told.all()]
    assert last == ["14 s ago", "6 s ago", "overdue 6 s", "1 min ago", "13 s"]
    assert "late" in told.nth(2).get_attribute("class")
    shown.clock.run_for(3600_000)
    assert told.nth(0).inner_text() == "1 h ago"
    assert told.nth(4).inner_text() == "1 h"
    assert window.complaints == []


@pytest.mark.parametrize("path", ["/admin/", LIST, "/admin/webhooks/delivery/"])
def test_news_of_today_and_of_lists_is_offered_and_not_shown_unasked(look, desk, path):
    window = look(browser())
    window.page.clock.install()
    shown = window.open(path)

    shown.clock.run_for(15_000)
    assert not shown.locator("#fresh").is_visible()
    desk.receive(30, event("PORTFOLIO_ORDER.NEW", portfolio_order(name="Q")))
    shown.clock.run_for(15_000)

    shown.locator("#fresh", has_text="New data.").wait_for()
    shown.get_by_role("link", name="Show", exact=True).click()
    shown.locator("#fresh:not(:visible)").wait_for(state="attached")
    assert window.complaints == []


def test_a_desk_that_cannot_be_reached_is_named_and_asked_less_often_until_it_is_back(look, desk):
    window = look(browser())
    window.page.clock.install()
    shown, asked = window.open(LIST), []

    def refuse(route):
        asked.append(route)
        route.abort()

    shown.route("**/version/", refuse)

    shown.clock.run_for(15_000)
    shown.locator("#fresh", has_text="Cannot reach the desk since 10:00. Try again").wait_for()
    for _ in range(8):
        shown.clock.run_for(15_000)
        shown.wait_for_timeout(50)
    assert len(asked) <= 4
    shown.unroute("**/version/")
    for _ in range(10):
        shown.clock.run_for(15_000)
        shown.wait_for_timeout(50)

    assert not shown.locator("#fresh").is_visible()


def test_a_session_that_has_ended_is_named_and_nothing_is_asked_any_more(look, desk):
    window = look(browser())
    window.page.clock.install()
    shown = window.open(LIST)
    window.page.context.clear_cookies()

    shown.clock.run_for(15_000)

    shown.locator("#fresh", has_text="Your session has ended. Log in again").wait_for()
    shown.get_by_role("link", name="Log in again").click()
    shown.locator("#login-form").wait_for()
    assert "next=" in window.path()


def test_menus_close_with_escape_and_with_a_click_beside_them(look, desk):
    shown = look(browser()).open(LIST)
    menu = shown.locator("details.chip").first

    menu.locator("summary").click()
    assert menu.get_attribute("open") is not None
    shown.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert menu.locator("summary").evaluate("it => it === document.activeElement")
    menu.locator("summary").click()
    shown.get_by_role("heading", level=1).click()
    assert menu.get_attribute("open") is None
    menu.locator("summary").click()
    menu.get_by_role("link").nth(1).click()

    assert "?" in shown.url


@pytest.mark.parametrize("size", [(390, 844), (1440, 900)])
def test_every_menu_of_every_list_closes_with_escape_and_a_click_beside_it(look, desk, size):
    window = look(browser(), size=size)
    seen = 0

    for path in (LIST, ORDERS, JOURNAL, "/admin/webhooks/delivery/", "/admin/auth/user/"):
        shown = window.open(path)
        menus = [it for it in shown.locator("details:is(.chip, .menu)").all() if it.is_visible()]
        for n, menu in enumerate(menus):
            where, summary = f"{path} {n}", menu.locator("summary").first
            summary.click()
            assert menu.get_attribute("open") is not None, where
            shown.keyboard.press("Tab")  # into the menu
            shown.keyboard.press("Escape")
            assert menu.get_attribute("open") is None, where
            assert summary.evaluate("it => it === document.activeElement"), where
            summary.click()
            shown.mouse.click(2, size[1] - 2)
            assert menu.get_attribute("open") is None, where
            seen += 1

    assert seen > 15
    assert window.complaints == []


def test_without_javascript_a_page_says_when_it_was_made_and_promises_nothing(look, desk):
    shown = look(browser(), java_script_enabled=False).open(LIST)

    assert shown.locator("#as-of").is_visible()
    assert shown.locator("#as-of").inner_text() == "2 Mar 2026, 10:00:01"
    assert not shown.locator("#fresh").is_visible()
    assert not shown.locator(".action-counter").is_visible()


def test_a_printed_list_has_absolute_times_and_no_controls(look, desk):
    shown = look(browser()).open(LIST)
    shown.emulate_media(media="print")

    time = shown.locator("#result_list .field-placed time").first
    assert time.evaluate("it => getComputedStyle(it).fontSize") == "0px"
    said = time.evaluate("it => getComputedStyle(it, '::after').content")
    assert said == '"2 Mar 2026, 10:00:00"'
    for control in (
        "#header",
        "#toolbar",
        "#changelist-filter",
        ".actions",
        ".list-buttons",
        "button",
    ):
        assert not any(it.is_visible() for it in shown.locator(control).all()), control
    assert shown.locator("#as-of").is_visible()
