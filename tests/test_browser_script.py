"""The one script: comfort that changes nothing by itself."""

import re

import pytest
import time_machine

from tests import scenes
from tests.staff import LIST, browser, page
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
