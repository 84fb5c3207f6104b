"""How the sidebar groups and names what the site has: by the work of staff, not by packages."""

from collections.abc import Iterable
from typing import Any

ACCESS = {"auth", "otp_totp", "otp_static"}
ORDER = {
    name: place
    for place, name in enumerate(
        [
            "PortfolioOrder", "Order", "Placement", "Cancellation", "JournalEntry",
            "Reconciliation", "Event", "Delivery",
            "Subscription", "User", "Group", "TOTPDevice", "StaticDevice",
        ]
    )
}  # fmt: skip
NAMES = {"JournalEntry": "Journal", "TOTPDevice": "Authenticators", "StaticDevice": "Backup codes"}


def arranged(apps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Django's list of apps as groups: all that decides who may come in is one, the last."""
    groups: dict[str, dict[str, Any]] = {}
    for app in apps:
        label = "auth" if app["app_label"] in ACCESS else app["app_label"]
        group = groups.setdefault(label, {**app, "models": []})
        for model in app["models"]:
            name = NAMES.get(model["object_name"], model["name"])
            group["models"].append({**model, "name": name})
    for group in groups.values():
        group["models"].sort(key=lambda model: ORDER.get(model["object_name"], len(ORDER)))
    return sorted(groups.values(), key=lambda group: (group["app_label"] in ACCESS, group["name"]))
