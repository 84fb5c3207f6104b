"""The desk for everybody: WCAG 2.2 A and AA by axe, and the keyboard alone."""

import pytest
import time_machine

from orders.models import JournalEntry, Order
from tests import scenes
from tests.browser import NARROW, WIDE, barriers
from tests.staff import JOURNAL, LIST, ORDERS, browser, page
from tests.stories import START
from webhooks.models import Delivery, Verdict

FOCUSED = """() => {
    const it = document.activeElement, style = getComputedStyle(it);
    const ring = style.outlineStyle != 'none' ? parseFloat(style.outlineWidth) : 0;
    const box = it.getBoundingClientRect();
    return {
        id: it.id, tag: it.localName, text: it.innerText || it.value || it.name || '', ring,
        row: !!it.closest('#result_list tbody'), height: box.height, inline: style.display == 'inline',
    };
}"""


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        yield desk


def delivery(verdict):
    return f"/admin/webhooks/delivery/{Delivery.objects.filter(verdict=verdict).latest('pk').pk}/change/"


LOOKS = [("light", WIDE), ("dark", NARROW), ("light", NARROW), ("dark", WIDE)]
MAIN = {
    "the dashboard": lambda: "/admin/",
    "the list of portfolio orders": lambda: LIST,
    "the page of a portfolio order": lambda: page(scenes.RECOVERED),
    "the page of a delivery": lambda: delivery(Verdict.ACCEPTED),
}
OTHERS = {
    "the page of an order": lambda: f"{ORDERS}{Order.objects.earliest('pk').pk}/change/",
    "the list of the journal": lambda: JOURNAL,
    "the page of an entry": lambda: f"{JOURNAL}{JournalEntry.objects.latest('pk').pk}/change/",
    "the list of deliveries": lambda: "/admin/webhooks/delivery/",
    "the page of a refused delivery": lambda: delivery(Verdict.REFUSED),
}


def barriers_by_look(shown, looks):
    """Return what stands in the way, by colour scheme and width."""
    found = {}
    for scheme, (width, height) in looks:
        shown.emulate_media(color_scheme=scheme)
        shown.set_viewport_size({"width": width, "height": height})
        found[scheme, width] = barriers(shown)
    return {look: barriers for look, barriers in found.items() if barriers}


@pytest.mark.parametrize("name", MAIN)
def test_no_barrier_stands_in_a_page_light_or_dark_wide_or_narrow(look, desk, name):
    assert barriers_by_look(look(browser()).open(MAIN[name]()), LOOKS) == {}


def test_no_barrier_stands_in_the_other_pages(look, desk):
    window = look(browser())

    for name, path in OTHERS.items():
        assert barriers_by_look(window.open(path()), LOOKS[:2]) == {}, name


def test_no_barrier_stands_before_the_desk(look):
    assert barriers_by_look(look().open("/admin/login/"), LOOKS[:2]) == {}


def test_a_barrier_is_noticed(look):
    shown = look().open("/admin/login/")

    shown.evaluate("document.body.append(new Image())")

    assert [found for found in barriers(shown) if found.startswith("image-alt")]


def tab(shown, times):
    """Press Tab so many times; return what has the focus after each."""
    focused = []
    for _ in range(times):
        shown.keyboard.press("Tab")
        focused.append(shown.evaluate(FOCUSED))
    return focused


def test_the_first_tab_offers_to_skip_to_the_content(look, desk):
    shown = look(browser()).open(page(scenes.RECOVERED))

    (first,) = tab(shown, 1)
    assert first["text"].startswith("Skip to main content")
    assert shown.locator(":focus").bounding_box()["y"] >= 0
    shown.keyboard.press("Enter")

    assert tab(shown, 2)[-1]["text"].strip() in {"Refetch now", "History CSV"}


def test_tab_reaches_search_filters_actions_and_rows_in_this_order_with_a_visible_ring(look, desk):
    shown = look(browser()).open(LIST)
    tab(shown, 1)
    shown.keyboard.press("Enter")

    focused = [it for it in tab(shown, 40) if it["tag"] != "body"]

    places = [
        next(n for n, it in enumerate(focused) if it["id"] == "searchbar"),
        next(n for n, it in enumerate(focused) if it["tag"] == "summary"),
        next(n for n, it in enumerate(focused) if it["tag"] == "select"),
        next(n for n, it in enumerate(focused) if it["row"] and it["tag"] == "a"),
    ]
    assert places == sorted(places)
    assert [it for it in focused if it["ring"] < 2] == []


def test_every_button_of_an_order_is_pressed_by_keyboard_alone(look, desk):
    shown = look(browser()).open(page(scenes.RECOVERED))
    tab(shown, 1)
    shown.keyboard.press("Enter")

    shown.get_by_label("Note").focus()
    shown.keyboard.type("Nothing to worry about")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")

    shown.locator("ol.history .note", has_text="Nothing to worry about").wait_for()


def test_what_is_pressed_is_at_least_24_pixels_high(look, desk):
    shown = look(browser(), size=NARROW).open(page(scenes.RECOVERED))

    small = shown.locator("#content :is(button, .tabs a, summary, select)").evaluate_all(
        """all => all.filter(it => it.checkVisibility() && it.getBoundingClientRect().height < 24)
            .map(it => it.outerHTML.slice(0, 120))"""
    )

    assert small == []
