"""Small screens, enlarged pages and browsers without JavaScript: the way around, and nothing on top of anything."""

import pytest
import time_machine
from django.utils import timezone

from orders import journal
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder
from tests import scenes
from tests.browser import NARROW, WIDE, barriers
from tests.scenes import RECOVERED
from tests.staff import JOURNAL, LIST, ORDERS, browser, page
from tests.stories import START, named

PHONES = [(360, 760), (390, 844)]
ZOOMED = (WIDE[0] // 2, WIDE[1] // 2)  # a window of 1440 px at 200 %
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Pairs of elements that are drawn on top of each other.
COVERED = """([one, other]) => {
    const seen = it => it.checkVisibility() && it.getBoundingClientRect().width > 0;
    const boxes = found => [...document.querySelectorAll(found)].filter(seen)
        .map(it => {
            const text = document.createRange(); text.selectNodeContents(it);
            return [it, it.matches('h1') ? text.getBoundingClientRect() : it.getBoundingClientRect()];
        });
    const pairs = [];
    for (const [a, first] of boxes(one)) for (const [b, second] of boxes(other)) {
        if (a === b || a.contains(b) || b.contains(a)) continue;
        const x = Math.min(first.right, second.right) - Math.max(first.left, second.left);
        const y = Math.min(first.bottom, second.bottom) - Math.max(first.top, second.top);
        if (x > 1 && y > 1) pairs.push(`${a.textContent.trim()} | ${b.textContent.trim()}`);
    }
    return pairs;
}"""


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        yield desk


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("size", [*PHONES, ZOOMED, NARROW, (1024, 768)])
def test_the_menu_of_a_narrow_window_leads_to_every_list(look, desk, size, script):
    window = look(browser(), size=size, java_script_enabled=script)
    shown = window.open(ORDERS)
    menu = shown.locator("#menu")

    assert not shown.locator("#nav-sidebar").is_visible()
    assert not menu.locator("nav").is_visible()
    menu.locator("summary").click()
    assert menu.get_by_role("link", name="Orders", exact=True).get_attribute("aria-current")
    names = menu.get_by_role("link").all_inner_texts()
    assert {"Today", "Portfolio orders", "Journal", "Deliveries", "Users"} <= {*names}
    menu.get_by_role("link", name="Portfolio orders", exact=True).click()

    assert window.path() == LIST
    assert not menu.locator("nav").is_visible()
    if script:
        assert shown.evaluate(SIDEWAYS) <= 0
        assert barriers(shown) == []
        menu.locator("summary").click()
        assert barriers(shown, "#menu") == []  # it lies on a part of what is below
    assert window.complaints == []


@pytest.mark.parametrize("script", [True, False])
def test_the_sidebar_stands_in_a_wide_page_with_and_without_javascript(look, desk, script):
    window = look(browser(), java_script_enabled=script)
    shown = window.open(LIST)
    sidebar = shown.locator("#nav-sidebar")

    assert sidebar.bounding_box()["x"] >= 0
    assert not shown.locator("#menu").is_visible()
    assert shown.locator("#toggle-nav-sidebar").is_visible() == script
    assert shown.locator("#nav-filter").is_visible() == script
    beside = sidebar.bounding_box()["x"] + sidebar.bounding_box()["width"]
    assert shown.locator("#content").bounding_box()["x"] >= beside
    sidebar.get_by_role("link", name="Journal", exact=True).click()
    assert window.path() == JOURNAL


def test_a_sidebar_that_somebody_has_closed_stays_closed(look, desk):
    window = look(browser())
    shown = window.open(LIST)

    shown.locator("#toggle-nav-sidebar").click()
    assert not shown.locator("#nav-sidebar").is_visible()
    shown = window.open(ORDERS)

    assert not shown.locator("#nav-sidebar").is_visible()


@pytest.mark.parametrize("size", [*PHONES, (641, 900), NARROW, WIDE])
def test_no_heading_lies_under_a_button_and_no_label_of_a_chart_on_another(look, desk, size):
    window = look(browser(), size=size)

    for path in (LIST, "/admin/orders/placement/"):
        assert window.open(path).evaluate(COVERED, ["h1", "button"]) == [], path
    for number in range(7):
        shown = window.open(page(named(f"day {number}")))
        assert shown.evaluate(COVERED, [".axis text", ".axis text"]) == [], number
        assert shown.evaluate(SIDEWAYS) <= 0
    today = window.open("/admin/")
    assert today.evaluate(COVERED, [".hours text", ".hours rect:not(.hit)"]) == []
    assert today.evaluate(COVERED, [".hours text", ".hours text"]) == []
    assert today.evaluate(SIDEWAYS) <= 0


@pytest.mark.parametrize("size", [PHONES[1], WIDE])
def test_a_word_without_an_end_widens_no_page(look, desk, size):
    word = "Donaudampfschifffahrtsgesellschaft" * 294  # 9,996 characters
    now = timezone.now()
    PortfolioOrder.objects.filter(pk=RECOVERED).update(
        client_reference=word[:255], cancellation_details=word, cancellation_reason=word[:255]
    )
    order = Order.objects.filter(portfolio_order_id=RECOVERED).first()
    assert order
    Order.objects.filter(pk=order.pk).update(client_reference=word[:255], portfolio_order=None)
    note = journal.record_note(Kind.PORTFOLIO_ORDER, RECOVERED, word, actor=word[:150], now=now)
    client = browser()
    client.get(LIST, {"columns": "all"})
    window = look(client, size=size)

    for path in (
        page(RECOVERED), f"{ORDERS}{order.pk}/change/", f"{JOURNAL}{note.pk}/change/", LIST, ORDERS,
        JOURNAL, f"{LIST}?q={word[:200]}", f"/admin/find/?q={word[:200]}",
    ):  # fmt: skip
        assert window.open(path).evaluate(SIDEWAYS) <= 0, path
    assert window.complaints == []


SEARCHED = [
    LIST,
    ORDERS,
    JOURNAL,
    "/admin/webhooks/delivery/",
    "/admin/orders/placement/",
    "/admin/auth/user/",
]
# How far behind the last line of a text the button stands that copies it, and how far below it.
BESIDE = """() => [...document.querySelectorAll('.copy')].filter(it => it.checkVisibility()).map(it => {
    const text = document.createRange(), button = it.getBoundingClientRect();
    text.selectNodeContents(it.previousElementSibling);
    const line = [...text.getClientRects()].at(-1);
    return [button.left - line.right, (button.top + button.bottom - line.top - line.bottom) / 2];
})"""


@pytest.mark.parametrize("size", [*PHONES, NARROW, (1024, 768), WIDE])
def test_the_search_box_of_a_list_has_room_for_an_id(look, desk, size):
    window = look(browser(), size=size)

    for path in SEARCHED:
        shown = window.open(path)
        box = shown.locator("#searchbar").bounding_box()
        assert box
        assert box["width"] >= min(240, size[0] - 140), (path, box)
        assert shown.evaluate(SIDEWAYS) == 0, path


@pytest.mark.parametrize("size", [*PHONES, NARROW, (1024, 768), WIDE])
def test_the_button_that_copies_an_id_stands_behind_its_last_character(look, desk, size):
    window = look(browser(), size=size)

    for path in (page(RECOVERED), f"{ORDERS}{Order.objects.earliest('pk').pk}/change/"):
        found = window.open(path).evaluate(BESIDE)
        assert found
        for behind, below in found:
            assert 0 <= behind < 16, (path, behind)
            assert abs(below) < 8, (path, below)
