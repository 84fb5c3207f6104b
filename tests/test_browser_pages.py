"""Every page of the desk in a browser: its content security policy, its width, print and other media."""

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from orders.models import JournalEntry, Outcome
from tests import scenes
from tests.browser import NARROW
from tests.crawl import pages
from tests.staff import BACKEND, JOURNAL, LIST, ORDERS, browser, html, page
from tests.stories import START

OVERFLOW = """() => {
    const page = document.documentElement, width = page.clientWidth;
    if (page.scrollWidth <= width) return [];
    return [...document.querySelectorAll('body *')]
        .filter(it => it.getBoundingClientRect().right > width + 1)
        .map(it => it.outerHTML.slice(0, 90));
}"""
LOST = """() => [...document.querySelectorAll('#content :is(h1, h2, td, dd, ol.history li)')]
    .filter(it => !it.querySelector('button, input') && !it.checkVisibility())
    .map(it => it.outerHTML.slice(0, 90))"""
MOVING = """() => document.getAnimations({subtree: true}).length +
    [...document.querySelectorAll('*')].filter(it => {
        const style = getComputedStyle(it);
        return style.animationName != 'none' || parseFloat(style.transitionDuration) > 0;
    }).length"""
# What has a status has its shape: an icon that is drawn, and a border, whatever becomes of colours.
SHAPELESS = """() => [...document.querySelectorAll('.badge')].filter(it => {
    const icon = it.querySelector('svg'), style = getComputedStyle(it);
    return !icon || !icon.getBoundingClientRect().width || style.borderTopStyle == 'none';
}).map(it => it.outerHTML)"""
TABLES = "#changelist-form .results, .table-scroll"
CUT_OFF = """tables => [...document.querySelectorAll(tables)]
    .filter(it => it.scrollWidth > it.clientWidth).map(it => it.outerHTML.slice(0, 90))"""
TABLED = [
    LIST, ORDERS, JOURNAL, "/admin/webhooks/event/", "/admin/webhooks/delivery/",
    "/admin/webhooks/subscription/", "/admin/orders/placement/", "/admin/orders/reconciliation/",
    "/admin/orders/staffaction/", "/admin/auth/user/",
]  # fmt: skip
ZOOMED = (720, 450)  # a window of 1440 pixels at 200 %
A4 = (718, 1047)  # what is left of the paper between usual margins
SHOWN = ["/admin/", LIST, page(scenes.RECOVERED)]


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        yield desk


@pytest.mark.django_db
def test_no_page_holds_an_inline_style_or_script(desk):
    found = pages(browser(), queries=True)

    assert len(found) > 30
    for path, answer in found.items():
        assert html(answer), path


def test_no_page_is_complained_about_by_the_browser_or_is_wider_than_768_pixels(look, desk):
    client = browser()
    window = look(client, size=NARROW)
    found = [*pages(client), page(scenes.RECOVERED)]

    assert {"/admin/", LIST, "/admin/auth/user/add/", "/admin/password_change/"} <= {*found}
    too_wide = {path: wide for path in found if (wide := window.open(path).evaluate(OVERFLOW))}
    assert too_wide == {}
    assert window.complaints == []


def test_no_page_before_the_desk_is_complained_about_or_is_too_wide(look, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    enrolling, stranger = Client(), look(size=NARROW)
    enrolling.force_login(User.objects.create_superuser("ada"), backend=BACKEND)
    colleague = look(enrolling, size=NARROW)

    for window, path in [(stranger, "/admin/login/"), (colleague, "/admin/second-factor/")]:
        assert window.open(path).evaluate(OVERFLOW) == []
        assert window.path() == path
        assert window.complaints == []


def test_a_browser_that_refuses_something_is_noticed(look):
    window = look()
    shown = window.open("/admin/login/")

    shown.evaluate("document.body.insertAdjacentHTML('beforeend', '<b style=\"color: red\">')")
    shown.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.com/\">')"
    )

    said = " ".join(window.complaints)
    assert "Applying inline style violates the following Content Security Policy" in said
    assert "Loading the image 'https://example.com/' violates" in said


