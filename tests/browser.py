"""A real browser for tests of the screens: Chromium, driven by Playwright, on the desk's live server.

One browser for the whole run, a fresh context for each window. Where no Chromium is installed the
tests that need it are skipped.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# It renders our own pages only: no sandbox, which root may not have, and nothing of its own on the network.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-lcd-text",
    "--disable-font-subpixel-positioning", "--font-render-hinting=full",
]  # fmt: skip
PATIENCE = 30_000  # ms: an element that is not there by then does not come
WIDE, NARROW = (1440, 900), (768, 1024)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
ASYNC_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser with a profile of its own.

    Playwright keeps an event loop in this thread, which Django takes for a coroutine that calls its
    ORM: that check is off for as long as the loop is there.
    """
    before = os.environ.get(ASYNC_UNSAFE)
    os.environ[ASYNC_UNSAFE] = "1"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            try:
                yield browser
            finally:
                browser.close()
    finally:
        if before is None:
            del os.environ[ASYNC_UNSAFE]
        else:
            os.environ[ASYNC_UNSAFE] = before


@dataclass
class Window:
    """A browser window on the desk."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> Page:
        """Show a page of the desk."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def log_in(self, client: Client) -> None:
        """Go on as the person who is logged in in ``client``."""
        name = settings.SESSION_COOKIE_NAME
        value = client.cookies[name].value
        self.page.context.add_cookies([{"name": name, "value": value, "url": self.url}])

    def path(self) -> str:
        """Return where the window is, with query and fragment."""
        return self.page.url.removeprefix(self.url)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


def window(
    browser: Browser,
    url: str,
    client: Client | None = None,
    size: tuple[int, int] = WIDE,
    **more: Any,
) -> Window:
    """Open a window of a new context: no cookies, nothing cached; ``more`` goes to the context.

    Motion is reduced, so that nobody looks at a page half way between two colours.
    """
    width, height = size
    options = {"reduced_motion": "reduce"} | more
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(PATIENCE)
    opened = Window(context.new_page(), url)
    if client:
        opened.log_in(client)
    return opened


def barriers(page: Page, within: str = "html") -> list[str]:
    """Return what WCAG 2.2 A and AA forbid and axe finds on a page or a part of it, each with its place."""
    page.wait_for_load_state()  # of a page that is still coming half an element would be found
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    options = {"runOnly": WCAG, "resultTypes": ["violations"]}
    found = page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def flaws(window: Window, *paths: str) -> list[str]:
    """Return what stands in somebody's way on pages, light and wide, then dark and narrow: no list is best."""
    found = []
    for path in paths:
        shown = window.open(path)
        for scheme, (width, height) in (("light", WIDE), ("dark", NARROW)):
            shown.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            shown.set_viewport_size({"width": width, "height": height})
            found += [f"{path} {scheme}: {barrier}" for barrier in barriers(shown)]
            if (needed := shown.evaluate("document.documentElement.scrollWidth")) > width:
                found.append(f"{path}: {needed} px wide where {width} are there")
    return [*found, *window.complaints]


@pytest.fixture(scope="session")
def chromium_browser(django_db_setup: None) -> Iterator[Browser]:
    """The browser of the whole run."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: on Debian, apt-get install chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture
def look(chromium_browser: Browser, live_server: Any) -> Iterator[Any]:
    """Open windows on the live server: ``look(client, size=…, java_script_enabled=…)``."""
    with ExitStack() as stack:

        def opened(client: Client | None = None, **more: Any) -> Window:
            made = window(chromium_browser, live_server.url, client, **more)
            stack.callback(made.page.context.close)
            return made

        yield opened
