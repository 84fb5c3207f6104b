"""How the sidebar groups and names what the site has: by the work of staff, not by packages."""

from collections.abc import Iterable
from typing import Any

ACCESS = {"auth", "otp_totp", "otp_static"}
ORDER = {
    name: place
    for place, name in enumerate(
        [
            "PortfolioOrder", "Order", "Placement", "Cancellation", "JournalEntry",
            "StaffAction", "Reconciliation", "Event", "Delivery",
            "Subscription", "User", "Group", "TOTPDevice", "StaticDevice",
        ]
    )
}  # fmt: skip
NAMES = {
    "JournalEntry": "Journal",
    "StaffAction": "Staff actions",
    "TOTPDevice": "Authenticators",
    "StaticDevice": "Backup codes",
}


def group_of(app_label: str) -> str:
    """Return the label of the group that holds the lists of an app."""
    return "auth" if app_label in ACCESS else app_label


def arranged(apps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Django's list of apps as groups: all that decides who may come in is one, the last."""
    groups: dict[str, dict[str, Any]] = {}
    for app in apps:
        label = group_of(app["app_label"])
        group = groups.setdefault(label, {**app, "models": []})
        for model in app["models"]:
            name = NAMES.get(model["object_name"], model["name"])
            group["models"].append({**model, "name": name})
    for group in groups.values():
        group["models"].sort(key=lambda model: ORDER.get(model["object_name"], len(ORDER)))
    return sorted(groups.values(), key=lambda group: (group["app_label"] in ACCESS, group["name"]))


def with_page(
    groups: list[dict[str, Any]], *, group: str, name: str, url: str
) -> list[dict[str, Any]]:
    """Return the groups with one more that leads to a page without a model; Access stays the last."""
    label = name.replace(" ", "")
    page = {
        "name": name,
        "object_name": label,
        "admin_url": url,
        "add_url": None,
        "view_only": True,
    }
    added = {
        "name": group,
        "app_label": label.lower(),
        "app_url": url,
        "has_module_perms": True,
        "models": [page],
    }
    place = sum(it["app_label"] not in ACCESS for it in groups)
    return [*groups[:place], added, *groups[place:]]