@pytest.mark.parametrize("width", [1025, 521, 400])
def test_today_never_scrolls_sideways(look, desk, width):
    shown = look(browser(), size=(width, 900)).open("/admin/")

    assert shown.evaluate(OVERFLOW) == []


def test_print_opens_runs_and_leaves_raw_payloads_closed(look, desk):
    shown = look(browser()).open(page(scenes.RECOVERED))
    shown.emulate_media(media="print")

    payloads = shown.locator("ol.history pre.payload").all()
    folded = shown.locator("ol.history details:not(:has(pre)) li").all()
    assert payloads
    assert not any(it.is_visible() for it in payloads)
    assert folded
    assert all(it.is_visible() for it in folded)


def test_a_list_uses_the_whole_width_of_a_narrow_window(look, desk):
    shown = look(browser(), size=NARROW).open(LIST)

    assert shown.locator("#result_list").bounding_box()["width"] > 0.9 * NARROW[0]


@pytest.mark.parametrize("size", [NARROW, ZOOMED])
def test_no_table_hides_a_column_beyond_its_edge_at_768_pixels_and_at_200_percent(look, desk, size):
    scenes.add_the_rest()
    window = look(browser(), size=size)

    for path in [*TABLED, page(scenes.RECOVERED)]:
        shown = window.open(path)
        assert shown.locator(TABLES).count() > 0, path
        assert shown.evaluate(CUT_OFF, TABLES) == [], path


def test_on_paper_no_table_is_cut_off(look, desk):
    scenes.add_the_rest()
    window = look(browser(), size=A4)
    window.page.emulate_media(media="print")

    for path in [*TABLED, page(scenes.RECOVERED)]:
        shown = window.open(path)
        assert shown.locator(TABLES).count() > 0, path
        assert shown.evaluate(CUT_OFF, TABLES) == [], path
        ticking = shown.locator("td time[data-tick=ago]").all()
        sizes = [it.evaluate("it => getComputedStyle(it).fontSize") for it in ticking]
        assert {*sizes} <= {"0px"}, path  # the moment stands behind it


def test_the_ring_around_the_entry_that_a_link_leads_to_is_clear_of_the_next_one(look, desk):
    note = JournalEntry.objects.get(outcome=Outcome.NOTED)
    shown = look(browser()).open(f"{page(scenes.RECOVERED)}#entry-{note.pk}")

    ring = shown.locator("li:target > .what")
    below = shown.locator("li:target + li")
    box, outline = ring.bounding_box(), 2 + 4  # its width and its distance
    assert ring.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    assert box["y"] + box["height"] + outline <= below.bounding_box()["y"]


def test_print_keeps_what_a_page_says_opens_what_is_folded_and_drops_its_buttons(look, desk):
    window = look(browser())

    for path in SHOWN:
        window.page.emulate_media(media="screen")
        shown = window.open(path)
        assert shown.get_by_role("button").first.is_visible()
        shown.emulate_media(media="print")

        assert shown.locator("#content").inner_text().strip()
        assert shown.evaluate(LOST) == [], path
        assert [it.inner_text() for it in shown.locator("button").all() if it.is_visible()] == []


def test_reduced_motion_and_forced_colours_hide_nothing(look, desk):
    window = look(browser(), reduced_motion="no-preference")

    for path in SHOWN:
        window.page.emulate_media(forced_colors="none", reduced_motion="no-preference")
        shown = window.open(path)
        before = shown.locator("#content").inner_text()
        assert shown.evaluate(MOVING) > 0  # Django's own links and buttons do

        shown.emulate_media(reduced_motion="reduce", forced_colors="active")
        assert shown.evaluate(MOVING) == 0, path
        assert shown.evaluate(SHAPELESS) == [], path
        assert shown.locator("#content").inner_text() == before
