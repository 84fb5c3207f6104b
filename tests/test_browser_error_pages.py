"""Each page for what went wrong, and those around the log-in, in a browser: framed, readable, nothing refused."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.browser import WIDE, barriers
from tests.staff import LIST, browser

LOGIN, ENROL = "/admin/login/", "/admin/second-factor/"
SIZES = [(390, 844), WIDE]
SIDEWAYS = "() => document.documentElement.scrollWidth - innerWidth"
# The desk's header, its sheet and one heading stand in every page.
FRAMED = """() => !!document.querySelector('#header #site-name')
    && [...document.styleSheets].some(it => it.href?.includes('/desk/desk'))
    && document.querySelectorAll('h1').length == 1"""


def flaws(window):
    """Return what stands in the way on the page that a window shows, at both ends of sizes and schemes."""
    shown, found = window.page, []
    assert shown.evaluate(FRAMED)
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme=scheme)
        for width, height in SIZES:
            shown.set_viewport_size({"width": width, "height": height})
            found += [f"{scheme} {width}: {it}" for it in barriers(shown)]
            found += [f"{scheme} {width}: too wide"] if shown.evaluate(SIDEWAYS) > 0 else []
    answered = "the server responded with a status of"  # what the page is about
    return found + [it for it in window.complaints if answered not in it]


def log_in(shown, name="mira", password="wrong"):
    shown.get_by_label("Username").fill(name)
    shown.get_by_label("Password").fill(password)
    shown.get_by_role("button", name="Log in").click()


def send_elsewhere(shown, path):
    """Send a form of the page to an address that takes none."""
    shown.evaluate(
        "path => { const it = document.forms['logout-form']; it.action = path; it.submit(); }", path
    )
    shown.wait_for_url(f"**{path}")


def raising(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("django.contrib.admin.AdminSite.login", fail)


def forged(window, monkeypatch):
    shown = window.open(LIST)
    shown.context.clear_cookies(name="csrftoken")
    shown.get_by_role("button", name="Log out").click()


def forbidden(window, monkeypatch):
    window.open("/admin/auth/user/")


def missing(window, monkeypatch):
    window.open("/admin/no/such/")


def wrong_method(window, monkeypatch):
    send_elsewhere(window.open(LIST), "/admin/glossary/")


def unreadable(window, monkeypatch):
    window.open("/").context.clear_cookies()
    monkeypatch.setattr("django.conf.settings.ALLOWED_HOSTS", ["desk.example.com"])
    window.open(LOGIN)


def failed(window, monkeypatch):
    raising(monkeypatch, ValueError("a bug"))
    window.page.context.clear_cookies()
    window.open(LOGIN)


def away(window, monkeypatch):
    raising(monkeypatch, OperationalError("gone"))
    window.page.context.clear_cookies()
    window.open(LOGIN)


def locked(window, monkeypatch):
    window.page.context.clear_cookies()
    for _ in range(5):
        log_in(window.open(LOGIN))


def logged_out(window, monkeypatch):
    window.open(LIST).get_by_role("button", name="Log out").click()


@pytest.mark.parametrize(
    ("happens", "heading"),
    [
        (forged, "This form is out of date"),
        (forbidden, "You may not do this"),
        (missing, "There is no such page"),
        (wrong_method, "This address cannot be opened directly"),
        (unreadable, "This request cannot be read"),
        (failed, "This page could not be shown"),
        (away, "The database does not answer"),
        (locked, "Too many failed log-ins"),
        (logged_out, "You are logged out."),
    ],
)
def test_no_barrier_stands_in_the_page_for_what_went_wrong(look, monkeypatch, happens, heading):
    window = look(browser("Viewer"))

    happens(window, monkeypatch)

    window.page.get_by_role("heading", level=1, name=heading, exact=True).wait_for()
    assert flaws(window) == []


@pytest.mark.parametrize("is_wrong", [False, True])
@pytest.mark.parametrize("page", ["enrol", "again", "backup-codes", "log-in"])
def test_no_barrier_stands_in_the_pages_of_the_second_factor(look, settings, page, is_wrong):
    client = browser("Trader")
    mira = User.objects.get(username="mira")
    settings.REQUIRE_SECOND_FACTOR = True
    if page != "enrol":
        device = TOTPDevice.objects.create(user=mira, name="phone", confirmed=True)
        session = client.session
        session["otp_device_id"] = device.persistent_id
        session.save()
    window = look(client if page != "log-in" else None)

    shown = window.open(
        {
            "enrol": ENROL,
            "again": f"{ENROL}again/?next=/admin/",
            "backup-codes": f"{ENROL}backup-codes/",
            "log-in": LOGIN,
        }[page]
    )
    if is_wrong:
        if page == "log-in":
            log_in(shown)
        else:
            shown.get_by_label("Authentication code").fill("no code")
            shown.locator("#content button, #content [type=submit]").last.click()

        shown.locator(".errorlist, .errornote").first.wait_for()
    assert flaws(window) == []
