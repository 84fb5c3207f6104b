"""Every page of the desk, as each group, in every width and both themes: followed from Today, link by link.

Links, error pages and rights are tried without a browser, and so without JavaScript. The browser
then looks at one page of each kind.
"""

import pytest
import time_machine
from django.test import Client

from tests import scenes, troubles
from tests.browser import barriers
from tests.crawl import kind_of, links, pages
from tests.staff import browser
from tests.stories import START

GROUPS = ["Viewer", "Operator", "Auditor", "Trader"]
EVERYBODY = ["", *GROUPS]  # "" is a superuser
WIDTHS = [390, 768, 1024, 1440]
TOO_WIDE = """() => {
    const page = document.documentElement, width = page.clientWidth;
    if (page.scrollWidth <= width) return [];
    return [...document.querySelectorAll('body *')]
        .filter(it => it.getBoundingClientRect().right > width + 1)
        .map(it => it.outerHTML.slice(0, 90)).slice(0, 3);
}"""
# What can be pressed or read lies on top of nothing else that can.
COVERED = """() => {
    const shown = [...document.querySelectorAll(
        'h1, h2, .button, button, .object-tools a, input[type=submit]')]
        .filter(it => it.checkVisibility() && it.getBoundingClientRect().width > 1);
    const places = it => {  // of a heading its lines, for the box is as wide as the page
        const range = document.createRange();
        range.selectNodeContents(it);
        return it.matches('h1, h2') ? [...range.getClientRects()] : [it.getBoundingClientRect()];
    };
    const found = [];
    for (const [n, one] of shown.entries()) for (const other of shown.slice(n + 1)) {
        if (one.contains(other) || other.contains(one)) continue;
        const covers = places(one).some(a => places(other).some(b =>
            Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1));
        if (covers) found.push(one.textContent.trim() + ' / ' + other.textContent.trim());
    }
    return found;
}"""
# A way to every list: the sidebar, or a menu that needs no script.
WAYS = """() => [...document.querySelectorAll('a[href]')].filter(it => {
    const box = it.getBoundingClientRect();
    return (it.pathname || '').endsWith('/orders/portfolioorder/')
        && (it.closest('details') || (box.width > 0 && box.right > 0));
}).length"""


@pytest.fixture
def desk():
    """A desk with something of everything: each kind of trouble, each kind of row."""
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        troubles.of_orders(desk)
        troubles.waiting(desk)
        scenes.add_the_rest()
        yield desk


def complaints(window, path):
    """Return what the browser complained of on a page, before axe adds anything to it."""
    return [f"{path}: {complaint}" for complaint in window.complaints]


@pytest.mark.django_db
@pytest.mark.parametrize("group", EVERYBODY)
def test_no_link_is_dead_or_forbidden_and_no_number_is_contradicted_by_its_list(desk, group):
    client = browser(group)
    tried, found = set(), []

    for path, answer in pages(client).items():
        found += troubles.contradictions(client, path)
        for link in links(path, answer):
            kind = kind_of(link)
            if kind is None or kind in tried or "/logout/" in link:
                continue
            tried.add(kind)
            status = client.get(link, follow=True).status_code
            found += [] if status == 200 else [f"{path} leads to {link}: {status}"]

    assert len(tried) > 20
    assert not found, "\n".join(found)


@pytest.mark.django_db
@pytest.mark.parametrize("group", EVERYBODY)
def test_the_way_to_the_log_in_comes_back_to_each_page(desk, group):
    client = browser(group)
    found = [*pages(client)]

    for path in found:
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/"), (
            path
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_no_page_is_too_wide_or_covers_itself_or_has_barriers_or_complaints(
    look, desk, scheme, script
):
    client = browser()
    window = look(client, size=(1440, 900), color_scheme=scheme, java_script_enabled=True)
    if not script:
        plain = look(client, color_scheme=scheme, java_script_enabled=False)
    found = []

    for path in pages(client):
        for width in WIDTHS:
            shown = window.page if script else plain.page
            shown.set_viewport_size({"width": width, "height": 900})
            if width == WIDTHS[0]:
                (window if script else plain).open(path)
            where = f"{path} at {width}"
            found += [f"{where} is too wide: {it}" for it in shown.evaluate(TOO_WIDE)]
            found += [f"{where} covers {it}" for it in shown.evaluate(COVERED)]
            found += [] if shown.evaluate(WAYS) else [f"{where}: no way to the list"]
        if script:
            found += complaints(window, path)
            found += [f"{path}: {barrier}" for barrier in barriers(window.page)]
            window.complaints.clear()  # axe adds a style of its own to some pages

    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", GROUPS)
def test_what_each_group_sees_has_no_barriers(look, desk, group):
    client = browser(group)
    dark = GROUPS.index(group) % 2
    size = (390, 900) if dark else (1440, 900)
    window = look(client, size=size, color_scheme="dark" if dark else "light")
    found = []

    for path in pages(client):
        shown = window.open(path)
        found += [f"{path} is too wide: {it}" for it in shown.evaluate(TOO_WIDE)]
        found += complaints(window, path)
        found += [f"{path}: {barrier}" for barrier in barriers(shown)]
        window.complaints.clear()

    assert not found, "\n".join(found)
