"""The time zone of the machine, for the demo: whoever looks at it knows that zone."""

import os
from pathlib import Path
from zoneinfo import ZoneInfo

OTHERWISE = "Europe/Berlin"  # a machine in UTC is a server or a container, nobody's desk
LINK = Path("/etc/localtime")
UTC = frozenset(
    {"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Universal", "Zulu", "Etc/Zulu", "GMT", "Etc/GMT"}
)


def machine_zone(link: Path = LINK) -> str:
    """Return the name of the machine's zone, as ``TZ`` or the link of the system names it; never UTC."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked(link)):
        if name and name not in UTC and _is_zone(name):
            return name
    return OTHERWISE


def _linked(link: Path) -> str:
    try:
        return str(link.resolve(strict=True)).partition("zoneinfo/")[2]
    except OSError:
        return ""


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False
