"""Which environment a desk belongs to, so that nobody takes the sandbox for production: badge and icon.

``ENVIRONMENT`` names it. Where nobody does, the demo, development and a broker's sandbox are
recognised, and production is what has no badge.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

PRODUCTION = re.compile(r"prod|live", re.IGNORECASE)  # how names of production begin
SANDBOX = re.compile(r"sandbox|staging|test|uat|demo|mock|(^|[.-])(dev|stag|int|qa)([.-]|$)")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# Ground and strokes of the icon; the badge has the same colours in the style sheet.
COLOURS = {
    "red": ("#8f1028", "#ffd9df"),
    "amber": ("#6b4e00", "#ffd97c"),
    "green": ("#0a5c44", "#a8f0d6"),
    "blue": ("#0b4a8a", "#cfe5ff"),
    "purple": ("#5b2a86", "#ead6ff"),
    "grey": ("#414b5a", "#eceff3"),
}
UNNAMED = ("#14293f", "#7fe3c0")
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect width="16" height="16" rx="3" fill="{}"/>'
    '<path d="M3 5h4M3 8h7M3 11h10" stroke="{}" stroke-width="1.8"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Badge:
    """The name of an environment and one of ``COLOURS``; both "" where there is no badge."""

    name: str
    colour: str


def badge() -> Badge:
    """Return the badge of this desk."""
    return badge_of(
        settings.ENVIRONMENT or ("Demo" if settings.DEMO else ""),
        settings.ENVIRONMENT_COLOUR,
        is_development=settings.DEBUG,
        broker=settings.INVESTMENT_API_URL,
    )


def badge_of(name: str, colour: str, *, is_development: bool, broker: str) -> Badge:
    """Return the badge of a desk that is called ``name``, "" where nobody named it; pure.

    Without ``colour`` production is red and everything else amber: they never look alike.
    """
    name = name or ("Development" if is_development else "Sandbox" if _is_sandbox(broker) else "")
    if not name:
        return Badge("", "")
    return Badge(name, colour or ("red" if PRODUCTION.match(name) else "amber"))


def _is_sandbox(broker: str) -> bool:
    """Whether an address says that the broker behind it is none where money moves."""
    host = urlsplit(broker).hostname or ""
    return host in LOOPBACK or bool(SANDBOX.search(host))


@require_safe
@cache_control(max_age=3600)
def icon(_: HttpRequest) -> HttpResponse:
    """Answer with the icon of the browser's tab, in the colour of the environment."""
    colours = COLOURS.get(badge().colour, UNNAMED)
    return HttpResponse(ICON.format(*colours), content_type="image/svg+xml")
