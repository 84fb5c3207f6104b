"""Every button of every page, pressed after the session has ended: in a real browser, without JavaScript."""

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.urls import resolve

from backoffice.access.kept import UNTOLD
from orders.models import JournalEntry
from tests import scenes
from tests.crawl import kind_of, pages
from tests.staff import browser
from tests.stories import START

# Of each form that is sent by POST: its number, where each of its buttons sends it, and their words.
BUTTONS = """() => [...document.forms].flatMap((form, number) => form.method != 'post' ? [] :
    [...form.elements].filter(it => it.type == 'submit').map((it, place) => ({
        number, place, action: new URL(it.getAttribute('formaction') || form.getAttribute('action') || '', location)
            .pathname,
        words: (it.innerText || it.value).trim().replace(/\\s+/g, ' '),
        seen: it.checkVisibility() || !!it.closest('details:not([open])'),
    })).filter(it => it.seen))"""
FILL = """number => { document.forms[number].noValidate = true;
    for (const it of document.forms[number].elements) {
    if (it.localName == 'textarea' || it.type == 'text') it.value = it.value || 'typed by hand';
    it.closest('details')?.setAttribute('open', ''); } }"""
TYPED = """number => Object.fromEntries([...document.forms[number].elements]
    .filter(it => it.localName == 'textarea' || it.type == 'text').map(it => [it.name, it.value]))"""
ELSEWHERE = {"logout", "set_language"}


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk)
        yield desk


def buttons_of(shown):
    return [it for it in shown.evaluate(BUTTONS) if resolve(it["action"]).url_name not in ELSEWHERE]


def press(shown, it):
    form = shown.locator("form").nth(it["number"])
    form.locator("button:not([type=button]), input[type=submit]").nth(it["place"]).click()


def test_every_button_leads_back_to_its_page_with_what_was_typed_and_does_nothing(look, desk):
    client = browser()
    places = [
        *pages(client),
        "/admin/orders/placement/place/",
        "/admin/orders/reconciliation/start/",
    ]
    window = look(client, java_script_enabled=False)
    shown, seen, pressed = window.page, set(), []
    for path in places:
        window.open(path)
        for it in buttons_of(shown):
            kind = kind_of(path), resolve(it["action"]).view_name, it["words"]
            if kind in seen:
                continue
            seen.add(kind)
            window.open(path)
            came_from = window.path()
            shown.evaluate(FILL, it["number"])
            typed = shown.evaluate(TYPED, it["number"])
            entries = JournalEntry.objects.count()
            Session.objects.all().delete()

            press(shown, it)
            assert window.path().startswith("/admin/login/?next="), (path, it)
            assert "Nothing was sent" in shown.locator(".messagelist").first.inner_text()
            shown.locator("#id_username").fill("mira")
            shown.locator("#id_password").fill("x")
            shown.locator("#login-form input[type=submit]").click()

            assert window.path() == came_from, it
            said = shown.locator(".messagelist").first.inner_text()
            assert f"Nothing was sent. Please press “{it['words']}” again." in said, (path, it)
            left = {name: text for name, text in typed.items() if not UNTOLD.search(name)}
            assert shown.evaluate(TYPED, it["number"]).items() >= left.items(), (path, it)
            assert JournalEntry.objects.count() == entries
            pressed.append(it["words"])
    assert len(pressed) > 15, pressed
    assert {"Refetch now", "Add note", "History CSV", "Review"} <= set(pressed)
    assert window.complaints == []
