"""Which environment a desk belongs to is seen on every page, and in the tab of the browser."""

import pytest
from django.test import Client

from backoffice.environment import COLOURS, badge_of
from backoffice.middleware import no_database
from tests.browser import flaws
from tests.staff import LIST, browser, html

BROKER = "https://api.broker.example.com"


@pytest.mark.parametrize(("name", "broker", "is_development", "wanted"), [
    ("", BROKER, False, ("", "")),
    ("", "", False, ("", "")),
    ("", BROKER, True, ("Development", "amber")),
    ("", "https://api.sandbox.broker.example.com", False, ("Sandbox", "amber")),
    ("", "https://broker-staging.example.com", False, ("Sandbox", "amber")),
    ("", "https://dev.broker.example.com", False, ("Sandbox", "amber")),
    ("", "https://devon.broker.example.com", False, ("", "")),
    ("", "http://127.0.0.1:8001", False, ("Sandbox", "amber")),
    ("Production", BROKER, False, ("Production", "red")),
    ("LIVE Frankfurt", BROKER, True, ("LIVE Frankfurt", "red")),
    ("Reproduction of a fault", BROKER, False, ("Reproduction of a fault", "amber")),
])  # fmt: skip
def test_an_environment_without_a_name_is_recognised_and_production_is_never_amber(
    name, broker, is_development, wanted
):
    found = badge_of(name, "", is_development=is_development, broker=broker)

    assert (found.name, found.colour) == wanted


def test_the_colour_that_is_set_counts():
    assert badge_of("Live", "blue", is_development=False, broker=BROKER).colour == "blue"


@pytest.mark.django_db
def test_every_page_names_the_environment_in_its_header_and_its_title(settings):
    settings.ENVIRONMENT = "Probe & <drill>"
    named = "Probe &amp; &lt;drill&gt;"

    for client, path in (
        (Client(), "/admin/login/"),
        (browser(), "/admin/"),
        (browser(name="ben"), LIST),
    ):
        page = html(client.get(path))
        assert f'<span class="environment environment-amber">{named}</span>' in page, path
        assert f"<title>[{named}] " in page.replace("\n", "")
    assert f"<title>[{named}] " in no_database().content.decode()


@pytest.mark.django_db
def test_production_that_nobody_named_has_no_badge_and_no_bracket_in_its_title(settings):
    settings.INVESTMENT_API_URL = BROKER

    page = html(browser().get("/admin/"))

    assert 'class="environment' not in page
    assert "<title>Today | Order Desk</title>" in page


@pytest.mark.django_db
@pytest.mark.parametrize("colour", COLOURS)
def test_the_icon_has_the_colour_of_the_environment(client, settings, colour):
    settings.ENVIRONMENT, settings.ENVIRONMENT_COLOUR = "Any", colour

    answer = client.get("/favicon.ico")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/svg+xml"
    assert COLOURS[colour][0] in answer.text
    assert len({ground for ground, _ in COLOURS.values()}) == len(COLOURS)


def test_the_badge_of_each_colour_can_be_read_and_the_browser_takes_the_icon(look, settings):
    client, window = browser(), look()
    window.log_in(client)
    for colour in COLOURS:
        settings.ENVIRONMENT, settings.ENVIRONMENT_COLOUR = f"The {colour} one", colour
        assert flaws(window, "/admin/") == []
        assert (
            window.page.locator("#header").evaluate("it => getComputedStyle(it).borderBottomColor")
            != "rgba(0, 0, 0, 0)"
        )
    kinds = window.page.evaluate(
        "async () => (await fetch(document.querySelector('link[rel=icon]').href)).headers.get('content-type')"
    )
    assert kinds == "image/svg+xml"
